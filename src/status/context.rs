//! What is remembered per SSL_CTX: the program's callback, its certificates,
//! and for libssl 1.0.2 the type and the argument, which it cannot tell.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use crate::config;
use crate::host::Record;
use crate::host::ctx::SslCtx;
use crate::host::origin::Origin;
use crate::host::ssl::Ssl;
use crate::host::types::{STATUS_TYPE_OFF, StatusCallback, TLSEXT_STATUSTYPE_ocsp};
use crate::staples;

use super::callback;
use super::certificates::Certificates;
use super::connection::Connection;

/// The record of an SSL_CTX. Threads that shake hands read it while another
/// one may change it.
pub struct Context {
    program_callback: AtomicPtr<c_void>,
    ours_is_installed: AtomicBool,
    /// What `SSL_CTX_set_tlsext_status_arg` was given. libssl has it too, but
    /// 1.0.2 does not give it back.
    pub argument: AtomicPtr<c_void>,
    /// The status type on 1.0.2, whose contexts have none.
    pub status_type: AtomicI32,
    /// The process that it was made in, or first met.
    pub origin: Origin,
    /// Whether its method is a client's: it never staples.
    pub client_only: bool,
    /// The certificates that were loaded into it.
    pub certificates: Certificates,
}

impl Record for Context {
    fn ssl_created(&self, ssl: Ssl) {
        if self.status_type.load(Ordering::Relaxed) == TLSEXT_STATUSTYPE_ocsp
            && ssl.set_status_type(TLSEXT_STATUSTYPE_ocsp)
            && let Some(connection) = Connection::of(&ssl)
        {
            connection.status_type.set(TLSEXT_STATUSTYPE_ocsp);
        }
    }
}

/// Whether our callback belongs on every context, and not only on those whose
/// program sets one.
fn wanted_everywhere() -> bool {
    config::get().staples()
}

impl Context {
    /// The record of a context that was just made.
    pub fn of_new(ctx: &SslCtx) -> Option<&Context> {
        staples::map::open();
        Context::get(ctx).or_else(|| Context::adopt(ctx, true))
    }

    /// The record of a context that may have been made unseen.
    pub fn of(ctx: &SslCtx) -> Option<&Context> {
        Context::get(ctx).or_else(|| Context::adopt(ctx, false))
    }

    /// The record, if there is one.
    pub fn get(ctx: &SslCtx) -> Option<&Context> {
        ctx.record()
    }

    fn adopt(ctx: &SslCtx, new: bool) -> Option<&Context> {
        // Two threads may meet at a shared context that was made unseen. The
        // second one goes without for this call; nobody waits.
        static ADOPTING: AtomicBool = AtomicBool::new(false);
        if !new && ADOPTING.swap(true, Ordering::Acquire) {
            return None;
        }
        let found = if new { None } else { ctx.callback() };
        let context = Context::get(ctx).or_else(|| {
            ctx.remember(Context {
                program_callback: AtomicPtr::new(match found {
                    Some(Some(theirs)) if !callback::is_ours(theirs) => theirs as *mut c_void,
                    _ => ptr::null_mut(),
                }),
                ours_is_installed: AtomicBool::new(false),
                argument: AtomicPtr::new(ptr::null_mut()),
                status_type: AtomicI32::new(STATUS_TYPE_OFF),
                origin: Origin::here(),
                client_only: ctx.is_client_only(),
                certificates: Certificates::default(),
            })
        });
        if !new {
            ADOPTING.store(false, Ordering::Release);
        }
        // A callback that is there and cannot be told (1.0.2) must stay.
        if let Some(context) = context
            && wanted_everywhere()
            && (new || found.is_some())
        {
            context.install(ctx);
        }
        context
    }

    fn install(&self, ctx: &SslCtx) -> bool {
        if self.ours_is_installed.load(Ordering::Relaxed) {
            return true;
        }
        let installed = ctx.set_callback(callback::OURS);
        self.ours_is_installed.store(installed, Ordering::Relaxed);
        installed
    }

    /// Keeps the program's callback and sees to it that libssl calls ours.
    pub fn set_program_callback(&self, ctx: &SslCtx, theirs: Option<StatusCallback>) -> bool {
        let stored = theirs.map_or(ptr::null_mut(), |theirs| theirs as *mut c_void);
        self.program_callback.store(stored, Ordering::Release);
        self.install(ctx)
    }

    /// The program's callback.
    pub fn program_callback(&self) -> Option<StatusCallback> {
        callback::from_stored(self.program_callback.load(Ordering::Acquire))
    }

    /// The status type that a new SSL starts with, on libssl 1.0.2.
    pub fn own_status_type(&self) -> c_int {
        self.status_type.load(Ordering::Relaxed)
    }
}
