//! What STAPLEGUN_RESPONSE named when the program initialised its libssl: for programs
//! that load their certificate where those files cannot be reached any more, as Dovecot's
//! login does in its chroot.

use std::path::{Path, PathBuf};

use once_cell::race::OnceBox;

use crate::config;
use crate::host::memory::{try_box, try_push};

use super::source::{self, Candidate, Stamp};

/// At most so many files of a directory are read ahead.
const MAX_FILES: usize = 64;

static AHEAD: OnceBox<Vec<Candidate>> = OnceBox::new();

/// Reads what is configured, once. What cannot be read is left to the load of a
/// certificate, which says so.
pub fn read() {
    let configured = &config::get().responses;
    if configured.is_empty() || AHEAD.get().is_some() || !config::may_open() {
        return;
    }
    let mut files = Vec::new();
    for path in configured {
        if Stamp::of(path).is_some_and(|stamp| stamp.is_directory()) {
            let (found, _) = source::files_in(path, MAX_FILES).unwrap_or_default();
            found.into_iter().for_each(|file| add(&mut files, file));
        } else {
            add(&mut files, path.clone());
        }
    }
    // Another thread may have been first.
    let _ = try_box(files).map(|files| AHEAD.set(files));
}

fn add(files: &mut Vec<Candidate>, path: PathBuf) {
    if let Ok(der) = source::read(&path, staplegun_ocsp::MAX_RESPONSE as u64) {
        try_push(files, Candidate { path, der });
    }
}

/// What was read of `configured`, a file or a directory.
pub fn of(configured: &Path) -> impl Iterator<Item = &'static Candidate> {
    let all = AHEAD.get().into_iter().flatten();
    all.filter(move |ahead| ahead.path == configured || ahead.path.parent() == Some(configured))
}
