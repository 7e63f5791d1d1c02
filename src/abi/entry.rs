//! What the entries share: handles on the program's objects, and the answer for functions that
//! libssl lacks.

use std::ffi::c_int;
use std::ptr::NonNull;

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::library::Library;
use crate::host::route;
use crate::host::ssl::Ssl;
use crate::host::types::{SSL, SSL_CTX};

/// A handle on `ssl`, unless the shim is disabled or cannot work on its library.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL for as long as the handle is used.
#[inline(always)]
pub unsafe fn ssl_handle(ssl: *mut SSL) -> Option<Ssl> {
    let ssl = NonNull::new(ssl).filter(|_| !config::get().disabled)?;
    // SAFETY: the caller vouches for ssl.
    unsafe { Ssl::from_raw(route::of(ssl.as_ptr())?, ssl) }
}

/// A handle on `ctx`, unless the shim is disabled or cannot work on its library.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX for as long as the handle is used.
pub unsafe fn ctx_handle(ctx: *mut SSL_CTX) -> Option<SslCtx> {
    let ctx = NonNull::new(ctx).filter(|_| !config::get().disabled)?;
    // SAFETY: the caller vouches for ctx.
    unsafe { SslCtx::from_raw(route::of(ctx.as_ptr())?, ctx) }
}

/// The answer of a function that this libssl does not have: 0, with an error queued.
pub fn absent(library: &'static Library) -> c_int {
    if let Some(host) = library.already_ready() {
        host.queue_unsupported();
    }
    0
}
