//! The one status callback that libssl ever holds. It calls the program's, then
//! does a server's or a client's part.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use crate::config::{self, Client};
use crate::host::reasons::Reason;
use crate::host::ssl::Ssl;
use crate::host::types::{SSL, SSL_TLSEXT_ERR_NOACK, StatusCallback};
use crate::host::{guard, route};

use super::context::{self, Context};
use super::{client, server};

/// Ours.
pub const OURS: StatusCallback = status_callback;

/// What a client's callback returns for a response that is acceptable.
const ACCEPT: c_int = 1;

/// And for one that is not, so that libssl sends bad_certificate_status_response.
const REFUSE: c_int = 0;

/// Whether a callback is ours.
pub fn is_ours(callback: StatusCallback) -> bool {
    callback as usize == status_callback as *const () as usize
}

/// # Safety
/// libssl calls it during a handshake with the SSL and the context's argument.
unsafe extern "C-unwind" fn status_callback(ssl: *mut SSL, argument: *mut c_void) -> c_int {
    // SAFETY: libssl passes a valid SSL.
    let handle =
        NonNull::new(ssl).and_then(|ssl| unsafe { Ssl::from_raw(route::of(ssl.as_ptr())?, ssl) });
    let Some(handle) = handle else {
        // NOACK on a server; on a client it accepts, as without a callback.
        return SSL_TLSEXT_ERR_NOACK;
    };
    let ctx = handle.context();
    let context = ctx.as_ref().and_then(Context::get);
    let program = context.and_then(Context::program_callback);
    if !handle.is_server() {
        // SAFETY: the program's callback and argument.
        return unsafe { client_callback(&handle, program, argument) };
    }
    // A server's part sees to the error queue by itself. Mostly there is nothing in between.
    if let (None, Some(ctx), Some(context)) = (program, &ctx, context) {
        return guard::work(SSL_TLSEXT_ERR_NOACK, || {
            server::before_program(&handle, false);
            server::after_program(&handle, ctx, context, SSL_TLSEXT_ERR_NOACK)
        });
    }
    guard::bookkeeping((), || server::before_program(&handle, program.is_some()));
    let answer = match program {
        // SAFETY: the program's callback, called as libssl would call it.
        Some(program) => unsafe { program(ssl, argument) },
        None => SSL_TLSEXT_ERR_NOACK,
    };
    // Looked up again: the program may have switched contexts, and the one that
    // was in use may be gone.
    let ctx = handle.context();
    match ctx.as_ref().and_then(|ctx| Some((ctx, Context::get(ctx)?))) {
        Some((ctx, context)) => guard::work(answer, || {
            server::after_program(&handle, ctx, context, answer)
        }),
        None => answer,
    }
}

/// The client's part: the program's callback, then the operator's policy.
///
/// # Safety
/// `argument` must be what libssl passes to the status callback.
unsafe fn client_callback(
    ssl: &Ssl,
    program: Option<StatusCallback>,
    argument: *mut c_void,
) -> c_int {
    // A resumed TLS 1.3 session brings no certificate: the manual page says that
    // the callback is not called then, libssl calls it all the same.
    if ssl.session_reused() {
        return ACCEPT;
    }
    let answer = match program.filter(|_| context::program_asked(ssl)) {
        // SAFETY: the program's callback, called as libssl would call it.
        Some(program) => unsafe { program(ssl.raw(), argument) },
        None => ACCEPT,
    };
    if answer <= 0 || config::get().client_policy() == Client::Off {
        return answer;
    }
    // If the check itself fails, or is not made any more, the operator's wish to check decides.
    let strict = config::get().refuses_unchecked();
    let fallback = strict.then_some(Reason::Internal);
    let crypto = ssl.host().crypto;
    let judged = guard::quiet_work(crypto, fallback, || {
        Context::library_of(ssl.context().as_ref()).within(crypto, || client::judge(ssl))
    });
    match judged {
        None => answer,
        Some(reason) => {
            // On the queue before libssl's own entry, which says less.
            if let Some(reasons) = ssl.host().reasons() {
                reasons.queue(ssl.host().crypto, reason);
            }
            REFUSE
        }
    }
}
