//! `store` and the agent: what anybody may leave in the spool.
//!
//! Input: a count and that many bytes of the file's name, then its contents.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use staplegun_store::spool::{DropBox, MAX_FILE, Refused};

use crate::fetch::{Issuers, Subject};
use crate::scratch;
use crate::take::Take;

static SPOOL: LazyLock<PathBuf> = LazyLock::new(|| scratch::directory("spool").join("spool"));

/// Looks until all was looked at: one look ends when it has taken long, as where the process had
/// to wait for a processor. What was refused.
fn look(spool: &mut DropBox, at: Instant) -> Vec<Refused> {
    let mut refused = Vec::new();
    for _ in 0..1000 {
        let look = spool.look(at).expect("the spool can be read");
        refused.extend(look.refused);
        if look.complete {
            return refused;
        }
    }
    panic!("of one file a thousand looks saw nothing");
}

/// Whatever it is, the agent takes it or throws it away, and the spool is empty
/// again; what it takes is what was left, cut where its own lengths say.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let count = usize::from(input.byte());
    let (name, contents) = (input.bytes(count), input.0);
    let usable = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
    if !usable || name == b"." || name == b".." {
        return;
    }
    let mut spool = DropBox::open(&SPOOL).expect("the spool can be opened");
    fs::write(SPOOL.join(OsStr::from_bytes(name)), contents).expect("anybody can leave a file");

    let now = Instant::now();
    let mut refused = look(&mut spool, now);
    // Late enough for a file that was never finished to be thrown away.
    let later = now + Duration::from_secs(61);
    refused.extend(look(&mut spool, later));
    let mut taken = Vec::new();
    while let Some(next) = spool.next(|_| true) {
        match next {
            Ok(next) => taken.push(next),
            Err(next) => refused.push(next),
        }
    }
    assert_eq!(taken.len() + refused.len(), 1);
    assert_eq!(fs::read_dir(&*SPOOL).expect("it is there").count(), 0);
    for refused in &refused {
        assert!(refused.removed && !refused.why.to_string().is_empty());
    }
    for taken in &taken {
        assert_eq!(taken.bytes, contents);
        assert!((1..=MAX_FILE).contains(&contents.len()));
        let Some(certificates) = taken.certificates() else {
            continue;
        };
        assert_eq!(certificates.concat(), contents);
        let owned = certificates.iter().map(|der| der.to_vec()).collect();
        if let Ok(subject) = Subject::new(owned, &Issuers::default()) {
            assert_eq!(subject.ders()[0], certificates[0]);
        }
    }
}
