//! Which response a server's handshake sends: the program's if it provides one,
//! else ours.

use std::ffi::c_int;

use crate::config::{self, Server};
use crate::host::ssl::Ssl;
use crate::host::types::{SSL_TLSEXT_ERR_NOACK, SSL_TLSEXT_ERR_OK, TLSEXT_STATUSTYPE_ocsp};
use crate::staples;

use super::certificate;
use super::connection::Connection;

/// Before the program's callback: libssl must hold what the program set, and
/// not what we stapled in an earlier handshake, or earlier in this one.
pub fn before_program(ssl: &Ssl) {
    if let Some(connection) = Connection::get(ssl) {
        connection.restore(ssl);
    }
    // The callback runs because the client asked; from 1.1.0 on libssl tells so.
    if ssl.host().before_1_1()
        && let Some(connection) = Connection::of(ssl)
    {
        connection.program_type.set(Some(TLSEXT_STATUSTYPE_ocsp));
    }
}

/// After it: what the handshake goes on with, given the program's answer.
pub fn after_program(ssl: &Ssl, answer: c_int) -> c_int {
    let may_staple = matches!(answer, SSL_TLSEXT_ERR_OK | SSL_TLSEXT_ERR_NOACK);
    if !config::get().staples() || !may_staple {
        return answer;
    }
    if answer == SSL_TLSEXT_ERR_OK && ssl.has_response() {
        return program_provides(ssl);
    }
    if staple(ssl) {
        SSL_TLSEXT_ERR_OK
    } else {
        answer
    }
}

/// The program's response goes out, unless clients would reject it and the
/// operator wants that repaired.
fn program_provides(ssl: &Ssl) -> c_int {
    let repairs = config::get().server == Server::Repair;
    if repairs || staples::judges_the_programs() {
        let rejected = ssl.context().is_some_and(|ctx| {
            certificate::presented(ssl, &ctx)
                .zip(ssl.response())
                .is_some_and(|(leaf, bytes)| certificate::would_be_rejected(ssl, &ctx, leaf, bytes))
        });
        if rejected && repairs {
            staple(ssl);
        }
    }
    SSL_TLSEXT_ERR_OK
}

/// Staples ours, if there is one to be sent now.
fn staple(ssl: &Ssl) -> bool {
    let ctx = ssl.context();
    let response = ctx.as_ref().and_then(|ctx| {
        let leaf = certificate::presented(ssl, ctx)?;
        certificate::response(ssl, ctx, leaf)
    });
    response
        .zip(Connection::of(ssl))
        .is_some_and(|(response, connection)| connection.staple(ssl, response))
}
