//! The live map in this process: looked for when the first context is made, and again when
//! certificates are loaded until it is there; read in handshakes without a system call.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::OnceBox;
use staplegun_store::Key;
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted};
use staplegun_store::slots::{Copied, Miss};

use crate::config::{self, Config};
use crate::host::memory::try_box;
use crate::log;

static MAP: OnceBox<Reader> = OnceBox::new();

/// Where the store lies, as configured.
pub fn layout(config: &Config) -> Layout {
    config
        .directory
        .as_deref()
        .map_or_else(Layout::system, Layout::at)
}

/// Who was told where the store lies trusts what is mounted there.
fn trusted(config: &Config) -> Trusted {
    match config.directory {
        Some(_) => Trusted::ReadOnlyMounts,
        None => Trusted::Owners,
    }
}

/// Whether the map was looked for.
static SOUGHT: AtomicBool = AtomicBool::new(false);

/// Maps the map, if this is the first time that anybody wants it.
pub fn open_first() {
    if !SOUGHT.load(Ordering::Relaxed) {
        open();
    }
}

/// Whether the map is mapped.
pub fn is_mapped() -> bool {
    MAP.get().is_some()
}

/// Maps the map, if there is one and it is not mapped yet. Never to be called
/// in a handshake.
pub fn open() {
    static SAID: AtomicBool = AtomicBool::new(false);
    let config = config::get();
    if is_mapped() || !config.staples() || !config::may_open() {
        return;
    }
    SOUGHT.store(true, Ordering::Relaxed);
    match Reader::open_by(&layout(config).map(), config.map_max, trusted(config)) {
        Ok(reader) => {
            if let Some(reader) = try_box(reader) {
                // Another thread may have been first; one mapping is enough.
                let _ = MAP.set(reader);
            }
        }
        // No map is the normal state where no agent runs. One that cannot be
        // used is worth a line.
        Err(error) if !error.is_absent() => {
            if !SAID.swap(true, Ordering::Relaxed) {
                log::warning!("the live map is not used: {error}");
            }
        }
        Err(_) => {}
    }
}

/// Copies the response for the leaf `key`, if the map has one to be stapled at
/// `now`.
pub fn read<B: AsMut<[MaybeUninit<u8>]>>(
    key: &Key,
    now: i64,
    space: impl FnMut(usize) -> Option<B>,
) -> Result<Copied<B>, Miss> {
    MAP.get().ok_or(Miss::Absent)?.read(key, now, space)
}

/// Whether the map has a response to be stapled, or the agent's word that there is
/// none.
pub fn knows(key: &Key, now: i64) -> bool {
    let found = MAP.get().map(|map| map.lookup(key, now));
    matches!(found, Some(Ok(_) | Err(Miss::Withdrawn)))
}

/// Whether the map has a response that may be sent at `now` and of whose life more
/// than a quarter is left. The agent renews at about half of it, so it knows the
/// certificate; what comes nearer to its end may belong to one that it has forgotten.
pub fn is_kept_fresh(key: &Key, now: i64) -> bool {
    let Some(Ok(found)) = MAP.get().map(|map| map.lookup(key, now)) else {
        return false;
    };
    let (life, left) = (
        found.until().saturating_sub(found.this_update()),
        found.until().saturating_sub(now),
    );
    left > life / 4
}
