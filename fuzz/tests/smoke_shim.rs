//! The library's targets, on the corpus and some mutations of it.

mod support;

use std::time::Duration;

use staplegun_fuzz_shim::{TARGETS, pki, scratch};

fn main() {
    // SAFETY: this is the only thread so far, and nothing was called.
    unsafe { pki::prepare() };
    support::replay(&TARGETS, Duration::from_secs(2), 10_000);
    scratch::remove();
}
