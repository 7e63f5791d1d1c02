//! The one status callback that libssl ever holds. It calls the program's, then
//! does a server's or a client's part.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use crate::host::ssl::Ssl;
use crate::host::types::{SSL, SSL_TLSEXT_ERR_NOACK, StatusCallback};
use crate::host::{guard, route};

use super::context::Context;
use super::server;

/// Ours.
pub const OURS: StatusCallback = status_callback;

/// What a client's callback returns for a response that is acceptable.
const ACCEPT: c_int = 1;

/// Whether a callback is ours.
pub fn is_ours(callback: StatusCallback) -> bool {
    callback as usize == status_callback as *const () as usize
}

/// A callback from where `Context` stores it.
pub fn from_stored(stored: *mut c_void) -> Option<StatusCallback> {
    // SAFETY: only callbacks, and NULL, are stored there; a function pointer in
    // an Option has NULL as its None.
    unsafe { std::mem::transmute::<*mut c_void, Option<StatusCallback>>(stored) }
}

/// # Safety
/// libssl calls it during a handshake with the SSL and the context's argument.
unsafe extern "C-unwind" fn status_callback(ssl: *mut SSL, argument: *mut c_void) -> c_int {
    let handle = guard::contained(None, || {
        let ssl = NonNull::new(ssl)?;
        // SAFETY: libssl passes a valid SSL.
        unsafe { Ssl::from_raw(route::of_ssl(ssl.as_ptr())?, ssl) }
    });
    let Some(handle) = handle else {
        // NOACK on a server; on a client it accepts, as without a callback.
        return SSL_TLSEXT_ERR_NOACK;
    };
    let context = handle.context();
    let program = context
        .as_ref()
        .and_then(Context::get)
        .and_then(Context::program_callback);
    if !handle.is_server() {
        // A resumed TLS 1.3 session brings no certificate: the manual page says
        // that the callback is not called then, libssl calls it all the same.
        let resumed = handle.session_reused();
        return match program {
            // SAFETY: the program's callback, called as libssl would call it.
            Some(program) if !resumed => unsafe { program(ssl, argument) },
            _ => ACCEPT,
        };
    }
    guard::quietly(handle.host(), (), || server::before_program(&handle));
    let answer = match program {
        // SAFETY: the program's callback, called as libssl would call it.
        Some(program) => unsafe { program(ssl, argument) },
        None => SSL_TLSEXT_ERR_NOACK,
    };
    guard::quietly(handle.host(), answer, || {
        server::after_program(&handle, answer)
    })
}
