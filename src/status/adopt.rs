//! A context gets its record and our callback: when it is made, or met later if that was unseen.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::library_context::LibraryContext;
use crate::host::process::{self, Origin};
use crate::host::types::TLSEXT_STATUSTYPE_ocsp;
use crate::staples;

use super::callback;
use super::context::{self, Context};

/// The record of a context that was just made in `library`.
pub fn new_context(ctx: &SslCtx, library: LibraryContext) -> Option<&Context> {
    if guard::works() {
        staples::map::open_first();
    }
    Context::get(ctx).or_else(|| adopt(ctx, Some(library)))
}

/// The record of a context that may have been made unseen. After a panic none is made, but for
/// a policy that refuses what is not checked.
pub fn record_of(ctx: &SslCtx) -> Option<&Context> {
    let adopts = || guard::works() || config::get().refuses_unchecked();
    Context::get(ctx).or_else(|| adopts().then(|| adopt(ctx, None)).flatten())
}

/// Whether our callback belongs on every context, and not only on those whose
/// program sets one.
fn wanted_everywhere() -> bool {
    config::get().staples() || context::asks_everywhere()
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
    let claim =
        place.map(|place| place.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed));
    if claim == Some(Err(mine)) {
        return None;
    }
    let found = if new { None } else { ctx.callback() };
    let context = Context::get(ctx).or_else(|| {
        let theirs = found.flatten().filter(|&held| !callback::is_ours(held));
        let origin = if new { Origin::here() } else { Origin::known() };
        let library = made_in.unwrap_or(LibraryContext::DEFAULT);
        ctx.remember(Context::new(ctx, theirs, origin, library))
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
        if context::asks_everywhere()
            && !ctx.host().before_1_1()
            && context.program_type().is_none()
        {
            ctx.set_status_type(TLSEXT_STATUSTYPE_ocsp);
        }
    }
    context
}
