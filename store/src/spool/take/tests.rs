//! What is remembered of the spool from one look to the next.

use super::*;
use crate::spool::publish;
use crate::testing::{Scratch, key};
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

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
