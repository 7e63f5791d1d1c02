//! Leaves whose issuer STAPLEGUN_ISSUERS does not hold, so that not every load of one
//! reads all of it.

use std::sync::Mutex;

use crate::host::output;
use crate::staples::source::Stamp;

/// In seconds. A file that is overwritten in place leaves its directory's stamp.
const BELIEVED_FOR: i64 = 60;
const MAX_LEAVES: usize = 1024;

struct Missing {
    stamp: Option<Stamp>,
    until: i64,
    leaves: Vec<[u8; 32]>,
}

/// Never waited for: who does not get it searches.
static MISSING: Mutex<Missing> = Mutex::new(Missing {
    stamp: None,
    until: i64::MIN,
    leaves: Vec::new(),
});

impl Missing {
    fn is_of(&self, stamp: Stamp) -> bool {
        let now = output::seconds();
        self.stamp == Some(stamp) && (now..=now + BELIEVED_FOR).contains(&self.until)
    }
}

/// Whether the leaf's issuer was not there, when it had this stamp.
pub fn is_known(leaf: &[u8; 32], stamp: Stamp) -> bool {
    let missing = MISSING.try_lock();
    missing.is_ok_and(|missing| missing.is_of(stamp) && missing.leaves.contains(leaf))
}

/// The leaf's issuer was not there.
pub fn note(leaf: [u8; 32], stamp: Stamp) {
    let Ok(mut missing) = MISSING.try_lock() else {
        return;
    };
    if !missing.is_of(stamp) {
        missing.leaves.clear();
        missing.stamp = Some(stamp);
        missing.until = output::seconds() + BELIEVED_FOR;
    }
    if missing.leaves.len() < MAX_LEAVES {
        missing.leaves.push(leaf);
    }
}
