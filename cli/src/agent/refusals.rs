//! Refusals of what users left: gathered for a moment, so that a flood makes one line for
//! each user and reason.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long they are gathered while more comes.
const GATHERING: Duration = Duration::from_millis(250);

/// Refusals to be told.
#[derive(Debug, Default)]
pub struct Refusals {
    /// By user and reason.
    gathered: HashMap<(u32, String), Same>,
    since: Option<Instant>,
}

#[derive(Debug)]
struct Same {
    files: usize,
    /// The first one's subject, and its key.
    certificate: String,
    key: String,
}

impl Refusals {
    /// A certificate that `uid` left was refused.
    pub fn add(&mut self, uid: u32, certificate: String, key: String, why: String) {
        self.since.get_or_insert_with(Instant::now);
        let first = || Same {
            files: 0,
            certificate,
            key,
        };
        let same = self.gathered.entry((uid, why)).or_insert_with(first);
        same.files += 1;
    }

    /// Writes the lines if it is time, or if nothing more comes.
    pub fn tell(&mut self, is_over: bool) {
        if !is_over && self.since.is_none_or(|since| since.elapsed() < GATHERING) {
            return;
        }
        self.since = None;
        for ((uid, why), same) in self.gathered.drain() {
            let Same {
                files,
                certificate,
                key,
            } = same;
            tracing::warn!(
                uid,
                files,
                %certificate,
                %key,
                cause = "spool",
                "refused a certificate in the spool: {why}"
            );
        }
    }
}
