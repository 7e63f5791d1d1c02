//! The plain files that last.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::files::{Files, MAX_FILE, Notes};
use staplegun_store::name;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use support::{Scratch, key, response};

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
    assert!(files.staples.read(&key(1)).is_err());
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
    fs::write(path.with_file_name(".other"), b"not ours").unwrap();
    drop(Files::open(scratch.path()).unwrap());
    let left: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".other"]);
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
