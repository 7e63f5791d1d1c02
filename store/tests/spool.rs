//! The drop box, with friendly and with hostile users.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::name;
use staplegun_store::spool::{DropBox, MAX_FILE, NotPublished, Refused, Taken, publish};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{Scratch, child, key, role};

fn uid() -> u32 {
    // SAFETY: it takes nothing.
    unsafe { libc::geteuid() }
}

#[derive(Default)]
struct Pass {
    taken: Vec<Taken>,
    refused: Vec<Refused>,
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
        self.take_at(Instant::now())
    }

    /// All that is there, in the order in which it comes.
    fn take_at(&mut self, at: Instant) -> Pass {
        let mut pass = Pass::default();
        for _ in 0..10_000 {
            let look = self.drop_box.look(at).unwrap();
            pass.refused.extend(look.refused);
            while let Some(next) = self.drop_box.next(|_| true) {
                match next {
                    Ok(taken) => pass.taken.push(taken),
                    Err(refused) => pass.refused.push(refused),
                }
            }
            if look.complete {
                return pass;
            }
        }
        panic!("it never comes to an end");
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
        pass.refused[0].why.to_string()
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
    assert!(pass.refused.is_empty());
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
    publish(&spool.path, &key(1), &[&vec![0; MAX_FILE]]).unwrap();
    assert_eq!(spool.left(), 1);
    for file in fs::read_dir(&spool.path).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
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
fn sizes_are_checked() {
    let mut spool = Spool::new();
    let name = spool.name(1, uid());
    fs::write(&name, b"").unwrap();
    assert!(spool.refusal().contains("bytes"));
    fs::write(&name, vec![0; MAX_FILE + 1]).unwrap();
    assert!(spool.refusal().contains("bytes"));
    // Sparse and huge: no more is read than allowed.
    fs::File::create(&name).unwrap().set_len(1 << 40).unwrap();
    assert!(spool.refusal().contains("bytes"));
}

/// In a user namespace a process has another number than the one by which the agent knows it,
/// and its root is anybody.
#[test]
fn whose_a_file_is_its_owner_tells_and_not_its_name() {
    let mut spool = Spool::new();
    for (number, said) in [(1, uid() + 1), (2, 0)] {
        fs::write(spool.name(number, said), b"x").unwrap();
    }
    let owner = if uid() == 0 { 65534 } else { uid() };
    if uid() == 0 {
        for file in fs::read_dir(&spool.path).unwrap() {
            chown(file.unwrap().path(), Some(owner), None).unwrap();
        }
    }
    let pass = spool.take();
    assert!(pass.refused.is_empty(), "{:?}", pass.refused);
    let owners: Vec<u32> = pass.taken.iter().map(|taken| taken.uid).collect();
    assert_eq!(owners, [owner; 2]);
    assert_eq!(spool.left(), 0);
}

#[test]
fn a_file_in_the_making_is_left_alone_until_it_is_old() {
    let mut spool = Spool::new();
    fs::write(spool.path.join(".partial"), b"x").unwrap();
    let pass = spool.take();
    assert!(pass.taken.is_empty() && pass.refused.is_empty());
    assert_eq!(spool.left(), 1);
    let pass = spool.take_at(Instant::now() + Duration::from_secs(61));
    assert!(pass.refused[0].removed);
    assert_eq!(spool.left(), 0);
}

/// Its owner sets a file's times, and its name.
#[test]
fn an_unfinished_file_that_is_touched_and_renamed_grows_no_younger() {
    let mut spool = Spool::new();
    let (one, other) = (spool.path.join(".one"), spool.path.join(".other"));
    fs::write(&one, b"x").unwrap();
    assert!(spool.take().refused.is_empty());
    fs::rename(&one, &other).unwrap();
    let file = fs::File::options().write(true).open(&other).unwrap();
    let ahead = std::time::SystemTime::now() + Duration::from_secs(59);
    file.set_modified(ahead).unwrap();
    let pass = spool.take_at(Instant::now() + Duration::from_secs(61));
    assert_eq!(pass.refused.len(), 1);
    assert_eq!(spool.left(), 0);
}

#[test]
fn unfinished_files_of_a_user_are_bounded_in_number_and_size() {
    if uid() != 0 {
        return;
    }
    let mut spool = Spool::new();
    for number in 0..300 {
        let name = spool.path.join(format!(".{number}"));
        fs::write(&name, b"x").unwrap();
        chown(&name, Some(65534), None).unwrap();
    }
    fs::write(spool.path.join(".huge"), vec![0; MAX_FILE + 1]).unwrap();
    fs::write(spool.path.join(".ours"), b"x").unwrap();
    assert_eq!(spool.take().refused.len(), 300 - 256 + 1);
    assert_eq!(spool.left(), 256 + 1);
}

#[test]
fn what_root_leaves_comes_first_and_then_each_user_in_turn() {
    if uid() != 0 {
        return;
    }
    let mut spool = Spool::new();
    let leave = |spool: &Spool, number, uid| {
        let name = spool.name(number, uid);
        fs::write(&name, b"x").unwrap();
        chown(&name, Some(uid), None).unwrap();
    };
    for number in 0..30 {
        leave(&spool, number, 1001 + (number % 3) as u32);
    }
    leave(&spool, 100, 0);
    let first = spool.drop_box.look(Instant::now()).unwrap();
    assert!(first.complete && first.refused.is_empty());
    let next = |spool: &mut Spool| {
        let next = spool.drop_box.next(|uid| uid != 1002)?;
        Some(next.unwrap().uid)
    };
    let of: Vec<u32> = (0..5).filter_map(|_| next(&mut spool)).collect();
    assert_eq!(of, [0, 1001, 1003, 1001, 1003]);
    // While the others wait.
    leave(&spool, 101, 0);
    assert!(spool.drop_box.look(Instant::now()).unwrap().complete);
    assert_eq!(next(&mut spool), Some(0));
    assert_eq!(
        spool.drop_box.waiting().collect::<Vec<_>>(),
        [1001, 1002, 1003]
    );
    assert_eq!(std::iter::from_fn(|| next(&mut spool)).count(), 16);
    assert_eq!(spool.left(), 10, "of the user who may not");
}

/// However much there is of others, and of what cannot be removed.
#[test]
fn each_look_finds_what_root_left() {
    if uid() != 0 {
        return;
    }
    let mut spool = Spool::new();
    for number in 0..20_000 {
        let name = spool.name(number, 65534);
        fs::create_dir(&name).unwrap();
        fs::create_dir(name.join("x")).unwrap();
    }
    publish(&spool.path, &key(30_000), &[&der(10)]).unwrap();
    spool.drop_box.look(Instant::now()).unwrap();
    let next = spool.drop_box.next(|_| true);
    assert_eq!(next.map(|next| next.unwrap().uid), Some(0));
}

#[test]
fn what_one_user_may_leave_is_bounded() {
    if uid() != 0 {
        return;
    }
    let mut spool = Spool::new();
    for number in 0..5000 {
        let name = spool.name(number, 65534);
        fs::write(&name, b"x").unwrap();
        chown(&name, Some(65534), None).unwrap();
    }
    publish(&spool.path, &key(9999), &[&der(10)]).unwrap();
    let mut refused = 0;
    for _ in 0..10_000 {
        let look = spool.drop_box.look(Instant::now()).unwrap();
        refused += look.refused.len();
        if look.complete {
            break;
        }
    }
    assert_eq!(refused, 5000 - 1024);
    assert_eq!(spool.left(), 1024 + 1);
    assert_eq!(spool.take().taken.len(), 1024 + 1);
    assert_eq!(spool.left(), 0);
}
