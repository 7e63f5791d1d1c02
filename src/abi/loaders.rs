//! The functions that load a certificate. The real one is called first; then
//! the response is looked for, while files can still be read.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::host::library::Library;
use crate::host::types::{SSL, SSL_CTX, X509};
use crate::host::{guard, route};
use crate::status::load;

use super::entry;

/// An object that certificates are loaded into.
trait Holder {
    /// Does our part.
    ///
    /// # Safety
    /// `this` and `path` must be what the program passed to a loader.
    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>);
}

impl Holder for SSL_CTX {
    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>) {
        // SAFETY: the caller vouches for both.
        let (handle, path) = unsafe { (entry::ctx_handle(this), to_path(path)) };
        if let Some(handle) = handle {
            guard::quiet_work(handle.host().crypto, (), || {
                load::loaded_into_context(&handle, path);
            });
        }
    }
}

impl Holder for SSL {
    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>) {
        // SAFETY: the caller vouches for both.
        let (handle, path) = unsafe { (entry::ssl_handle(this), to_path(path)) };
        if let Some(handle) = handle.filter(|ssl| !ssl.is_shaking_hands()) {
            guard::quiet_work(handle.host().crypto, (), || {
                load::loaded_into_ssl(&handle, path);
            });
        }
    }
}

const fn name_of(with_nul: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(with_nul.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

/// # Safety
/// `path` must be NULL or a C string that lives as long as the caller uses it.
unsafe fn to_path<'p>(path: Option<*const c_char>) -> Option<&'p Path> {
    let path = path.filter(|path| !path.is_null())?;
    // SAFETY: the caller vouches for path.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Some(Path::new(OsStr::from_bytes(bytes)))
}

/// The program's call of a loader, by the libssl of the object.
macro_rules! load {
    ($name:ident($object:ident: $kind:ident $(, $arg:ident)*) from $path:expr, $followed:expr) => {{
        let Some(library) =
            route::for_call($object, const { name_of(concat!(stringify!($name), "\0")) })
        else {
            return 0;
        };
        let Some(real) = library.entries.$name else {
            return entry::absent(library);
        };
        let done = real($object $(, $arg)*);
        if done == 1 && $followed(library) {
            $kind::loaded($object, $path);
        }
        done
    }};
}

/// Declares a loader for an SSL_CTX or SSL: its name, its further arguments, and which of
/// them is the path, if any.
macro_rules! loader {
    ($name:ident($object:ident: $kind:ident $(, $arg:ident: $type:ty)*) from $path:expr) => {
        #[doc = concat!("`", stringify!($name), "`. A libssl without it: 0, with an error queued.")]
        ///
        /// # Safety
        /// As for the function of that name in libssl.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name($object: *mut $kind $(, $arg: $type)*) -> c_int {
            // SAFETY: the program's own arguments, to the function it called.
            unsafe { load!($name($object: $kind $(, $arg)*) from $path, |_: &Library| true) }
        }
    };
}

/// Declares a loader that takes an X509, which the others call.
///
/// Debian's libssl does that by way of ours. What it calls so is part of a load that is
/// followed already: the address that the call returns to tells. It is taken before any
/// code of ours runs, and passed as a third argument. A count of how deep a thread is in
/// loaders would stay where the program leaves one by longjmp.
macro_rules! innermost_loader {
    ($name:ident, $told_caller:ident, $kind:ident) => {
        #[doc = concat!("`", stringify!($name), "`. A libssl without it: 0, with an error queued.")]
        ///
        /// # Safety
        /// As for the function of that name in libssl.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(object: *mut $kind, x509: *mut X509) -> c_int {
            #[cfg(target_arch = "x86_64")]
            std::arch::naked_asm!(".cfi_startproc", "mov rdx, [rsp]", "jmp {}", ".cfi_endproc", sym $told_caller);
            #[cfg(target_arch = "aarch64")]
            std::arch::naked_asm!(".cfi_startproc", "mov x2, x30", "b {}", ".cfi_endproc", sym $told_caller);
        }

        unsafe extern "C-unwind" fn $told_caller(
            object: *mut $kind,
            x509: *mut X509,
            caller: usize,
        ) -> c_int {
            let followed = |library: &Library| !library.contains(caller);
            // SAFETY: the program's own arguments, to the function it called.
            unsafe { load!($name(object: $kind, x509) from None, followed) }
        }
    };
}

innermost_loader!(SSL_CTX_use_certificate, use_certificate_of_ctx, SSL_CTX);
innermost_loader!(SSL_use_certificate, use_certificate_of_ssl, SSL);
loader!(SSL_CTX_use_certificate_ASN1(ctx: SSL_CTX, length: c_int, der: *const c_uchar) from None);
loader!(SSL_CTX_use_certificate_file(ctx: SSL_CTX, file: *const c_char, kind: c_int) from Some(file));
loader!(SSL_CTX_use_certificate_chain_file(ctx: SSL_CTX, file: *const c_char) from Some(file));
loader!(SSL_CTX_use_cert_and_key(
    ctx: SSL_CTX, x509: *mut X509, key: *mut c_void, chain: *mut c_void, replace: c_int
) from None);
loader!(SSL_use_certificate_ASN1(ssl: SSL, der: *const c_uchar, length: c_int) from None);
loader!(SSL_use_certificate_file(ssl: SSL, file: *const c_char, kind: c_int) from Some(file));
loader!(SSL_use_certificate_chain_file(ssl: SSL, file: *const c_char) from Some(file));
loader!(SSL_use_cert_and_key(
    ssl: SSL, x509: *mut X509, key: *mut c_void, chain: *mut c_void, replace: c_int
) from None);
