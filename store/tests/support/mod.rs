//! What the tests share: a directory that goes away, and responses whose bytes
//! tell which they are.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory that only this user can write, on tmpfs where there is one.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shm = Path::new("/dev/shm");
        let temp = std::env::temp_dir();
        let base = if shm.is_dir() { shm } else { &temp };
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("staplegun-store-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => break path,
                // Of a process of the same number: an earlier one, or one in another container.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot create {}: {error}", path.display()),
            }
        };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn map(&self) -> PathBuf {
        self.0.join("map.v1")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The time at which the tests look things up.
pub const NOW: i64 = 1_800_000_000;

/// A key that tells its number, spread like a hash.
pub fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (i, bytes) in key.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&Noise(number ^ (i as u64) << 56).next().to_ne_bytes());
    }
    key
}

/// The response number `version` for the key number `number`: any byte of
/// another response in it would be seen.
pub fn response(number: u64, version: u64, length: usize) -> Vec<u8> {
    let mut noise = Noise(number << 32 ^ version);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&noise.next().to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A small generator of pseudo-random numbers (splitmix64).
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A buffer for a reader.
pub fn buffer(length: usize) -> Option<Vec<std::mem::MaybeUninit<u8>>> {
    Some(vec![std::mem::MaybeUninit::new(0xaa); length])
}

/// The bytes that a reader copied.
pub fn bytes(copied: staplegun_store::slots::Copied<Vec<std::mem::MaybeUninit<u8>>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in &copied.buffer[..copied.length] {
        // SAFETY: `buffer` initialised every byte.
        bytes.push(unsafe { byte.assume_init() });
    }
    bytes
}

/// The size of the test maps.
pub const SIZE: usize = 4 * 1024 * 1024;

/// Names the role of a child, see [`child`].
const ROLE: &str = "STAPLEGUN_STORE_TEST_ROLE";

/// This test program again, to run its test `test` alone in a process of its own,
/// where [`role`] gives `role`.
pub fn child(test: &str, role: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, role);
    command
}

/// What this process was started for by [`child`], if it was.
pub fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// A count, or many times as much when STAPLEGUN_STORE_HEAVY is set to a factor.
pub fn heavy(count: u64) -> u64 {
    let factor = std::env::var("STAPLEGUN_STORE_HEAVY");
    count * factor.map_or(1, |factor| factor.parse::<u64>().unwrap())
}
