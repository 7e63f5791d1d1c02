//! What is remembered per SSL_CTX: the program's callback, its certificates,
//! and for libssl 1.0.2 the type and the argument, which it cannot tell.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

use once_cell::race::OnceBox;

use crate::config::{self, Client};
use crate::host::Record;
use crate::host::ctx::SslCtx;
use crate::host::library::Ready;
use crate::host::library_context::LibraryContext;
use crate::host::process::Origin;
use crate::host::route;
use crate::host::ssl::Ssl;
use crate::host::types::{self, SSL, STATUS_TYPE_OFF, StatusCallback, TLSEXT_STATUSTYPE_ocsp};

use super::certificates::Certificates;
use super::connection::Connection;

/// The record of an SSL_CTX. Threads that shake hands read it while another
/// one may change it.
pub struct Context {
    program_callback: AtomicPtr<c_void>,
    /// What `SSL_CTX_set_tlsext_status_arg` was given. libssl has it too, but
    /// 1.0.2 does not give it back.
    pub argument: AtomicPtr<c_void>,
    /// The status type that the program set, or UNSET.
    program_type: AtomicI32,
    /// The process that it was made in, where that was seen.
    pub origin: Origin,
    /// How many certificates of connections were added since.
    pub held_for_connections: AtomicU32,
    /// The library context that it was made in.
    pub library: LibraryContext,
    /// Whether its method is a client's: it never staples.
    pub client_only: bool,
    /// The certificates that were loaded into it.
    pub certificates: Certificates,
    /// The certificates of their chains, where libssl takes responses for them.
    pub intermediates: OnceBox<Certificates>,
}

impl Record for Context {
    fn ssl_created(&self, ssl: NonNull<SSL>) {
        // SAFETY: libssl is making it, and it has its method and its context.
        let handle = unsafe { route::of(ssl.as_ptr()).and_then(|made| Ssl::from_raw(made, ssl)) };
        let Some(ssl) = handle else { return };
        let asks = match self.program_type.load(Ordering::Relaxed) {
            UNSET => asks_everywhere(),
            status_type => {
                if let Some(connection) = Connection::of(&ssl) {
                    connection.program_type.set(Some(status_type));
                }
                status_type == TLSEXT_STATUSTYPE_ocsp
            }
        };
        if asks {
            ssl.set_status_type(TLSEXT_STATUSTYPE_ocsp);
        }
    }
}

/// Whether every client asks for a response, unless its program decides that.
pub fn asks_everywhere() -> bool {
    config::get().client_policy() != Client::Off
}

/// Whether the type that the program sets is not simply what libssl holds: 1.0.2
/// does not tell it, and a client policy sets one of its own.
pub fn remembers_types(host: Ready) -> bool {
    host.before_1_1() || asks_everywhere()
}

/// No status type was set.
const UNSET: c_int = c_int::MIN;

impl Context {
    /// Of a context whose program has set that callback.
    pub fn new(
        ctx: &SslCtx,
        callback: Option<StatusCallback>,
        origin: Origin,
        library: LibraryContext,
    ) -> Context {
        Context {
            program_callback: AtomicPtr::new(types::stored(callback)),
            argument: AtomicPtr::new(ptr::null_mut()),
            program_type: AtomicI32::new(UNSET),
            origin,
            library,
            held_for_connections: AtomicU32::new(0),
            client_only: ctx.is_client_only(),
            certificates: Certificates::default(),
            intermediates: OnceBox::new(),
        }
    }

    /// The record, if there is one.
    pub fn get(ctx: &SslCtx) -> Option<&Context> {
        ctx.record()
    }

    /// The library context that a context was made in, as far as is known.
    pub fn library_of(ctx: Option<&SslCtx>) -> LibraryContext {
        let context = ctx.and_then(Context::get);
        context.map_or(LibraryContext::DEFAULT, |context| context.library)
    }

    /// Keeps the program's callback.
    pub fn set_program_callback(&self, theirs: Option<StatusCallback>) {
        (self.program_callback).store(types::stored(theirs), Ordering::Release);
    }

    /// The program's callback.
    pub fn program_callback(&self) -> Option<StatusCallback> {
        types::from_stored(self.program_callback.load(Ordering::Acquire))
    }

    /// The status type that the program set, if it did.
    pub fn program_type(&self) -> Option<c_int> {
        Some(self.program_type.load(Ordering::Relaxed)).filter(|&set| set != UNSET)
    }

    /// Remembers the status type that the program sets.
    pub fn set_program_type(&self, status_type: c_int) {
        self.program_type.store(status_type, Ordering::Relaxed);
    }

    /// The status type as the program is to see it: its own, not what a client
    /// policy has set.
    pub fn visible_type(&self, ctx: &SslCtx) -> c_int {
        if remembers_types(ctx.host()) {
            return self.program_type().unwrap_or(STATUS_TYPE_OFF);
        }
        ctx.status_type()
    }
}

/// Whether the program itself asked for a response on this client, rather than
/// the operator's policy.
pub fn program_asked(ssl: &Ssl) -> bool {
    if !asks_everywhere() {
        return true;
    }
    let of_ssl = Connection::get(ssl).and_then(|connection| connection.program_type.get());
    let ctx = ssl.context();
    let context = ctx.as_ref().and_then(Context::get);
    let known = of_ssl.or_else(|| context?.program_type());
    known.map_or_else(
        // Without a record of the context no policy has asked either.
        || context.is_none(),
        |status_type| status_type == TLSEXT_STATUSTYPE_ocsp,
    )
}

/// The status type of an SSL as the program is to see it.
pub fn visible_type(ssl: &Ssl) -> c_int {
    let of_ssl = Connection::get(ssl).and_then(|connection| connection.program_type.get());
    if ssl.host().before_1_1() {
        return of_ssl.unwrap_or(STATUS_TYPE_OFF);
    }
    // Before a handshake an SSL of a method for both roles passes for a server.
    let may_be_client = !ssl.is_server() || !ssl.has_begun();
    if asks_everywhere() && may_be_client && !program_asked(ssl) {
        return STATUS_TYPE_OFF;
    }
    ssl.status_type()
}
