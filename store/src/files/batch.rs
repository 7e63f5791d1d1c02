//! Many changes at once, for little more than the disk takes for one.

use super::directory::Directory;
use super::error::FileError;
use super::replace::Unfinished;
use super::stamp::Stamp;
use super::store::Files;
use crate::Key;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::cell::OnceCell;

/// From so many new files on the whole file system is brought to the disk once,
/// instead of one file after the other: what others have written there then comes
/// to the disk as well, which is no way to treat a machine for a file or two.
const MANY: usize = 32;

/// The most files that are open at once.
const MOST: usize = 256;

/// Which of the three directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// [`Files::certificates`].
    Certificate,
    /// [`Files::staples`].
    Staple,
    /// [`Files::state`].
    Notes,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These are its bytes from now on.
    Write(Vec<u8>),
    /// It is removed, if it is there.
    Remove,
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which directory.
    pub which: Which,
    /// The file's key.
    pub key: Key,
    /// The change.
    pub what: What,
}

/// A change that could not be made.
#[derive(Debug)]
pub struct Failed {
    /// In which directory.
    pub which: Which,
    /// The file's key.
    pub key: Key,
    /// Why not: the old file stands, or is not known to be on the disk.
    pub error: FileError,
}

/// What came of changes.
#[derive(Debug, Default)]
pub struct Applied {
    /// Those that could not be made.
    pub failed: Vec<Failed>,
    /// Of the responses that were written, which files they are: who wrote them need not
    /// look whether they are.
    pub responses: Vec<(Key, Stamp)>,
}

impl Files {
    /// Makes changes, each file at most once among them. Each is made whole or not
    /// at all, and all are on the disk when this returns; killed before, the old
    /// file stands or the new one.
    pub fn apply(&self, changes: &[Change]) -> Applied {
        let mut applied = Applied::default();
        for some in changes.chunks(MOST) {
            self.apply_some(some, &mut applied);
        }
        applied
    }

    fn apply_some(&self, changes: &[Change], applied: &mut Applied) {
        let Applied { failed, responses } = applied;
        let mut fail = |change: &Change, error| {
            let Change { which, key, .. } = *change;
            failed.push(Failed { which, key, error });
        };
        // As they are while these changes are made.
        let opened: [OnceCell<OwnedFd>; 3] = Default::default();
        let (mut unfinished, mut removed) = (Vec::new(), Vec::new());
        for change in changes {
            let Change { which, key, what } = change;
            let directory = self.directory(*which);
            let opened = &opened[*which as usize];
            let descriptor = match opened.get() {
                Some(descriptor) => descriptor,
                None => match directory.open_or_make() {
                    Ok(descriptor) => opened.get_or_init(|| descriptor),
                    Err(error) => {
                        fail(change, error);
                        continue;
                    }
                },
            };
            match what {
                What::Write(bytes) => match directory.begin(descriptor.as_fd(), key, bytes) {
                    Ok(begun) => unfinished.push((change, begun)),
                    Err(errno) => fail(change, directory.failed("write", key)(errno)),
                },
                What::Remove => match directory.unlink(descriptor.as_fd(), key) {
                    Ok(_) => removed.push(change),
                    Err(errno) => fail(change, directory.failed("remove", key)(errno)),
                },
            }
        }
        let mut tried = |change: &Change, done: Result<(), Errno>| {
            let failed = self.directory(change.which).failed("write", &change.key);
            done.map_err(|errno| fail(change, failed(errno))).is_ok()
        };
        if unfinished.len() < MANY || bring_all_to_disk(&unfinished).is_err() {
            unfinished.retain(|(change, one)| tried(change, one.bring_to_disk()));
        }
        unfinished.retain(|(change, one)| tried(change, one.finish()));
        let of_responses = unfinished
            .iter()
            .filter(|(change, _)| change.which == Which::Staple);
        responses.extend(of_responses.filter_map(|(change, one)| Some((change.key, one.stamp()?))));
        let done: Vec<&Change> = unfinished.iter().map(|(change, _)| *change).collect();
        let done = [done, removed].concat();
        for which in [Which::Certificate, Which::Staple, Which::Notes] {
            let mut here = done
                .iter()
                .filter(|change| change.which == which)
                .peekable();
            if let (Some(directory), Some(_)) = (opened[which as usize].get(), here.peek()) {
                let on_disk = self.directory(which).bring_to_disk(directory);
                for change in here {
                    tried(change, on_disk);
                }
            }
        }
    }

    fn directory(&self, which: Which) -> &Directory {
        match which {
            Which::Certificate => &self.certificates,
            Which::Staple => &self.staples,
            Which::Notes => &self.state,
        }
    }
}

/// By a file of each directory: they may be mounted from different places.
fn bring_all_to_disk(files: &[(&Change, Unfinished<'_>)]) -> rustix::io::Result<()> {
    let mut done = Vec::new();
    for (change, one) in files {
        if !done.contains(&change.which) {
            one.bring_all_to_disk()?;
            done.push(change.which);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::count::{alone, killed_at};
    use crate::testing::{Scratch, key, response};

    fn changes(version: u64, count: u64) -> Vec<Change> {
        let write = |which, number| Change {
            which,
            key: key(number),
            what: What::Write(response(number, version, 700)),
        };
        let one = |number| [write(Which::Staple, number), write(Which::Notes, number)];
        (0..count).flat_map(one).collect()
    }

    fn read(files: &Files, change: &Change) -> Option<Vec<u8>> {
        files.directory(change.which).read(&change.key).unwrap()
    }

    #[test]
    fn a_writer_killed_at_any_step_leaves_each_file_old_or_new() {
        let _alone = alone();
        for count in [2, MANY as u64] {
            let mut steps = 0;
            loop {
                // Not every step of the long way: they repeat.
                steps += if count > 2 { 23 } else { 1 };
                let scratch = Scratch::new();
                let files = Files::open(scratch.path()).unwrap();
                assert!(files.apply(&changes(1, count)).failed.is_empty());
                let killed = killed_at(steps, || {
                    assert!(files.apply(&changes(2, count)).failed.is_empty());
                });
                let files = Files::open(scratch.path()).unwrap();
                let mut is_new = 0;
                for (old, new) in changes(1, count).iter().zip(&changes(2, count)) {
                    let read = read(&files, old).map(What::Write);
                    assert!(
                        read.as_ref() == Some(&old.what) || read.as_ref() == Some(&new.what),
                        "after step {steps}"
                    );
                    is_new += usize::from(read.as_ref() == Some(&new.what));
                }
                if !killed {
                    assert_eq!(is_new, 2 * count as usize);
                    break;
                }
            }
        }
    }

    #[test]
    fn what_fails_is_told_and_hinders_no_other() {
        let scratch = Scratch::new();
        let files = Files::open(scratch.path()).unwrap();
        let in_the_way = |path: std::path::PathBuf| std::fs::create_dir_all(path.join("x"));
        in_the_way(files.staples.path_of(&key(3))).unwrap();
        in_the_way(files.state.path_of(&key(5))).unwrap();
        let failed = files.apply(&changes(1, MANY as u64)).failed;
        let names: Vec<_> = failed.iter().map(|one| (one.which, one.key)).collect();
        assert_eq!(names, [(Which::Staple, key(3)), (Which::Notes, key(5))]);
        let there = |change: &&Change| {
            let is_blocked = names.contains(&(change.which, change.key));
            !is_blocked && read(&files, change).is_some()
        };
        assert_eq!(
            changes(1, MANY as u64).iter().filter(there).count(),
            2 * MANY - 2
        );
    }

    #[test]
    fn of_each_response_that_was_written_it_is_told_which_file_it_is() {
        let scratch = Scratch::new();
        let files = Files::open(scratch.path()).unwrap();
        for count in [2, MANY as u64] {
            let told = files.apply(&changes(count, count)).responses;
            assert_eq!(told.len() as u64, count);
            for (key, stamp) in told {
                let path = files.staples.path_of(&key);
                assert_eq!(Stamp::of_path(&path).unwrap(), stamp);
                files.staples.write(&key, b"another").unwrap();
                assert_ne!(Stamp::of_path(&path).unwrap(), stamp);
            }
        }
    }

    #[test]
    fn what_is_removed_is_gone() {
        let scratch = Scratch::new();
        let files = Files::open(scratch.path()).unwrap();
        files.apply(&changes(1, 2));
        let remove = |number| Change {
            which: Which::Staple,
            key: key(number),
            what: What::Remove,
        };
        // One of them was never there.
        assert!(files.apply(&[remove(1), remove(7)]).failed.is_empty());
        assert_eq!(files.staples.keys().unwrap(), [key(0)]);
    }
}
