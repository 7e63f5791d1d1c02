//! One function per operation of the family. The exported names and the
//! interposed commands both end here, so that they cannot differ. None: what is to
//! be remembered cannot be, for want of memory; nothing has happened yet, and the
//! real function is to be called.

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
pub fn set_callback(ctx: &SslCtx, callback: Option<StatusCallback>) -> Option<bool> {
    Context::of(ctx).map(|context| context.set_program_callback(ctx, callback))
}

/// The same for a context that is known already, without guard: nothing is made, and
/// nothing here panics.
pub fn set_callback_without_record(ctx: &SslCtx, callback: Option<StatusCallback>) -> Option<bool> {
    Context::get(ctx).map(|context| context.set_program_callback(ctx, callback))
}

/// `SSL_CTX_get_tlsext_status_cb`: the program's, never ours.
pub fn callback(ctx: &SslCtx) -> Option<Option<StatusCallback>> {
    Context::of(ctx).map(Context::program_callback)
}

/// The same without a new record, as libssl tells it. Ours, called by the program,
/// would call the program.
pub fn callback_without_record(ctx: &SslCtx) -> Option<Option<StatusCallback>> {
    let theirs = ctx
        .callback()?
        .filter(|&held| !super::callback::is_ours(held));
    Some(theirs.or_else(|| Context::get(ctx)?.program_callback()))
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
pub fn set_context_type(ctx: &SslCtx, status_type: c_int) -> Option<bool> {
    if !is_status_type(status_type) {
        return Some(false);
    }
    let context = Context::of(ctx)?;
    let done = ctx.host().before_1_1() || ctx.set_status_type(status_type);
    if done {
        context.set_program_type(status_type);
    }
    Some(done)
}

/// After a set that only libssl knows of.
pub fn context_type_went_past_us(ctx: &SslCtx, status_type: c_int) {
    if let Some(context) = Context::get(ctx) {
        context.set_program_type(status_type);
    }
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
pub fn set_type(ssl: &Ssl, status_type: c_int) -> Option<bool> {
    if !is_status_type(status_type) {
        return Some(false);
    }
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

/// After a set that only libssl knows of.
pub fn type_went_past_us(ssl: &Ssl, status_type: c_int) {
    match Connection::get(ssl) {
        Some(connection) => connection.program_type.set(Some(status_type)),
        None => note_in_context(ssl),
    }
}

/// `SSL_get_tlsext_status_type`. Makes no record.
pub fn status_type(ssl: &Ssl) -> c_int {
    context::visible_type(ssl)
}

/// `SSL_set_tlsext_status_ocsp_resp`: what was given is taken if it succeeds.
pub fn set_response(ssl: &Ssl, given: &mut Option<Buffer>) -> Option<bool> {
    Connection::of(ssl)?.set(ssl, given).then_some(true)
}

/// `SSL_get_tlsext_status_ocsp_resp`: borrowed until the next set or SSL_free.
pub fn response(ssl: &Ssl) -> Option<Option<Lent>> {
    // What a client received is libssl's. Up to 3.5 its pointer is stable, and
    // nothing need be remembered.
    if Connection::get(ssl).is_none() && !ssl.is_server() && ssl.response_count().is_none() {
        return Some(lent(ssl));
    }
    Connection::of(ssl).map(|connection| connection.response(ssl))
}

/// The same without a new record: the program's, as far as it is known.
pub fn response_without_record(ssl: &Ssl) -> Option<Lent> {
    if holds_ours(ssl) {
        return Connection::get(ssl)?.held();
    }
    lent(ssl)
}

/// What libssl holds, as libssl lends it.
fn lent(ssl: &Ssl) -> Option<Lent> {
    let held = ssl.response()?;
    Some((held.as_ptr().cast_mut(), held.len()))
}

/// Before `SSL_get0_tlsext_status_ocsp_resp_ex`: whether there is anything that
/// the program may see in libssl's list.
pub fn list_is_the_programs(ssl: &Ssl) -> bool {
    !Connection::of(ssl).map_or_else(|| holds_ours(ssl), Connection::ours_in_libssl)
}

/// Whether libssl holds a response of ours, as far as is known without a new record.
fn holds_ours(ssl: &Ssl) -> bool {
    let known = Connection::get(ssl).map(Connection::ours_in_libssl);
    known.unwrap_or_else(|| Connection::unrecorded_is_ours(ssl))
}

/// After `SSL_set0_tlsext_status_ocsp_resp_ex`: libssl's list is the answer now.
pub fn list_was_set(ssl: &Ssl) -> Option<()> {
    // A record must be there from now on: without one, what libssl holds on a
    // server is taken for ours.
    Connection::of(ssl).map(|connection| connection.forget(ssl))
}

/// After a set that only libssl knows of.
pub fn response_went_past_us(ssl: &Ssl) {
    match Connection::get(ssl) {
        Some(connection) => connection.forget(ssl),
        None => note_in_context(ssl),
    }
}

/// What is set on an SSL without a record is known for all SSLs of its context.
fn note_in_context(ssl: &Ssl) {
    let ctx = ssl.context();
    if let Some(context) = ctx.as_ref().and_then(Context::get) {
        context.went_past_us.store(true, Ordering::Relaxed);
    }
}
