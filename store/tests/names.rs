//! Names that no other file has: what is left in a spool or written in a store never takes the
//! place of what another left, whoever that is.
#![cfg(feature = "agent")]

mod support;
#[path = "support/trace.rs"]
mod trace;

use staplegun_store::files::Files;
use staplegun_store::spool::publish;
use std::collections::HashSet;
use std::fs;
use std::process::Command;
use support::{Scratch, child, key, role};
use trace::{Call, Trace, done};

/// Publishes one certificate twice, as two contexts of a program do.
fn publish_twice(spool: &std::path::Path) {
    for _ in 0..2 {
        publish(spool, &key(1), &[b"0"]).unwrap();
    }
}

fn left(scratch: &Scratch) -> usize {
    let spool = fs::read_dir(scratch.path().join("spool")).unwrap();
    spool.count()
}

fn spool() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("spool")).unwrap();
    scratch
}

#[test]
fn what_one_process_leaves_never_replaces_what_another_left() {
    let test = "what_one_process_leaves_never_replaces_what_another_left";
    if let Some(role) = role() {
        publish_twice(&role);
        return;
    }
    let scratch = spool();
    for _ in 0..2 {
        let again = child(test, &scratch.path().join("spool")).output().unwrap();
        assert!(again.status.success());
    }
    assert_eq!(left(&scratch), 4);
}

/// Two containers that share a spool: each program is number 1 in its own.
#[test]
fn nor_does_one_with_the_same_number() {
    let test = "nor_does_one_with_the_same_number";
    if let Some(role) = role() {
        publish_twice(&role);
        return;
    }
    // SAFETY: it takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let scratch = spool();
    let again = child(test, &scratch.path().join("spool"));
    for _ in 0..2 {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]).arg(again.get_program());
        command.args(again.get_args());
        for (name, value) in again.get_envs() {
            command.env(name, value.unwrap());
        }
        assert!(command.output().unwrap().status.success());
    }
    assert_eq!(left(&scratch), 4);
}

/// In a filter of system calls, say.
#[test]
fn nor_where_the_kernel_gives_no_random_numbers() {
    let test = "nor_where_the_kernel_gives_no_random_numbers";
    if let Some(role) = role() {
        publish_twice(&role.with_file_name("spool"));
        done(role.parent().unwrap());
        return;
    }
    let scratch = spool();
    for work in ["one", "other"] {
        let without = [
            "-e",
            "trace=getrandom,openat",
            "-e",
            "inject=getrandom:error=ENOSYS",
        ];
        let trace = Trace::of(test, &scratch.path().join(work), &without);
        assert!(trace.text.contains("INJECTED"), "{}", trace.text);
    }
    assert_eq!(left(&scratch), 4);
}

#[test]
fn each_unfinished_file_has_a_name_of_its_own() {
    let test = "each_unfinished_file_has_a_name_of_its_own";
    if let Some(role) = role() {
        let files = Files::new(role.parent().unwrap());
        for _ in 0..3 {
            files.staples.write(&key(1), b"0").unwrap();
        }
        done(role.parent().unwrap());
        return;
    }
    let scratch = Scratch::new();
    let trace = Trace::of(test, &scratch.path().join("three"), &[]);
    let made = trace.calls.iter().filter_map(|call| match call {
        Call::Open(path, how) if how.contains("O_CREAT") => Some(path),
        _ => None,
    });
    assert_eq!(made.collect::<HashSet<_>>().len(), 3);
}
