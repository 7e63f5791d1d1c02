//! The functions that tell a context which certificates it may trust: one of them may have
//! issued the server's own. The real one is called first; then leaves whose issuer is not
//! known yet are completed.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::host::types::SSL_CTX;
use crate::host::{guard, route};
use crate::status::load;

use super::entry;

/// Something changed; `files` tells whether the program has just read files itself, so that
/// ours may be looked at, too.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
unsafe fn changed(ctx: *mut SSL_CTX, files: bool) {
    // SAFETY: the caller vouches for ctx.
    if let Some(handle) = unsafe { entry::ctx_handle(ctx) } {
        guard::quiet_work(handle.host().crypto, (), || {
            load::issuers_of_context_changed(&handle, files, None);
        });
    }
}

/// Declares one of them: its name, and its arguments after the context.
macro_rules! teller {
    ($name:ident($($arg:ident: $type:ty),*)) => {
        #[doc = concat!("`", stringify!($name), "`. A libssl without it: 0, with an error queued.")]
        ///
        /// # Safety
        /// As for the function of that name in libssl.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(ctx: *mut SSL_CTX $(, $arg: $type)*) -> c_int {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            // SAFETY: the program's own arguments, to the function it called.
            unsafe {
                let Some(library) = route::for_call(ctx, NAME) else {
                    return 0;
                };
                let Some(real) = library.entries.$name else {
                    return entry::absent(library);
                };
                let done = real(ctx $(, $arg)*);
                if done == 1 {
                    changed(ctx, true);
                }
                done
            }
        }
    };
}

teller!(SSL_CTX_load_verify_locations(file: *const c_char, directory: *const c_char));
teller!(SSL_CTX_load_verify_file(file: *const c_char));
teller!(SSL_CTX_load_verify_dir(directory: *const c_char));
teller!(SSL_CTX_load_verify_store(uri: *const c_char));
teller!(SSL_CTX_set_default_verify_paths());
teller!(SSL_CTX_set_default_verify_file());
teller!(SSL_CTX_set_default_verify_dir());
teller!(SSL_CTX_set_default_verify_store());

/// `SSL_CTX_set_cert_store`.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_set_cert_store(ctx: *mut SSL_CTX, store: *mut c_void) {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        let library = route::for_call(ctx, c"SSL_CTX_set_cert_store");
        if let Some(real) = library.and_then(|library| library.entries.SSL_CTX_set_cert_store) {
            real(ctx, store);
            changed(ctx, false);
        }
    }
}

/// `SSL_CTX_set1_cert_store` (1.1.1 and later). A libssl without it: an error is queued.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_set1_cert_store(ctx: *mut SSL_CTX, store: *mut c_void) {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        let Some(library) = route::for_call(ctx, c"SSL_CTX_set1_cert_store") else {
            return;
        };
        let Some(real) = library.entries.SSL_CTX_set1_cert_store else {
            entry::absent(library);
            return;
        };
        real(ctx, store);
        changed(ctx, false);
    }
}
