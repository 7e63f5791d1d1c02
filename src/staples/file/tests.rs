//! Which response of a file waits.

use super::*;

fn candidate(path: &str, der: &[u8]) -> Candidate {
    Candidate {
        path: path.into(),
        der: der.to_vec(),
    }
}

fn held<'c>(candidates: impl Iterator<Item = &'c Candidate>) -> Vec<(&'c str, &'c [u8])> {
    candidates
        .map(|held| (held.path.to_str().unwrap_or_default(), held.der.as_slice()))
        .collect()
}

#[test]
fn what_waits_for_the_issuer_is_what_each_file_held_last() {
    let mut work = Work::default();
    work.wait_with(vec![candidate("a", b"old"), candidate("b", b"only")]);
    work.wait_with(vec![candidate("a", b"new")]);
    let waiting = held(work.waiting.iter());
    assert_eq!(waiting, [("b", &b"only"[..]), ("a", b"new")]);
}

#[test]
fn what_waits_for_its_time_is_what_each_file_held_last() {
    let judged = Judged {
        verdict: Verdict::Good,
        validity: Validity {
            from: 10,
            until: 20,
        },
    };
    let mut work = Work::default();
    for (path, der) in [("a", &b"old"[..]), ("b", b"only"), ("a", b"new")] {
        work.keep(candidate(path, der), judged);
    }
    let early = held(work.early.iter().map(|(early, _)| early));
    assert_eq!(early, [("b", &b"only"[..]), ("a", b"new")]);
}
