//! Whom a map is taken from, and who may read it and lock it.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::map::{MapError, Reader, Writer, WriterLock};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use support::{SIZE, Scratch, child, role};

fn open(map: &Path) -> Writer {
    Writer::open(map, SIZE, WriterLock::try_take(map).unwrap()).unwrap()
}

#[test]
fn another_user_reads_a_map_in_a_directory_that_he_can_only_enter() {
    let test = "another_user_reads_a_map_in_a_directory_that_he_can_only_enter";
    if let Some(map) = role() {
        // SAFETY: it takes a number.
        assert_eq!(unsafe { libc::setuid(4242) }, 0);
        drop(Reader::open(&map, SIZE).unwrap());
        return;
    }
    let scratch = Scratch::new();
    drop(open(&scratch.map()));
    // Only root can become another user.
    if chown(scratch.map(), Some(0), None).is_ok() {
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o711)).unwrap();
        assert!(child(test, &scratch.map()).status().unwrap().success());
    }
}

/// Readers are other users' processes; the lock is nobody's but the writer's.
#[test]
fn everybody_may_read_a_map_and_nobody_else_lock_it() {
    let scratch = Scratch::new();
    drop(open(&scratch.map()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&scratch.map()), 0o644);
    assert_eq!(mode(&scratch.path().join("map.v1.lock")), 0o600);
}

#[test]
fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let scratch = Scratch::new();
    let target = scratch.path().join("target");
    symlink(&target, scratch.path().join("map.v1.lock")).unwrap();
    let error = WriterLock::try_take(&scratch.map()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    assert!(!target.exists());
}

#[test]
fn a_link_in_the_maps_place_is_refused_and_no_map_is_made() {
    let scratch = Scratch::new();
    let (map, target) = (scratch.map(), scratch.path().join("target"));
    symlink(&target, &map).unwrap();
    let lock = WriterLock::try_take(&map).unwrap();
    let error = Writer::open(&map, SIZE, lock).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    assert!(!error.is_absent(), "{error}");
    assert!(!target.exists());
    assert_eq!(fs::read_link(&map).unwrap(), target);
}

fn refusal(map: &Path) -> String {
    let error: MapError = Reader::open(map, SIZE).unwrap_err();
    error.to_string()
}

#[test]
fn a_map_that_others_could_change_is_refused() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("a");
    fs::create_dir(&directory).unwrap();
    let map = directory.join("map.v1");
    drop(open(&map));
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let usable = || Reader::open(&map, SIZE).unwrap();
    usable();

    for bad in [0o664, 0o646, 0o666] {
        mode(&map, bad);
        assert!(refusal(&map).contains("map.v1 can be written by others"));
    }
    mode(&map, 0o644);
    for bad in [0o775, 0o757, 0o777] {
        mode(&directory, bad);
        assert!(refusal(&map).contains("/a can be written by others"));
    }
    // As in /tmp: nobody else can move or remove the map there.
    mode(&directory, 0o1777);
    usable();
    mode(&directory, 0o755);
    mode(scratch.path(), 0o777);
    assert!(refusal(&map).contains("can be written by others"));
    mode(scratch.path(), 0o755);
    usable();
}

#[test]
fn a_map_of_another_user_is_refused() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("a");
    fs::create_dir(&directory).unwrap();
    let map = directory.join("map.v1");
    drop(open(&map));
    // Only root can give files away; others have no way to make this case.
    if chown(&map, Some(65534), None).is_err() {
        assert_ne!(
            fs::metadata("/proc/self")
                .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
                .unwrap(),
            0
        );
        return;
    }
    assert!(refusal(&map).contains("map.v1 belongs neither"));
    chown(&map, Some(0), None).unwrap();
    chown(&directory, Some(65534), None).unwrap();
    assert!(refusal(&map).contains("/a belongs neither"));
    let lock = WriterLock::try_take(&map).unwrap_err();
    assert!(lock.to_string().contains("/a belongs neither"));
}

#[test]
fn symbolic_links_and_odd_files_are_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("a")).unwrap();
    drop(open(&at("a/map.v1")));
    symlink(at("a/map.v1"), at("link")).unwrap();
    assert!(refusal(&at("link")).contains("link is a symbolic link"));
    symlink(at("a"), at("b")).unwrap();
    assert!(refusal(&at("b/map.v1")).contains("/b is a symbolic link"));
    assert!(refusal(&at("a")).contains("not a regular file"));
    assert!(refusal(&at("a/../a/map.v1")).contains(".."));
    assert!(refusal(Path::new("map.v1")).contains("absolute"));
    assert!(refusal(Path::new("/")).contains("absolute"));
    assert!(refusal(&at("a/map.v1/x")).contains("no directory"));
    assert!(
        Reader::open(&at("none/map.v1"), SIZE)
            .unwrap_err()
            .is_absent()
    );
    // A fifo must not keep anybody waiting.
    let fifo = std::ffi::CString::new(at("fifo").to_str().unwrap()).unwrap();
    // SAFETY: `fifo` is a string that ends with 0.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o644) }, 0);
    assert!(refusal(&at("fifo")).contains("not a regular file"));
}
