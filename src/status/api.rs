//! One function per operation of the family: our part of it. The exported names and the
//! interposed commands both end here, so that they cannot differ.
//!
//! None: what is to be remembered cannot be. For want of memory the operation fails then;
//! after a panic libssl does it by itself.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::config;
use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::ssl::Ssl;
use crate::host::types::{STATUS_TYPE_OFF, StatusCallback, TLSEXT_STATUSTYPE_ocsp};

use super::adopt;
use super::connection::{self, Connection};
use super::context::{self, Context};
use super::response::Response;

/// One of the two types there are; libssl would store anything.
fn status_type_of(number: c_long) -> Option<c_int> {
    let types = [TLSEXT_STATUSTYPE_ocsp, STATUS_TYPE_OFF];
    types
        .into_iter()
        .find(|&known| c_long::from(known) == number)
}

/// `SSL_CTX_set_tlsext_status_cb`. A policy that refuses what is not checked does not let the
/// program's take our place.
pub fn set_callback(ctx: &SslCtx, callback: Option<StatusCallback>) -> Option<bool> {
    let Some(context) = adopt::record_of(ctx) else {
        return config::get().refuses_unchecked().then_some(false);
    };
    context.set_program_callback(callback);
    Some(ctx.set_callback(super::callback::OURS))
}

/// `SSL_CTX_get_tlsext_status_cb`: the program's, never ours. Without a record what libssl
/// tells: ours, called by the program, would call the program.
pub fn callback(ctx: &SslCtx) -> Option<Option<StatusCallback>> {
    let remembered = adopt::record_of(ctx).map(Context::program_callback);
    remembered.or_else(|| {
        let theirs = ctx.callback()?;
        Some(theirs.filter(|&held| !super::callback::is_ours(held)))
    })
}

/// Before `SSL_CTX_set_tlsext_status_arg`: 1.0.2 does not give it back.
pub fn set_argument(ctx: &SslCtx, argument: *mut c_void) -> Option<()> {
    match adopt::record_of(ctx) {
        Some(context) => context.argument.store(argument, Ordering::Relaxed),
        None if ctx.host().before_1_1() => return None,
        None => {}
    }
    Some(())
}

/// `SSL_CTX_get_tlsext_status_arg` on 1.0.2.
pub fn argument(ctx: &SslCtx) -> Option<*mut c_void> {
    adopt::record_of(ctx).map(|context| context.argument.load(Ordering::Relaxed))
}

/// `SSL_CTX_set_tlsext_status_type`. 1.0.2 has none: new SSLs get it from us.
pub fn set_context_type(ctx: &SslCtx, number: c_long) -> Option<bool> {
    let Some(status_type) = status_type_of(number) else {
        return Some(false);
    };
    let context = adopt::record_of(ctx)?;
    let done = ctx.host().before_1_1() || ctx.set_status_type(status_type);
    if done {
        context.set_program_type(status_type);
    }
    Some(done)
}

/// `SSL_CTX_get_tlsext_status_type`. Makes no record.
pub fn context_type(ctx: &SslCtx) -> c_int {
    match Context::get(ctx) {
        Some(context) => context.visible_type(ctx),
        None if ctx.host().before_1_1() => STATUS_TYPE_OFF,
        None => ctx.status_type(),
    }
}

/// `SSL_set_tlsext_status_type`.
pub fn set_type(ssl: &Ssl, number: c_long) -> Option<bool> {
    let Some(status_type) = status_type_of(number) else {
        return Some(false);
    };
    if !context::remembers_types(ssl.host()) {
        return Some(ssl.set_status_type(status_type));
    }
    let connection = Connection::of(ssl)?;
    let done = ssl.set_status_type(status_type);
    if done {
        connection.program_type.set(Some(status_type));
    }
    Some(done)
}

/// `SSL_get_tlsext_status_type`. Makes no record.
pub fn status_type(ssl: &Ssl) -> c_int {
    context::visible_type(ssl)
}

/// `SSL_set_tlsext_status_ocsp_resp`: what was given is taken if it succeeds.
pub fn set_response(ssl: &Ssl, given: &mut Option<Buffer>) -> Option<bool> {
    let mut response = Connection::of(ssl)?.response.borrow_mut();
    if guard::works() {
        return Some(response.set(ssl, given));
    }
    response.left_to_libssl(given.is_none());
    None
}

/// `SSL_get_tlsext_status_ocsp_resp`: borrowed until the next set or SSL_free.
pub fn response(ssl: &Ssl) -> Option<NonNull<[u8]>> {
    connection::response(ssl)
}

/// `SSL_get0_tlsext_status_ocsp_resp_ex`: how many there are, and their stack, if there is
/// anything that the program may see. What it has borrowed stays where it is.
pub fn list(ssl: &Ssl) -> Option<(c_long, *mut c_void)> {
    match Connection::get(ssl) {
        Some(known) => {
            let mut response = known.response.borrow_mut();
            if !ssl.is_shaking_hands() {
                response.restore(ssl);
            }
            if matches!(*response, Response::Ours(_)) {
                return None;
            }
            let list = ssl.response_list().filter(|&(count, _)| count > 0);
            if list.is_some() {
                response.lent_as_it_is();
            }
            list
        }
        None if connection::holds_ours_unrecorded(ssl) => None,
        None => ssl.response_list().filter(|&(count, _)| count > 0),
    }
}

/// Before `SSL_set0_tlsext_status_ocsp_resp_ex`: libssl's list is the answer from now on.
pub fn set_list(ssl: &Ssl, is_empty: bool) -> Option<()> {
    let mut response = Connection::of(ssl)?.response.borrow_mut();
    response.left_to_libssl(is_empty);
    Some(())
}
