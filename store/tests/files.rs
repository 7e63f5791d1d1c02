//! The plain files that last.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::files::{
    Files, Lasting, MAX_FILE, Notes, PUBLIC, behind_links, live, make_directory, open_regular,
    replace, replace_for,
};
use staplegun_store::layout::Layout;
use staplegun_store::name;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use support::{Scratch, child, key, response, role};

/// Of nobody on this machine.
const STRANGER: u32 = 4242;

fn is_root() -> bool {
    // SAFETY: it takes nothing.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn what_is_written_is_read_and_listed() {
    let scratch = Scratch::new();
    let files = Files::open(&scratch.path().join("deep/store")).unwrap();
    assert_eq!(files.staples.read(&key(1)).unwrap(), None);
    for version in 0..3 {
        files
            .staples
            .write(&key(1), &response(1, version, 1500))
            .unwrap();
        let read = files.staples.read(&key(1)).unwrap().unwrap();
        assert_eq!(read, response(1, version, 1500));
    }
    let path = files.staples.path_of(&key(1));
    assert!(path.ends_with(format!("staples/{}.der", name::of_key(&key(1)))));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(files.staples.keys().unwrap(), [key(1)]);
    assert!(files.staples.remove(&key(1)).unwrap());
    assert!(!files.staples.remove(&key(1)).unwrap());
    assert!(files.staples.keys().unwrap().is_empty());
}

#[test]
fn notes_come_back_and_older_or_newer_ones_are_understood() {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    assert_eq!(files.notes(&key(1)).unwrap(), None);
    let notes = Notes {
        responder: Some("http://127.0.0.1/".into()),
        failures: 3,
        last_error: Some("refused".into()),
        next_refresh: Some(1_800_000_000),
        ..Notes::default()
    };
    files.state.write(&key(1), &notes.to_json()).unwrap();
    assert_eq!(files.notes(&key(1)).unwrap(), Some(notes));
    let path = files.state.path_of(&key(1));
    fs::write(&path, r#"{"failures": 2, "later": [1]}"#).unwrap();
    assert_eq!(files.notes(&key(1)).unwrap().unwrap().failures, 2);
    fs::write(&path, "{").unwrap();
    let error = files.notes(&key(1)).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn symbolic_links_are_replaced_or_refused_and_never_followed() {
    let scratch = Scratch::new();
    let store = scratch.path().join("store");
    let files = Files::open(&store).unwrap();
    let target = scratch.path().join("target");
    fs::write(&target, b"untouched").unwrap();
    let path = files.staples.path_of(&key(1));
    symlink(&target, &path).unwrap();
    assert!(files.staples.read(&key(1)).is_err());
    files.staples.write(&key(1), b"new").unwrap();
    assert_eq!(files.staples.read(&key(1)).unwrap().unwrap(), b"new");
    assert_eq!(fs::read(&target).unwrap(), b"untouched");

    fs::rename(store.join("certs"), store.join("elsewhere")).unwrap();
    symlink(store.join("elsewhere"), store.join("certs")).unwrap();
    let error = Files::open(&store).unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

#[test]
fn odd_files_are_refused() {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    let path = files.staples.path_of(&key(1));
    fs::write(&path, vec![0; MAX_FILE + 1]).unwrap();
    assert!(files.staples.read(&key(1)).unwrap_err().is_for_good());
    // The largest is read whole, and 64 KiB are as documented.
    assert_eq!(MAX_FILE, 65_536);
    let largest = response(1, 1, MAX_FILE);
    fs::write(&path, &largest).unwrap();
    assert_eq!(files.staples.read(&key(1)).unwrap(), Some(largest));
    fs::remove_file(&path).unwrap();
    let fifo = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `fifo` ends with 0.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o644) }, 0);
    assert!(files.staples.read(&key(1)).is_err());
    fs::write(path.with_file_name("README"), b"").unwrap();
    assert_eq!(files.staples.keys().unwrap(), [key(1)]);
}

#[test]
fn what_was_never_finished_is_removed_at_the_next_start() {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    let path = files.staples.path_of(&key(1));
    let name = path.file_name().unwrap().to_str().unwrap();
    fs::write(
        path.with_file_name(format!(".{name}.0123456789abcdef")),
        b"half",
    )
    .unwrap();
    // None of them is a name that was made here.
    let others = [
        ".other".to_owned(),
        ".other.0123456789abcdef".to_owned(),
        format!(".{name}.0123456789abcdeg"),
        format!(".{name}.0123"),
        format!(".{name}.0123456789abcdef0"),
    ];
    for other in &others {
        fs::write(path.with_file_name(other), b"not ours").unwrap();
    }
    drop(Files::open(scratch.path()).unwrap());
    let mut left: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut others = others.to_vec();
    others.sort();
    assert_eq!(left, others);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let scratch = Scratch::new();
    drop(Files::open(scratch.path()).unwrap());
    let state = scratch.path().join("state");
    fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
    let error = Files::open(scratch.path()).unwrap_err().to_string();
    assert!(error.contains("others may not write"), "{error}");
}

#[test]
fn a_directory_of_a_stranger_is_refused_and_one_of_root_is_used() {
    let test = "a_directory_of_a_stranger_is_refused_and_one_of_root_is_used";
    if let Some(store) = role() {
        // SAFETY: it takes numbers.
        assert_eq!(unsafe { libc::setresuid(STRANGER, STRANGER, STRANGER) }, 0);
        let files = Files::new(&store);
        // Root's, this user's, and another's.
        assert_eq!(files.certificates.read(&key(1)).unwrap(), None);
        files.state.write(&key(1), b"{}").unwrap();
        let error = files.staples.read(&key(1)).unwrap_err().to_string();
        assert!(
            error.contains("must belong to the agent's user or root"),
            "{error}"
        );
        // Where names can be made, and not be looked at.
        make_directory(&store.join("blind/new"), Lasting::OnDisk).unwrap();
        // Who only looks may look.
        assert_eq!(
            Files::of_anybody(&store).staples.read(&key(1)).unwrap(),
            None
        );
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    drop(Files::open(scratch.path()).unwrap());
    fs::create_dir(scratch.path().join("blind")).unwrap();
    fs::set_permissions(scratch.path().join("blind"), Permissions::from_mode(0o733)).unwrap();
    for (name, owner) in [("state", STRANGER), ("staples", STRANGER + 1)] {
        chown(scratch.path().join(name), Some(owner), None).unwrap();
    }
    assert!(child(test, scratch.path()).status().unwrap().success());
    let error = Files::open(scratch.path()).unwrap_err().to_string();
    assert!(error.contains("must belong to"), "{error}");
}

#[test]
fn what_is_no_directory_is_told_at_once() {
    let scratch = Scratch::new();
    let fifo = std::ffi::CString::new(scratch.path().join("staples").to_str().unwrap()).unwrap();
    // SAFETY: `fifo` ends with 0.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o644) }, 0);
    let files = Files::of_anybody(scratch.path());
    // A writer holds it, so that only a look at what it is can tell.
    let _held = fs::File::options()
        .read(true)
        .write(true)
        .open(scratch.path().join("staples"));
    let error = files.staples.read(&key(1)).unwrap_err();
    assert!(
        error.to_string().contains("cannot open the directory"),
        "{error}"
    );
    let path = scratch.path().join("staples/file");
    assert!(replace(&path, b"", PUBLIC, Lasting::OnDisk).is_err());
}

#[test]
fn what_no_look_can_mend_is_told_apart_and_each_error_has_its_cause() {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    symlink("anywhere", files.staples.path_of(&key(1))).unwrap();
    let link = files.staples.read(&key(1)).unwrap_err();
    assert!(link.is_for_good());
    fs::write(files.state.path_of(&key(1)), b"{").unwrap();
    let half = files.notes(&key(1)).unwrap_err();
    assert!(!half.is_for_good(), "it may be written anew: {half}");
    for error in [link, half] {
        let source = error.source().expect("a cause").to_string();
        assert!(error.to_string().ends_with(&source), "{error}");
        assert_eq!(error.cause().to_string(), source);
    }
}

#[test]
fn files_are_public_whatever_the_umask_and_a_name_alone_is_in_this_directory() {
    let test = "files_are_public_whatever_the_umask_and_a_name_alone_is_in_this_directory";
    if let Some(store) = role() {
        // SAFETY: it takes a number.
        unsafe { libc::umask(0o077) };
        Files::open(&store.join("store"))
            .unwrap()
            .staples
            .write(&key(1), b"0")
            .unwrap();
        std::env::set_current_dir(&store).unwrap();
        replace(Path::new("alone"), b"bytes", 0o640, Lasting::OnDisk).unwrap();
        return;
    }
    let scratch = Scratch::new();
    assert!(child(test, scratch.path()).status().unwrap().success());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let files = Files::of_anybody(&scratch.path().join("store"));
    assert_eq!(mode(&files.staples.path_of(&key(1))), 0o644);
    assert_eq!(mode(&scratch.path().join("store/staples")), 0o755);
    assert_eq!(mode(&scratch.path().join("alone")), 0o640);
    assert_eq!(fs::read(scratch.path().join("alone")).unwrap(), b"bytes");
}

#[test]
fn what_is_shown_ends_with_its_validity_and_what_is_given_away_has_its_owner() {
    let scratch = Scratch::new();
    let shown = live(&Layout::at(scratch.path()));
    shown.show(&key(1), b"response", 1_800_000_000).unwrap();
    let path = shown.path_of(&key(1));
    assert_eq!(fs::metadata(&path).unwrap().mtime(), 1_800_000_000);
    assert_eq!(fs::read(&path).unwrap(), b"response");
    if is_root() {
        let owner = Some((STRANGER, STRANGER + 1));
        replace_for(&path, b"his", 0o600, owner, Lasting::InMemory).unwrap();
        let about = fs::metadata(&path).unwrap();
        assert_eq!((about.uid(), about.gid()), (STRANGER, STRANGER + 1));
    }
}

#[test]
fn where_links_lead_is_found() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("file"), b"").unwrap();
    symlink("file", at("link")).unwrap();
    assert_eq!(
        behind_links(&at("link")),
        at("file").canonicalize().unwrap()
    );
    assert_eq!(behind_links(&at("none")), at("none"));
}

#[test]
fn one_piece_of_work_reads_one_directory_and_the_next_what_has_taken_its_place() {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    files.staples.write(&key(1), b"old").unwrap();
    let at_once = Files::new(scratch.path()).at_once();
    assert_eq!(at_once.staples.read(&key(2)).unwrap(), None);
    fs::rename(scratch.path().join("staples"), scratch.path().join("moved")).unwrap();
    files.staples.write(&key(1), b"new").unwrap();
    assert_eq!(at_once.staples.read(&key(1)).unwrap().unwrap(), b"old");
    assert_eq!(files.staples.read(&key(1)).unwrap().unwrap(), b"new");
}

/// Whoever owns a file may hold a lease on it, and has 45 seconds to give it up.
#[test]
fn a_file_that_was_named_is_opened_for_this_process_alone_and_no_owner_is_waited_for() {
    let test = "a_file_that_was_named_is_opened_for_this_process_alone_and_no_owner_is_waited_for";
    let Some(path) = role() else {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        fs::write(&path, b"0").unwrap();
        assert!(child(test, &path).status().unwrap().success());
        return;
    };
    let file = open_regular(&path).unwrap();
    // SAFETY: the descriptor is open; F_GETFD takes nothing more.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags, libc::FD_CLOEXEC);
    drop(file);

    let owner = fs::File::open(&path).unwrap();
    // SAFETY: the descriptor is open, and the calls take numbers. The signal, which says that
    // the file is wanted, would kill.
    let leased = unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        libc::fcntl(owner.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
    };
    assert_eq!(leased, 0, "{}", std::io::Error::last_os_error());
    let refused = open_regular(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
}
