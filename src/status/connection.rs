//! What is remembered per SSL: the response that the program handed over, and
//! whether what libssl holds is ours.
//!
//! libssl versions disagree on who frees what and which pointers stay valid. So
//! libssl always has a copy of its own, and the program's buffer stays here,
//! unmoved, until the next set or SSL_free.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::atomic::Ordering;

use crate::config;
use crate::host::Record;
use crate::host::buffer::Buffer;
use crate::host::ssl::Ssl;

use super::context::Context;

/// The record of an SSL. Like the SSL, used by one thread at a time.
pub struct Connection {
    held: RefCell<Option<Buffer>>,
    ours_in_libssl: Cell<bool>,
    /// Whether libssl alone holds what the program set: a list. Replaced, it could not
    /// be put back.
    only_in_libssl: Cell<bool>,
    /// The status type that the program set, or inherited from its context.
    pub program_type: Cell<Option<c_int>>,
}

impl Record for Connection {}

/// A response as the program sees it: where it is and how long.
pub type Lent = (*mut u8, usize);

impl Connection {
    /// The record, made now if need be. None for want of memory.
    pub fn of(ssl: &Ssl) -> Option<&Connection> {
        Connection::get(ssl).or_else(|| {
            ssl.remember(Connection {
                held: RefCell::new(None),
                ours_in_libssl: Cell::new(Connection::unrecorded_is_ours(ssl)),
                only_in_libssl: Cell::new(false),
                program_type: Cell::new(None),
            })
        })
    }

    /// The record, if there is one.
    pub fn get(ssl: &Ssl) -> Option<&Connection> {
        ssl.record()
    }

    /// Each set of the program's makes a record, so what libssl holds on a server
    /// without one is ours, stapled while the context had no callback. It may have
    /// one by now, or the SSL another context.
    pub fn unrecorded_is_ours(ssl: &Ssl) -> bool {
        let gone_past = || {
            let ctx = ssl.context();
            let context = ctx.as_ref().and_then(Context::get);
            context.is_some_and(|context| context.went_past_us.load(Ordering::Relaxed))
        };
        config::get().staples() && ssl.is_server() && ssl.has_response() && !gone_past()
    }

    /// Whether libssl holds a response of the program's that there is no other copy of:
    /// a list, or one that went past us.
    pub fn only_in_libssl(ssl: &Ssl) -> bool {
        ssl.has_response()
            && match Connection::get(ssl) {
                Some(own) => !own.ours_in_libssl() && own.held().is_none(),
                None => !Connection::unrecorded_is_ours(ssl),
            }
    }

    /// What the program set, or what it was last shown.
    pub fn held(&self) -> Option<Lent> {
        let held = self.held.borrow();
        held.as_ref()
            .map(|buffer| (buffer.as_ptr(), buffer.as_slice().len()))
    }

    /// Whether libssl holds a response of ours.
    pub fn ours_in_libssl(&self) -> bool {
        self.ours_in_libssl.get()
    }

    /// Takes the program's response, or clears it; libssl gets a copy. False,
    /// with the buffer left to the program, if that cannot be had.
    pub fn set(&self, ssl: &Ssl, given: &mut Option<Buffer>) -> bool {
        let bytes = given
            .as_ref()
            .map(Buffer::as_slice)
            .filter(|bytes| !bytes.is_empty());
        if !ssl.put_response(bytes) {
            return false;
        }
        self.ours_in_libssl.set(false);
        self.only_in_libssl.set(false);
        let has_bytes = bytes.is_some();
        let mut held = self.held.borrow_mut();
        let same = held
            .as_ref()
            .zip(given.as_ref())
            .is_some_and(|(old, new)| old.as_ptr() == new.as_ptr());
        let old = held.take();
        if same {
            // The same block twice: it changes hands and is not freed.
            old.map(Buffer::into_raw);
        }
        *held = given.take().filter(|_| has_bytes);
        true
    }

    /// Forgets the program's response: libssl has another one of its, or none.
    pub fn forget(&self, ssl: &Ssl) {
        self.held.borrow_mut().take();
        self.ours_in_libssl.set(false);
        self.only_in_libssl.set(ssl.has_response());
    }

    /// Takes ours out of libssl again and puts the program's back.
    pub fn restore(&self, ssl: &Ssl) {
        if self.ours_in_libssl.replace(false) {
            let mut held = self.held.borrow_mut();
            if !ssl.put_response(held.as_ref().map(Buffer::as_slice)) {
                // Without memory for a copy libssl gets the program's own, as
                // without us.
                held.take().map(|own| ssl.hand_over_response(own));
            }
        }
    }

    /// Gives libssl what is ours, by `hand_over`. The program's stays what it sees. A list
    /// that it set stays altogether.
    #[inline(always)]
    pub fn staple(&self, hand_over: impl FnOnce() -> bool) -> bool {
        if self.only_in_libssl.get() {
            return false;
        }
        let done = hand_over();
        self.ours_in_libssl.set(done);
        done
    }

    /// What the program is shown. On a server that is what it set; what a
    /// client received comes from libssl.
    pub fn response(&self, ssl: &Ssl) -> Option<Lent> {
        if self.ours_in_libssl.get() || (ssl.is_server() && self.held.borrow().is_some()) {
            return self.held();
        }
        let received = ssl.response()?;
        let mut held = self.held.borrow_mut();
        if held
            .as_ref()
            .is_some_and(|buffer| buffer.as_slice() == received)
        {
            drop(held);
            return self.held();
        }
        let lent = (received.as_ptr().cast_mut(), received.len());
        if ssl.response_count().is_none() {
            // Up to 3.5 libssl's own pointer is stable.
            return Some(lent);
        }
        let Some(copy) = Buffer::copy_of(ssl.host().crypto, received) else {
            return Some(lent);
        };
        *held = Some(copy);
        drop(held);
        self.held()
    }
}
