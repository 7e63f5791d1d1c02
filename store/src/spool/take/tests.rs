//! What is remembered of the spool from one look to the next.

use super::*;
use crate::spool::publish;
use crate::testing::{Scratch, key};
use rustix::fs::{CWD, FileType, mknodat};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

/// Of nobody on this machine.
const STRANGER: u32 = 4242;

struct Spool {
    _scratch: Scratch,
    path: PathBuf,
    drop_box: DropBox,
    began: Instant,
}

impl Spool {
    fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.path().join("spool");
        let drop_box = DropBox::open(&path).unwrap();
        Self {
            _scratch: scratch,
            path,
            drop_box,
            began: Instant::now(),
        }
    }

    /// Looks at all that is there so long after the beginning: the causes of what is refused.
    fn look(&mut self, after: Duration) -> Vec<&'static str> {
        let mut causes = Vec::new();
        for _ in 0..10_000 {
            let look = self.drop_box.look(self.began + after).unwrap();
            causes.extend(look.refused.iter().map(|refused| refused.why.cause));
            if look.complete {
                return causes;
            }
        }
        panic!("no look goes through all names");
    }

    /// One look that passes over so many of what strangers left: the one before came to them.
    fn look_past(&mut self, files: usize, after: Duration) {
        self.drop_box.go_on_at = files;
        let look = self.drop_box.look(self.began + after).unwrap();
        assert!(look.refused.is_empty() && !look.complete);
    }

    /// Leaves a file under a name that nobody else gives; it has that path now.
    fn publish(&self) -> PathBuf {
        publish(&self.path, &key(1), &[b"0"]).unwrap();
        let file = fs::read_dir(&self.path).unwrap().next();
        file.unwrap().unwrap().path()
    }
}

const SOON: Duration = Duration::from_secs(30);
const OLD: Duration = Duration::from_secs(60);

/// How old it is, its own times do not tell.
#[test]
fn an_unfinished_file_grows_no_younger_by_a_look_that_does_not_come_to_it() {
    let mut spool = Spool::new();
    fs::write(spool.path.join(".partial"), b"x").unwrap();
    assert!(spool.look(Duration::ZERO).is_empty());
    spool.look_past(1, SOON);
    assert_eq!(spool.look(OLD), ["unfinished"]);
}

#[test]
fn an_unfinished_file_may_be_as_long_as_a_whole_one_and_no_longer() {
    let mut spool = Spool::new();
    let file = fs::File::create(spool.path.join(".partial")).unwrap();
    file.set_len(MAX_FILE as u64).unwrap();
    assert!(spool.look(Duration::ZERO).is_empty());
    file.set_len(MAX_FILE as u64 + 1).unwrap();
    assert_eq!(spool.look(Duration::ZERO), ["size"]);
}

#[test]
fn what_takes_the_place_of_a_file_that_was_looked_at_is_not_read() {
    for replace in [
        |file: &Path| symlink("/etc/passwd", file).unwrap(),
        |file: &Path| mknodat(CWD, file, FileType::Fifo, Mode::RUSR, 0).unwrap(),
    ] {
        let mut spool = Spool::new();
        let file = spool.publish();
        assert!(spool.look(Duration::ZERO).is_empty());
        fs::remove_file(&file).unwrap();
        replace(&file);
        let taken = spool.drop_box.next(|_| true).unwrap();
        assert!(taken.is_err(), "{taken:?}");
    }
}

#[test]
fn of_a_file_that_grows_after_the_look_all_is_read_or_nothing() {
    let mut spool = Spool::new();
    let mut taken = |length: usize| {
        let file = spool.publish();
        assert!(spool.look(Duration::ZERO).is_empty());
        fs::write(file, vec![1; length]).unwrap();
        let taken = spool.drop_box.next(|_| true).unwrap();
        let taken = taken.map(|taken| taken.bytes.len());
        taken.map_err(|refused| refused.why.cause)
    };
    assert_eq!(taken(MAX_FILE), Ok(MAX_FILE));
    assert_eq!(taken(MAX_FILE + 1), Err("size"));
}

#[test]
fn a_name_is_a_sha256_a_user_and_sixteen_digits_and_nothing_else() {
    let (key, random) = (name::of_key(&key(1)), "0123456789abcdef");
    assert!(parse(&format!("{key}.4242.{random}")).is_some_and(|(_, uid)| uid == STRANGER));
    for odd in [
        format!("{key}.4242"),
        format!("{key}.4242.{random}.1"),
        format!("{key}.4242.{random}0"),
        format!("{key}.4242.0123456789abcdeg"),
        format!("{key}..{random}"),
        format!("{key}.+4242.{random}"),
        format!("{key}.4294967296.{random}"),
        format!("{}.4242.{random}", &key[1..]),
    ] {
        assert_eq!(parse(&odd), None, "{odd}");
    }
}

/// Where that is not root.
#[test]
fn the_agents_own_user_and_root_may_leave_as_many_as_they_like() {
    let mut spool = Spool::new();
    spool.drop_box.own = STRANGER;
    for number in 0..=PER_USER {
        for uid in [0, STRANGER] {
            let name = format!("{}.{uid}.{number:016x}", name::of_key(&key(1)));
            let file = spool.path.join(name);
            fs::write(&file, b"x").unwrap();
            if chown(&file, Some(uid), None).is_err() {
                return;
            }
        }
    }
    assert!(spool.look(Duration::ZERO).is_empty());
    assert_eq!(spool.drop_box.known.len(), 2 * (PER_USER + 1));
    assert_eq!(spool.drop_box.waiting().count(), 0);
}

#[test]
fn a_look_that_takes_too_long_over_strangers_files_is_gone_on_with_at_the_next() {
    let mut spool = Spool::new();
    if !leave_unfinished(&spool, 1) {
        return;
    }
    let mut look = |patience| {
        spool.drop_box.patience = patience;
        let look = spool.drop_box.look(spool.began).unwrap();
        (look.complete, spool.drop_box.unfinished.len())
    };
    let (is_complete, seen) = look(Duration::ZERO);
    assert!(!is_complete && seen < UNFINISHED_PER_USER);
    assert_eq!(look(Duration::MAX).1, UNFINISHED_PER_USER);
    assert_eq!(look(Duration::MAX), (true, UNFINISHED_PER_USER));
}

/// Only root can give files away.
fn leave_unfinished(spool: &Spool, round: u32) -> bool {
    (0..UNFINISHED_PER_USER).all(|number| {
        let file = spool.path.join(format!(".{round}.{number}"));
        fs::write(&file, b"x").unwrap();
        chown(file, Some(STRANGER), None).is_ok()
    })
}

fn remove_all(spool: &Spool) {
    for file in fs::read_dir(&spool.path).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
}

/// As many as a user may leave, again and again.
#[test]
fn unfinished_files_that_are_gone_count_for_nobody() {
    let mut spool = Spool::new();
    if !leave_unfinished(&spool, 1) {
        return;
    }
    assert!(spool.look(Duration::ZERO).is_empty());
    remove_all(&spool);
    assert!(spool.look(SOON).is_empty());
    assert!(leave_unfinished(&spool, 2));
    assert!(spool.look(SOON).is_empty());
}

/// Else who keeps the agent busy for ever keeps others out.
#[test]
fn nor_do_they_when_no_look_comes_to_an_end() {
    let mut spool = Spool::new();
    if !leave_unfinished(&spool, 1) {
        return;
    }
    assert!(spool.look(Duration::ZERO).is_empty());
    remove_all(&spool);
    // As many again, and no look comes to one of them until the others are forgotten.
    assert!(leave_unfinished(&spool, 2));
    spool.look_past(UNFINISHED_PER_USER, 2 * OLD);
    assert!(spool.look(2 * OLD).is_empty());
}

#[test]
fn what_is_refused_when_it_is_read_and_stays_is_told_once() {
    let mut spool = Spool::new();
    let file = spool.publish();
    assert!(spool.look(Duration::ZERO).is_empty());
    // It became something else before it was read, and cannot be removed.
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("x")).unwrap();
    let refused = spool.drop_box.next(|_| true).unwrap().unwrap_err();
    assert!(!refused.removed);
    assert!(spool.look(SOON).is_empty());
}

#[test]
fn what_is_refused_when_it_is_read_and_removed_keeps_no_other_of_that_name_out() {
    let mut spool = Spool::new();
    let file = spool.publish();
    assert!(spool.look(Duration::ZERO).is_empty());
    fs::write(&file, b"").unwrap();
    let refused = spool.drop_box.next(|_| true).unwrap().unwrap_err();
    assert!(refused.removed);
    fs::write(&file, b"1").unwrap();
    assert!(spool.look(SOON).is_empty());
    assert_eq!(spool.drop_box.next(|_| true).unwrap().unwrap().bytes, b"1");
}
