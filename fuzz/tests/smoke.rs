//! Every target but the library's, on the corpus and some mutations of it.

mod support;

use std::time::Duration;

use staplegun_fuzz::{TARGETS, scratch};

fn main() {
    support::replay(&TARGETS, Duration::from_secs(1), 10_000);
    scratch::remove();
}
