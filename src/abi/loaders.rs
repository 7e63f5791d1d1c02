//! The functions that load a certificate. The real one is called first; then
//! the response is looked for, while files can still be read.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::host::guard;
use crate::host::library::Library;
use crate::host::types::{SSL, SSL_CTX, X509};
use crate::status::certificate;

use super::entry;

/// An object that certificates are loaded into.
trait Holder {
    /// The library that made it.
    unsafe fn library(this: *mut Self, entry: &CStr) -> Option<&'static Library>;
    /// Does our part.
    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>);
}

impl Holder for SSL_CTX {
    unsafe fn library(this: *mut Self, entry: &CStr) -> Option<&'static Library> {
        // SAFETY: the program's own SSL_CTX.
        unsafe { entry::library_of_ctx(this, entry) }
    }

    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>) {
        // SAFETY: the program's own SSL_CTX and path.
        if let Some(handle) = unsafe { entry::ctx_handle(this) } {
            // SAFETY: as above.
            let path = path.and_then(|path| unsafe { to_path(path) });
            guard::quietly(handle.host().crypto, (), || {
                certificate::loaded_into_context(&handle, path);
            });
        }
    }
}

impl Holder for SSL {
    unsafe fn library(this: *mut Self, entry: &CStr) -> Option<&'static Library> {
        // SAFETY: the program's own SSL.
        unsafe { entry::library_of_ssl(this, entry) }
    }

    unsafe fn loaded(this: *mut Self, path: Option<*const c_char>) {
        // SAFETY: the program's own SSL and path.
        if let Some(handle) = unsafe { entry::ssl_handle(this) } {
            // SAFETY: as above.
            let path = path.and_then(|path| unsafe { to_path(path) });
            guard::quietly(handle.host().crypto, (), || {
                certificate::loaded_into_ssl(&handle, path)
            });
        }
    }
}

thread_local! {
    /// How many loaders this thread is inside. Debian's libssl calls one loader
    /// from another, and the chain commands from both, by way of ours.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a real loader: what it calls then is part of
/// one load, which our part follows once.
pub fn loading() -> bool {
    DEPTH.get() > 0
}

/// As long as it lives, a real loader runs. It also ends by unwinding.
struct Loading;

impl Loading {
    fn begin() -> Loading {
        DEPTH.set(DEPTH.get() + 1);
        Loading
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
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
unsafe fn to_path<'p>(path: *const c_char) -> Option<&'p Path> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for path.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Some(Path::new(OsStr::from_bytes(bytes)))
}

fn absent(library: &'static Library) -> c_int {
    if let Some(host) = library.already_ready() {
        host.queue_unsupported();
    }
    0
}

/// Declares a loader for an SSL_CTX or SSL: its name, its further arguments,
/// and which of them is the path, if any.
macro_rules! loader {
    ($name:ident($object:ident: $kind:ident $(, $arg:ident: $type:ty)*) from $path:expr) => {
        #[doc = concat!("`", stringify!($name), "`. A libssl without it: 0, with an error queued.")]
        ///
        /// # Safety
        /// As for the function of that name in libssl.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name($object: *mut $kind $(, $arg: $type)*) -> c_int {
            // SAFETY: the program's own arguments, to the function it called.
            unsafe {
                let Some(library) = $kind::library($object, const { name_of(concat!(stringify!($name), "\0")) })
                else {
                    return 0;
                };
                let Some(real) = library.entries.$name else {
                    return absent(library);
                };
                let done = {
                    let _loading = Loading::begin();
                    real($object $(, $arg)*)
                };
                if done == 1 && !loading() {
                    $kind::loaded($object, $path);
                }
                done
            }
        }
    };
}

loader!(SSL_CTX_use_certificate(ctx: SSL_CTX, x509: *mut X509) from None);
loader!(SSL_CTX_use_certificate_ASN1(ctx: SSL_CTX, length: c_int, der: *const c_uchar) from None);
loader!(SSL_CTX_use_certificate_file(ctx: SSL_CTX, file: *const c_char, kind: c_int) from Some(file));
loader!(SSL_CTX_use_certificate_chain_file(ctx: SSL_CTX, file: *const c_char) from Some(file));
loader!(SSL_CTX_use_cert_and_key(
    ctx: SSL_CTX, x509: *mut X509, key: *mut c_void, chain: *mut c_void, replace: c_int
) from None);
loader!(SSL_use_certificate(ssl: SSL, x509: *mut X509) from None);
loader!(SSL_use_certificate_ASN1(ssl: SSL, der: *const c_uchar, length: c_int) from None);
loader!(SSL_use_certificate_file(ssl: SSL, file: *const c_char, kind: c_int) from Some(file));
loader!(SSL_use_certificate_chain_file(ssl: SSL, file: *const c_char) from Some(file));
loader!(SSL_use_cert_and_key(
    ssl: SSL, x509: *mut X509, key: *mut c_void, chain: *mut c_void, replace: c_int
) from None);
