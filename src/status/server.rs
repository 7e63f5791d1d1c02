//! Which response a server's handshake sends: the program's if it provides one,
//! else ours.

use std::ffi::c_int;

use crate::config::{self, Server};
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::ssl::Ssl;
use crate::host::types::{SSL_TLSEXT_ERR_NOACK, SSL_TLSEXT_ERR_OK, TLSEXT_STATUSTYPE_ocsp};
use crate::staples;

use super::chain;
use super::connection::{self, Connection};
use super::context::Context;
use super::presented::presented;
use super::response::Response;

/// Before the program's callback: libssl must hold what the program set, and
/// not what we stapled in an earlier handshake, or earlier in this one.
#[inline(always)]
pub fn before_program(ssl: &Ssl, has_callback: bool) {
    let crypto = ssl.host().crypto;
    match Connection::get(ssl) {
        Some(known) if matches!(*known.response.borrow(), Response::Ours(_)) => {
            guard::errors_kept(crypto, || known.response.borrow_mut().restore(ssl));
        }
        None if has_callback && connection::holds_ours_unrecorded(ssl) => {
            guard::errors_kept(crypto, || ssl.put_response(None));
        }
        _ => {}
    }
    // The callback runs because the client asked; from 1.1.0 on libssl tells so.
    if ssl.host().before_1_1()
        && let Some(connection) = guard::errors_kept(crypto, || Connection::of(ssl))
    {
        connection.program_type.set(Some(TLSEXT_STATUSTYPE_ocsp));
    }
}

/// After it: what the handshake goes on with, given the program's answer.
#[inline(always)]
pub fn after_program(ssl: &Ssl, ctx: &SslCtx, context: &Context, answer: c_int) -> c_int {
    let may_staple = matches!(answer, SSL_TLSEXT_ERR_OK | SSL_TLSEXT_ERR_NOACK);
    if !config::get().staples() || !may_staple {
        return answer;
    }
    if answer == SSL_TLSEXT_ERR_OK && ssl.has_response() {
        let rejected = is_judged() && would_be_rejected(ssl, ctx, context);
        if rejected && config::get().server == Server::Repair {
            staple(ssl, ctx, context);
        }
        return answer;
    }
    // It may be wanted at the next call, after a HelloRetryRequest.
    let is_alone = |own: &Connection| matches!(*own.response.borrow(), Response::Alone(_));
    if context.program_callback().is_some() && Connection::get(ssl).is_some_and(is_alone) {
        return answer;
    }
    if staple(ssl, ctx, context) {
        SSL_TLSEXT_ERR_OK
    } else {
        // Not OK without a response: 1.0.2 would send an empty one, where this SSL has sent one
        // before.
        SSL_TLSEXT_ERR_NOACK
    }
}

/// Whether anybody wants to know what the program's own response is worth.
fn is_judged() -> bool {
    config::get().server == Server::Repair || staples::judges_the_programs()
}

fn would_be_rejected(ssl: &Ssl, ctx: &SslCtx, context: &Context) -> bool {
    guard::errors_kept(ssl.host().crypto, || {
        presented(ssl, ctx, context)
            .zip(ssl.response())
            .is_some_and(|(presented, bytes)| presented.would_be_rejected(ssl, ctx, context, bytes))
    })
}

/// Staples ours, if there is one to be sent now.
fn staple(ssl: &Ssl, ctx: &SslCtx, context: &Context) -> bool {
    let crypto = ssl.host().crypto;
    let Some(presented) = presented(ssl, ctx, context) else {
        guard::forget_errors(crypto);
        return false;
    };
    let Some(response) = presented.response(ssl, ctx, context) else {
        return false;
    };
    let taken = match chain::list(ssl, context, &response) {
        Some(list) => hand_over(ssl, || ssl.hand_over_list(list)),
        None => hand_over(ssl, || ssl.hand_over_response(response).is_ok()) && ssl.took_response(),
    };
    if !taken {
        if let Some(known) = Connection::get(ssl) {
            known.response.borrow_mut().restore(ssl);
        }
        guard::forget_errors(crypto);
    }
    taken
}

/// Gives libssl what is ours. Without a record it is known for ours.
#[inline(always)]
fn hand_over(ssl: &Ssl, hand_over: impl FnOnce() -> bool) -> bool {
    match Connection::get(ssl) {
        None => hand_over(),
        Some(known) => known.response.borrow_mut().staple(hand_over),
    }
}
