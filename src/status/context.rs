//! What is remembered per SSL_CTX: the program's callback, its certificates,
//! and for libssl 1.0.2 the type and the argument, which it cannot tell.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::config::{self, Client};
use crate::host::Record;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::library::Ready;
use crate::host::library_context::LibraryContext;
use crate::host::process::{self, Origin};
use crate::host::ssl::Ssl;
use crate::host::types::{STATUS_TYPE_OFF, StatusCallback, TLSEXT_STATUSTYPE_ocsp};
use crate::staples;

use super::callback;
use super::certificates::Certificates;
use super::chain::Intermediates;
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
    /// The certificates of their chains.
    pub intermediates: Intermediates,
}

impl Record for Context {
    fn ssl_created(&self, ssl: Ssl) {
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

/// Whether our callback belongs on every context, and not only on those whose
/// program sets one.
fn wanted_everywhere() -> bool {
    config::get().staples() || asks_everywhere()
}

/// Whether every client asks for a response, unless its program decides that.
fn asks_everywhere() -> bool {
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
    /// The record of a context that was just made in `library`.
    pub fn of_new(ctx: &SslCtx, library: LibraryContext) -> Option<&Context> {
        staples::map::open_first();
        Context::get(ctx).or_else(|| Context::adopt(ctx, Some(library)))
    }

    /// The record of a context that may have been made unseen. After a panic none is made.
    pub fn of(ctx: &SslCtx) -> Option<&Context> {
        let made = || guard::works().then(|| Context::adopt(ctx, None)).flatten();
        Context::get(ctx).or_else(made)
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

    /// `made_in` tells where one was made just now.
    fn adopt(ctx: &SslCtx, made_in: Option<LibraryContext>) -> Option<&Context> {
        let new = made_in.is_some();
        // Two threads may meet at a shared context that was made unseen. The
        // second one goes without for this call; nobody waits. Threads with
        // contexts of their own must not meet, or a set would fail: each context
        // has its place, and where two share one, the second needs none. A claim
        // of a process that forked meanwhile does not count in its child.
        static ADOPTING: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
        let address = ctx.address();
        let mine = (address as u64).rotate_left(16) ^ u64::from(process::claimant());
        let place = ADOPTING
            .get((address >> 6) % ADOPTING.len())
            .filter(|_| !new);
        let claim = place
            .map(|place| place.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed));
        if claim == Some(Err(mine)) {
            return None;
        }
        let found = if new { None } else { ctx.callback() };
        let context = Context::get(ctx).or_else(|| {
            ctx.remember(Context {
                program_callback: AtomicPtr::new(callback::stored(
                    found.flatten().filter(|&held| !callback::is_ours(held)),
                )),
                argument: AtomicPtr::new(ptr::null_mut()),
                program_type: AtomicI32::new(UNSET),
                origin: if new { Origin::here() } else { Origin::known() },
                library: made_in.unwrap_or(LibraryContext::DEFAULT),
                held_for_connections: AtomicU32::new(0),
                client_only: ctx.is_client_only(),
                certificates: Certificates::default(),
                intermediates: Intermediates::default(),
            })
        });
        if let Some((place, Ok(_))) = place.zip(claim) {
            place.store(0, Ordering::Release);
        }
        // A callback that is there and cannot be told (1.0.2) must stay.
        if let Some(context) = context
            && wanted_everywhere()
            && (new || found.is_some())
        {
            ctx.set_callback(callback::OURS);
            if asks_everywhere() && !ctx.host().before_1_1() && context.program_type().is_none() {
                ctx.set_status_type(TLSEXT_STATUSTYPE_ocsp);
            }
        }
        context
    }

    /// Keeps the program's callback and sees to it that libssl calls ours.
    pub fn set_program_callback(&self, ctx: &SslCtx, theirs: Option<StatusCallback>) -> bool {
        (self.program_callback).store(callback::stored(theirs), Ordering::Release);
        ctx.set_callback(callback::OURS)
    }

    /// The program's callback.
    pub fn program_callback(&self) -> Option<StatusCallback> {
        callback::from_stored(self.program_callback.load(Ordering::Acquire))
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
