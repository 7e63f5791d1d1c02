//! What is remembered per SSL: whose the response in libssl is, and the status type that the
//! program set.
//!
//! Each set of the program's makes a record. So what libssl holds on a server without one is
//! ours: most connections need none, and cost less.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::ptr::NonNull;

use crate::config;
use crate::host::Record;
use crate::host::buffer::Buffer;
use crate::host::guard;
use crate::host::ssl::Ssl;

use super::response::{Libssl, Response};

/// The record of an SSL. Like the SSL, used by one thread at a time.
pub struct Connection {
    /// Whose the response is that libssl holds.
    pub response: RefCell<Response<Buffer>>,
    /// The status type that the program set, or inherited from its context.
    pub program_type: Cell<Option<c_int>>,
}

impl Record for Connection {}

impl Libssl<Buffer> for Ssl {
    fn put_response(&self, bytes: Option<&[u8]>) -> bool {
        Ssl::put_response(self, bytes)
    }

    fn hand_over_response(&self, buffer: Buffer) -> Result<(), Buffer> {
        Ssl::hand_over_response(self, buffer)
    }
}

impl Connection {
    /// The record, made now if need be. None for want of memory.
    pub fn of(ssl: &Ssl) -> Option<&Connection> {
        Connection::get(ssl).or_else(|| {
            let response = if holds_ours_unrecorded(ssl) {
                Response::Ours(None)
            } else {
                Response::Nothing
            };
            ssl.remember(Connection {
                response: RefCell::new(response),
                program_type: Cell::new(None),
            })
        })
    }

    /// The record, if there is one.
    pub fn get(ssl: &Ssl) -> Option<&Connection> {
        ssl.record()
    }
}

/// Whether libssl holds a response of ours for an SSL without a record. After a panic it may be
/// the program's.
pub fn holds_ours_unrecorded(ssl: &Ssl) -> bool {
    config::get().staples() && ssl.is_server() && guard::works() && ssl.has_response()
}

/// The response as the program sees it, borrowed until the next set or SSL_free. On a server
/// that is what it set; what a client received comes from libssl.
pub fn response(ssl: &Ssl) -> Option<NonNull<[u8]>> {
    let libssls = || ssl.response().map(NonNull::from);
    let known = match Connection::get(ssl) {
        Some(known) => known,
        None if ssl.is_server() => {
            let is_ours = config::get().staples() && guard::works();
            return libssls().filter(|_| !is_ours);
        }
        // Up to 3.5 libssl's own pointer is stable, from 3.6 on until the next get.
        None if ssl.response_count().is_none() => return libssls(),
        None => match Connection::of(ssl) {
            Some(made) => made,
            None => return libssls(),
        },
    };
    let mut response = known.response.borrow_mut();
    if matches!(*response, Response::Ours(_) | Response::Copied(_)) && ssl.is_server() {
        return response.buffer().map(Buffer::as_lent);
    }
    let received = ssl.response()?;
    let is_shown = |own: &Buffer| own.as_slice() == received;
    if ssl.response_count().is_none() && !response.buffer().is_some_and(is_shown) {
        return Some(NonNull::from(received));
    }
    let copy = || Buffer::copy_of(ssl.host().crypto, received);
    let shown = response.show(received, copy).map(Buffer::as_lent);
    shown.or(Some(NonNull::from(received)))
}
