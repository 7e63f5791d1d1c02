//! One function per operation of the family. The exported names and the
//! interposed commands both end here, so that they cannot differ.

use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::ssl::Ssl;
use crate::host::types::{STATUS_TYPE_OFF, StatusCallback, TLSEXT_STATUSTYPE_ocsp};

use super::connection::{Connection, Lent};
use super::context::{self, Context};

/// The two types there are; libssl would store anything.
fn is_status_type(status_type: c_int) -> bool {
    status_type == TLSEXT_STATUSTYPE_ocsp || status_type == STATUS_TYPE_OFF
}

/// `SSL_CTX_set_tlsext_status_cb`.
pub fn set_callback(ctx: &SslCtx, callback: Option<StatusCallback>) -> bool {
    Context::of(ctx).is_some_and(|context| context.set_program_callback(ctx, callback))
}

/// `SSL_CTX_get_tlsext_status_cb`: the program's, never ours.
pub fn callback(ctx: &SslCtx) -> Option<StatusCallback> {
    Context::of(ctx)?.program_callback()
}

/// Remembers the argument that libssl was given, for 1.0.2.
pub fn argument_was_set(ctx: &SslCtx, argument: *mut c_void) {
    if let Some(context) = Context::of(ctx) {
        context.argument.store(argument, Ordering::Relaxed);
    }
}

/// `SSL_CTX_get_tlsext_status_arg` on 1.0.2.
pub fn remembered_argument(ctx: &SslCtx) -> *mut c_void {
    let context = Context::of(ctx);
    context.map_or(std::ptr::null_mut(), |context| {
        context.argument.load(Ordering::Relaxed)
    })
}

/// `SSL_CTX_set_tlsext_status_type`. 1.0.2 has none: new SSLs get it from us.
pub fn set_context_type(ctx: &SslCtx, status_type: c_int) -> bool {
    let Some(context) = Context::of(ctx).filter(|_| is_status_type(status_type)) else {
        return false;
    };
    let done = ctx.host().before_1_1() || ctx.set_status_type(status_type);
    if done {
        context.set_program_type(status_type);
    }
    done
}

/// `SSL_CTX_get_tlsext_status_type`.
pub fn context_type(ctx: &SslCtx) -> c_int {
    Context::of(ctx).map_or(STATUS_TYPE_OFF, |context| context.visible_type(ctx))
}

/// `SSL_set_tlsext_status_type`.
pub fn set_type(ssl: &Ssl, status_type: c_int) -> bool {
    if !is_status_type(status_type) {
        return false;
    }
    if !context::remembers_types(ssl.host()) {
        return ssl.set_status_type(status_type);
    }
    Connection::of(ssl).is_some_and(|connection| {
        let done = ssl.set_status_type(status_type);
        if done {
            connection.program_type.set(Some(status_type));
        }
        done
    })
}

/// `SSL_get_tlsext_status_type`.
pub fn status_type(ssl: &Ssl) -> c_int {
    context::visible_type(ssl)
}

/// `SSL_set_tlsext_status_ocsp_resp`: ownership passes if the answer is true.
pub fn set_response(ssl: &Ssl, given: Option<Buffer>) -> bool {
    match Connection::of(ssl) {
        Some(connection) => connection.set(ssl, given),
        None => {
            given.map(Buffer::into_raw);
            false
        }
    }
}

/// `SSL_get_tlsext_status_ocsp_resp`: borrowed until the next set or SSL_free.
pub fn response(ssl: &Ssl) -> Option<Lent> {
    // What a client received is libssl's. Up to 3.5 its pointer is stable, and
    // nothing need be remembered.
    if Connection::get(ssl).is_none() && !ssl.is_server() && ssl.response_count().is_none() {
        let received = ssl.response()?;
        return Some((received.as_ptr().cast_mut(), received.len()));
    }
    Connection::of(ssl)?.response(ssl)
}

/// Before `SSL_get0_tlsext_status_ocsp_resp_ex`: whether there is anything that
/// the program may see in libssl's list.
pub fn list_is_the_programs(ssl: &Ssl) -> bool {
    Connection::of(ssl).is_some_and(|connection| !connection.ours_in_libssl())
}

/// After `SSL_set0_tlsext_status_ocsp_resp_ex`: libssl's list is the answer now.
pub fn list_was_set(ssl: &Ssl) {
    // A record must be there from now on: without one, what libssl holds on a
    // server is taken for ours.
    if let Some(connection) = Connection::of(ssl) {
        connection.forget();
    }
}
