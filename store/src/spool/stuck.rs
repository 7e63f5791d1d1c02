//! Files of the spool that were read and cannot be removed: they are not read again while they are
//! there, and count for nobody but the user who left them.

use std::collections::HashMap;
use std::ffi::{CStr, CString};

/// Their names, whose each is, and whether it was there at the look that goes on.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    files: HashMap<CString, (u32, bool)>,
    by_user: HashMap<u32, usize>,
}

impl Stuck {
    /// One more, which that user has left.
    pub(super) fn add(&mut self, file: CString, uid: u32) {
        if self.files.insert(file, (uid, true)).is_none() {
            *self.by_user.entry(uid).or_default() += 1;
        }
    }

    /// Whether it is one of them, which is there still.
    pub(super) fn has(&mut self, file: &CStr) -> bool {
        let known = self.files.get_mut(file);
        known.map(|(_, is_there)| *is_there = true).is_some()
    }

    /// How many a user has left.
    pub(super) fn of(&self, uid: u32) -> usize {
        self.by_user.get(&uid).copied().unwrap_or(0)
    }

    /// All names were looked at.
    pub(super) fn forget_what_is_gone(&mut self) {
        let Self { files, by_user } = self;
        files.retain(|_, (_, is_there)| std::mem::take(is_there));
        by_user.clear();
        for (uid, _) in files.values() {
            *by_user.entry(*uid).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_counts_for_nobody_and_what_stays_for_who_left_it() {
        let mut stuck = Stuck::default();
        for (file, uid) in [(c"a", 1), (c"b", 1), (c"c", 1), (c"d", 2)] {
            stuck.add(file.into(), uid);
        }
        // They were there when they were read.
        stuck.forget_what_is_gone();
        assert_eq!([1, 2, 3].map(|uid| stuck.of(uid)), [3, 1, 0]);
        assert!(stuck.has(c"a") && stuck.has(c"c"));
        stuck.forget_what_is_gone();
        assert_eq!([1, 2, 3].map(|uid| stuck.of(uid)), [2, 0, 0]);
        assert!(!stuck.has(c"b"), "another may have that name now");
        stuck.add(c"b".into(), 2);
        assert_eq!([1, 2, 3].map(|uid| stuck.of(uid)), [2, 1, 0]);
    }
}
