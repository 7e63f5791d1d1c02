//! The drop box, with friendly and with hostile users.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::name;
use staplegun_store::spool::{DropBox, MAX_FILE, NotPublished, Pass, publish};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use support::{Scratch, child, key, role};

fn now() -> i64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

fn uid() -> u32 {
    // SAFETY: it takes nothing.
    unsafe { libc::geteuid() }
}

struct Spool {
    _scratch: Scratch,
    path: PathBuf,
    drop_box: DropBox,
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
        }
    }

    fn take(&mut self) -> Pass {
        self.drop_box.take(now()).unwrap()
    }

    fn name(&self, number: u64, uid: u32) -> PathBuf {
        let key = name::of_key(&key(number));
        self.path.join(format!("{key}.{uid}.{number:016x}"))
    }

    fn left(&self) -> usize {
        fs::read_dir(&self.path).unwrap().count()
    }

    /// What the one thing in the spool was refused for; it must be gone.
    fn refusal(&mut self) -> String {
        let pass = self.take();
        assert!(pass.taken.is_empty());
        assert_eq!(pass.refused.len(), 1, "{:?}", pass.refused);
        assert!(pass.refused[0].removed);
        assert_eq!(self.left(), 0);
        pass.refused[0].why.clone()
    }
}

/// DER SEQUENCEs of all three sizes of length.
fn der(length: usize) -> Vec<u8> {
    let mut der = match length {
        0..=0x7f => vec![0x30, length as u8],
        0x80..=0xff => vec![0x30, 0x81, length as u8],
        _ => vec![0x30, 0x82, (length >> 8) as u8, length as u8],
    };
    der.resize(der.len() + length, 7);
    der
}

#[test]
fn what_is_published_is_taken_once() {
    let mut spool = Spool::new();
    assert_eq!(fs::metadata(&spool.path).unwrap().mode() & 0o7777, 0o1733);
    let parts = [der(1000), der(200), der(100)];
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    publish(&spool.path, &key(1), &parts).unwrap();
    let mut files = fs::read_dir(&spool.path).unwrap();
    let mode = files.next().unwrap().unwrap().metadata().unwrap().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let pass = spool.take();
    assert!(pass.complete && pass.refused.is_empty());
    assert_eq!(pass.taken.len(), 1);
    assert_eq!((pass.taken[0].key, pass.taken[0].uid), (key(1), uid()));
    assert_eq!(pass.taken[0].certificates().unwrap(), parts);
    assert_eq!(spool.left(), 0);
    assert!(spool.take().taken.is_empty());
}

#[test]
fn another_user_can_publish_and_see_nothing() {
    let test = "another_user_can_publish_and_see_nothing";
    if let Some(spool) = role() {
        // SAFETY: the calls take numbers.
        unsafe { libc::umask(0o077) };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setuid(65534) }, 0);
        publish(&spool, &key(1), &[&der(500)]).unwrap();
        assert!(fs::read_dir(&spool).is_err());
        return;
    }
    if uid() != 0 {
        return;
    }
    let mut spool = Spool::new();
    // The test program itself may lie where the other user cannot read, so the
    // user is changed only after it was started.
    assert!(child(test, &spool.path).status().unwrap().success());
    let pass = spool.take();
    assert_eq!((pass.taken.len(), pass.taken[0].uid), (1, 65534));
}

#[test]
fn too_much_and_limits_publish_nothing() {
    if let Some(spool) = role() {
        let limit = libc::rlimit {
            rlim_cur: 1 << 30,
            rlim_max: 1 << 30,
        };
        // SAFETY: `limit` lives until the call returns.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
        let refused = publish(&spool, &key(1), &[&der(500)]);
        assert_eq!(refused, Err(NotPublished::FileSizeLimited));
        return;
    }
    let spool = Spool::new();
    let half = vec![0; MAX_FILE / 2 + 1];
    assert_eq!(
        publish(&spool.path, &key(1), &[&half, &half]),
        Err(NotPublished::Size(MAX_FILE + 2))
    );
    assert_eq!(
        publish(&spool.path, &key(1), &[]),
        Err(NotPublished::Size(0))
    );
    assert!(matches!(
        publish(&spool.path.join("none"), &key(1), &[&half]),
        Err(NotPublished::System(_, libc::ENOENT))
    ));
    let link = spool.path.with_file_name("link");
    symlink(&spool.path, &link).unwrap();
    assert!(publish(&link, &key(1), &[&half]).is_err());
    let limited = child("too_much_and_limits_publish_nothing", &spool.path);
    assert!({ limited }.status().unwrap().success());
    assert_eq!(spool.left(), 0);
}

#[test]
fn odd_names_are_thrown_away() {
    let mut spool = Spool::new();
    let good = spool.name(1, uid());
    let good = good.file_name().unwrap().to_str().unwrap();
    let owner = format!(".{}.", uid());
    let with_owner = |owner_part| good.replace(&owner, owner_part);
    for bad in [
        "x".to_owned(),
        "a.b.c".to_owned(),
        good.to_uppercase(),
        with_owner(".-1."),
        with_owner("."),
        with_owner(".4294967296."),
        with_owner(".0.0."),
        format!("{good}0"),
    ] {
        assert_ne!(bad, good);
        fs::write(spool.path.join(&bad), b"x").unwrap();
        assert!(spool.refusal().contains("name"), "{bad}");
    }
}

#[test]
fn links_fifos_sockets_and_directories_are_thrown_away_unopened() {
    let mut spool = Spool::new();
    let secret = spool.path.with_file_name("secret");
    fs::write(&secret, b"secret").unwrap();
    let name = spool.name(1, uid());
    symlink(&secret, &name).unwrap();
    assert!(spool.refusal().contains("regular"));
    fs::hard_link(&secret, &name).unwrap();
    assert!(spool.refusal().contains("link"));
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    let path = std::ffi::CString::new(name.to_str().unwrap()).unwrap();
    // SAFETY: `path` ends with 0.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o666) }, 0);
    assert!(spool.refusal().contains("regular"));
    let socket = std::os::unix::net::UnixListener::bind(spool.path.join("s")).unwrap();
    assert!(spool.refusal().contains("regular"));
    drop(socket);
    fs::create_dir(&name).unwrap();
    assert!(spool.refusal().contains("regular"));
}

#[test]
fn a_directory_that_is_not_empty_stays_and_hides_nothing() {
    let mut spool = Spool::new();
    for number in 0..50 {
        fs::create_dir_all(spool.name(number, uid()).join("x")).unwrap();
    }
    publish(&spool.path, &key(100), &[&der(10)]).unwrap();
    let pass = spool.take();
    assert_eq!(pass.taken.len(), 1);
    assert_eq!(
        pass.refused
            .iter()
            .filter(|refused| !refused.removed)
            .count(),
        50
    );
}

#[test]
fn sizes_and_owners_are_checked() {
    let mut spool = Spool::new();
    let name = spool.name(1, uid());
    fs::write(&name, b"").unwrap();
    assert!(spool.refusal().contains("bytes"));
    fs::write(&name, vec![0; MAX_FILE + 1]).unwrap();
    assert!(spool.refusal().contains("bytes"));
    // Sparse and huge: no more is read than allowed.
    fs::File::create(&name).unwrap().set_len(1 << 40).unwrap();
    assert!(spool.refusal().contains("bytes"));
    let other = spool.name(1, uid() + 1);
    fs::write(&other, b"x").unwrap();
    assert!(spool.refusal().contains("owns"));
}

#[test]
fn a_file_in_the_making_is_left_alone_until_it_is_old() {
    let mut spool = Spool::new();
    fs::write(spool.path.join(".partial"), b"x").unwrap();
    let pass = spool.take();
    assert!(pass.taken.is_empty() && pass.refused.is_empty());
    assert_eq!(spool.left(), 1);
    let pass = spool.drop_box.take(now() + 61).unwrap();
    assert!(pass.refused[0].removed);
    assert_eq!(spool.left(), 0);
}

#[test]
fn a_flood_is_bounded_per_pass_and_per_user() {
    let mut spool = Spool::new();
    for number in 0..5000 {
        let name = spool.name(number, 65534);
        fs::write(&name, b"x").unwrap();
        if uid() == 0 {
            chown(&name, Some(65534), None).unwrap();
        }
    }
    publish(&spool.path, &key(9999), &[&der(10)]).unwrap();
    let first = spool.take();
    assert!(!first.complete);
    assert!(first.taken.len() <= 1025, "{}", first.taken.len());
    let second = spool.take();
    assert!(second.complete);
    let ours = |pass: &Pass| pass.taken.iter().filter(|taken| taken.uid == uid()).count();
    assert_eq!(ours(&first) + ours(&second), 1);
    assert_eq!(spool.left(), 0);
}

#[test]
fn a_spool_that_is_a_link_is_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("a")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    assert!(DropBox::open(&at("b")).is_err());
    fs::set_permissions(at("a"), Permissions::from_mode(0o700)).unwrap();
    if uid() == 0 {
        chown(at("a"), Some(65534), None).unwrap();
        let error = DropBox::open(&at("a")).unwrap_err();
        assert!(error.to_string().contains("65534"), "{error}");
    }
}
