//! Stores in containers: what a mount vouches for, where owners and modes tell nothing.
//!
//! Each test runs once more in a mount namespace of its own, where a script has mounted what a
//! container engine would. Only root can do that; others have no way to make these cases.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::map::{MapError, Reader, Trusted, Writer, WriterLock};
use staplegun_store::spool::{DropBox, publish};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use support::{SIZE, Scratch, key, role};

/// Of nobody on this machine.
const STRANGER: u32 = 4242;

fn is_root() -> bool {
    // SAFETY: it takes nothing.
    unsafe { libc::geteuid() == 0 }
}

/// A map as a container's volume has it: anybody may write its directory, which belongs to
/// somebody else than the map.
fn volume(scratch: &Scratch) -> std::path::PathBuf {
    let directory = scratch.path().join("volume");
    fs::create_dir(&directory).unwrap();
    let map = directory.join("map.v1");
    drop(Writer::open(&map, SIZE, WriterLock::try_take(&map).unwrap()).unwrap());
    chown(&map, Some(STRANGER), None).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    directory
}

/// Runs `test` again, as [`role`] `role`, in namespaces of its own (`options` of unshare) and
/// after `script`, whose $1 is the scratch directory.
fn in_namespaces(test: &str, scratch: &Scratch, options: &[&str], script: &str, role: &str) {
    let again = r#"eval "$script"; shift; exec "$@""#;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(options)
        .args(["--", "sh", "-ec", again, "sh"])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("script", script)
        .env("STAPLEGUN_STORE_TEST_ROLE", scratch.path().join(role))
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

/// What a reader says of the map there, by what it trusts.
fn verdicts(map: &Path) -> [Result<(), String>; 3] {
    let all = [Trusted::Owners, Trusted::ReadOnlyMounts, Trusted::Volumes];
    all.map(|trusted| {
        let opened = Reader::open_by(map, SIZE, trusted);
        opened
            .map(drop)
            .map_err(|error: MapError| error.to_string())
    })
}

#[test]
fn what_lies_on_a_read_only_mount_is_used_whoever_owns_it_where_the_store_was_named() {
    let test = "what_lies_on_a_read_only_mount_is_used_whoever_owns_it_where_the_store_was_named";
    if let Some(at) = role() {
        let [unnamed, named, agent] = verdicts(&at.join("map.v1"));
        assert!(unnamed.unwrap_err().contains("can be written by others"));
        assert_eq!((named, agent), (Ok(()), Ok(())));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    volume(&scratch);
    let script = r#"mkdir "$1/app"; mount --bind "$1/volume" "$1/app"
        mount -o remount,bind,ro "$1/app""#;
    in_namespaces(test, &scratch, &[], script, "app");
}

#[test]
fn an_owner_who_is_unknown_in_the_user_namespace_matters_as_little() {
    let test = "an_owner_who_is_unknown_in_the_user_namespace_matters_as_little";
    if let Some(at) = role() {
        let [unnamed, named, _] = verdicts(&at.join("map.v1"));
        assert!(unnamed.unwrap_err().contains("belongs neither"));
        assert_eq!(named, Ok(()));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let directory = volume(&scratch);
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    chown(&directory, Some(STRANGER), None).unwrap();
    let script = r#"mount --bind "$1/volume" "$1/app"; mount -o remount,bind,ro "$1/app""#;
    fs::create_dir(scratch.path().join("app")).unwrap();
    let users = ["--user", "--map-root-user"];
    in_namespaces(test, &scratch, &users, script, "app");
}

#[test]
fn a_mount_that_can_be_written_here_vouches_for_nothing() {
    let test = "a_mount_that_can_be_written_here_vouches_for_nothing";
    if let Some(at) = role() {
        let [_, named, _] = verdicts(&at.join("map.v1"));
        assert!(named.unwrap_err().contains("can be written by others"));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    volume(&scratch);
    // Read-only elsewhere, and a read-only mount beside it.
    let script = r#"mkdir "$1/app" "$1/other"; mount --bind "$1/volume" "$1/app"
        mount --bind "$1/volume" "$1/other"; mount -o remount,bind,ro "$1/other""#;
    in_namespaces(test, &scratch, &[], script, "app");
}

#[test]
fn a_read_only_mount_vouches_for_nothing_above_it() {
    let test = "a_read_only_mount_vouches_for_nothing_above_it";
    if let Some(at) = role() {
        let [_, named, agent] = verdicts(&at.join("map.v1"));
        for verdict in [named, agent] {
            assert!(
                verdict
                    .unwrap_err()
                    .contains("/open can be written by others")
            );
        }
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    volume(&scratch);
    let script = r#"mkdir -p "$1/open/app"; chmod 777 "$1/open"
        mount --bind "$1/volume" "$1/open/app"; mount -o remount,bind,ro "$1/open/app""#;
    in_namespaces(test, &scratch, &[], script, "open/app");
}

#[test]
fn an_agent_uses_a_volume_that_anybody_may_write_and_its_spool() {
    let test = "an_agent_uses_a_volume_that_anybody_may_write_and_its_spool";
    if let Some(at) = role() {
        // SAFETY: it takes numbers.
        assert_eq!(unsafe { libc::setresuid(STRANGER, STRANGER, STRANGER) }, 0);
        let map = at.join("map.v1");
        let lock = WriterLock::try_take(&map).unwrap();
        let mut writer = Writer::open(&map, SIZE, lock).unwrap();
        writer.close_descriptor().unwrap();
        let [unnamed, named, agent] = verdicts(&map);
        assert!(unnamed.is_err() && named.is_err());
        assert_eq!(agent, Ok(()));
        // Of a directory that is no mount's root nobody vouches.
        let error = WriterLock::try_take(&at.with_file_name("open").join("map.v1")).unwrap_err();
        assert!(error.to_string().contains("/open can be written by others"));

        let mut spool = DropBox::open(&at.join("spool")).unwrap();
        publish(&at.join("spool"), &key(1), &[b"0"]).unwrap();
        assert!(spool.look(Instant::now()).unwrap().complete);
        assert_eq!(spool.next(|_| true).unwrap().unwrap().uid, STRANGER);
        assert!(DropBox::open(&at.with_file_name("open")).is_err());
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let script = r#"mkdir "$1/app"; mount -t tmpfs -o mode=777 tmpfs "$1/app"
        mkdir "$1/app/spool" "$1/open"; chmod 777 "$1/open"
        mount -t tmpfs -o mode=777 tmpfs "$1/app/spool""#;
    in_namespaces(test, &scratch, &[], script, "app");
}

/// As Docker makes a tmpfs, unless it is told otherwise.
#[test]
fn what_cannot_be_removed_from_a_volume_is_taken_once() {
    let test = "what_cannot_be_removed_from_a_volume_is_taken_once";
    if let Some(at) = role() {
        publish(&at, &key(1), &[b"0"]).unwrap();
        // SAFETY: it takes numbers.
        assert_eq!(unsafe { libc::setresuid(STRANGER, STRANGER, STRANGER) }, 0);
        let mut spool = DropBox::open(&at).unwrap();
        for taken in [1, 0] {
            assert!(spool.look(Instant::now()).unwrap().complete);
            let all = std::iter::from_fn(|| spool.next(|_| true));
            assert_eq!(all.map(Result::unwrap).count(), taken);
        }
        assert_eq!(fs::read_dir(&at).unwrap().count(), 1);
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let script = r#"mkdir "$1/spool"; mount -t tmpfs -o mode=1777 tmpfs "$1/spool""#;
    in_namespaces(test, &scratch, &[], script, "spool");
}

/// As root, since nobody else gives files away.
fn leave(spool: &Path, uid: u32, numbers: std::ops::Range<u32>) {
    let key = staplegun_store::name::of_key(&key(1));
    for number in numbers {
        let file = spool.join(format!("{key}.{uid}.{number:016x}"));
        fs::write(&file, b"0").unwrap();
        chown(&file, Some(uid), None).unwrap();
    }
}

/// How many were taken, and how many refused.
fn empty(spool: &mut DropBox) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..1_000 {
        let look = spool.look(Instant::now()).unwrap();
        refused += look.refused.len();
        taken += std::iter::from_fn(|| spool.next(|_| true)).count();
        if look.complete {
            return (taken, refused);
        }
    }
    panic!("no look goes through all names");
}

#[test]
fn who_leaves_what_cannot_be_removed_takes_no_place_from_others() {
    let test = "who_leaves_what_cannot_be_removed_takes_no_place_from_others";
    if let Some(at) = role() {
        let become_user = |uid: u32| {
            // SAFETY: it takes a number.
            assert_eq!(unsafe { libc::seteuid(uid) }, 0);
        };
        // As many as may wait of one user, and together as many as may wait of all.
        const PER_USER: u32 = 1024;
        (1..=16).for_each(|user| leave(&at, STRANGER + user, 0..PER_USER));
        become_user(STRANGER);
        let mut spool = DropBox::open(&at).unwrap();
        assert_eq!(empty(&mut spool), (16 * PER_USER as usize, 0));
        assert_eq!(empty(&mut spool), (0, 0));
        become_user(0);
        leave(&at, STRANGER + 1, PER_USER..PER_USER + 1);
        leave(&at, STRANGER + 17, 0..1);
        become_user(STRANGER);
        // Of who has left too many himself no more is read until something of it is gone.
        assert_eq!(empty(&mut spool), (1, 1));
        become_user(0);
        let gone = fs::read_dir(&at).unwrap().flatten();
        gone.for_each(|file| fs::remove_file(file.path()).unwrap());
        become_user(STRANGER);
        assert_eq!(empty(&mut spool), (0, 0));
        become_user(0);
        leave(&at, STRANGER + 1, 0..1);
        become_user(STRANGER);
        assert_eq!(empty(&mut spool), (1, 0));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let script = r#"mkdir "$1/spool"; mount -t tmpfs -o mode=1777 tmpfs "$1/spool""#;
    in_namespaces(test, &scratch, &[], script, "spool");
}
