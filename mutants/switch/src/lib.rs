//! Which changes are on: a file that every process of a test maps has a byte for each. One that was
//! asked for is marked there, so that what a test reaches is known.
//!
//! The file is opened when the program, or the library that this is in, is loaded: before it enters
//! a chroot, takes a filter of system calls or another user's rights. Its path is compiled in, as an
//! environment may be emptied. Where there is none, no change is on.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

mod either;

pub use either::Either;

/// The length of the file: the number of a change is less.
pub const LENGTH: usize = 1 << 16;
/// In the byte of a change: it is on.
pub const ON: u8 = 2;
/// In the byte of a change: it was asked for.
pub const ASKED: u8 = 1;

const PATH: Option<&str> = option_env!("STAPLEGUN_MUTANTS_MAP");

#[cfg(target_arch = "x86_64")]
const SYS_OPENAT: c_long = 257;
#[cfg(not(target_arch = "x86_64"))]
const SYS_OPENAT: c_long = 56;
const AT_FDCWD: c_int = -100;
const O_RDWR: c_int = 2;
const O_CLOEXEC: c_int = 0o2_000_000;
const PROT_READ_AND_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;

// Declared here, as a crate would be one more in what is tested. By `syscall`, since some tests stand
// in for `open`.
unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn mmap(
        at: *mut c_void,
        n: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        from: i64,
    ) -> *mut c_void;
    fn close(fd: c_int) -> c_int;
}

static MAP: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

#[used]
#[unsafe(link_section = ".init_array.00101")]
static WHEN_LOADED: extern "C" fn() = open;

extern "C" fn open() {
    let mut path = [0_u8; 4096];
    match PATH {
        Some(text) if text.len() < path.len() => {
            path[..text.len()].copy_from_slice(text.as_bytes());
        }
        _ => return,
    }
    // SAFETY: the path ends with a zero.
    let fd = unsafe {
        let path = path.as_ptr().cast::<c_char>();
        syscall(SYS_OPENAT, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0)
    };
    let Ok(fd @ 0..) = c_int::try_from(fd) else {
        return;
    };
    let (prot, flags) = (PROT_READ_AND_WRITE, MAP_SHARED);
    // SAFETY: a new map, of a file that tools/mutants has made that long.
    let map = unsafe { mmap(std::ptr::null_mut(), LENGTH, prot, flags, fd, 0) };
    // SAFETY: it was opened here.
    unsafe { close(fd) };
    // MAP_FAILED is -1.
    if map.addr() != usize::MAX {
        MAP.store(map.cast(), Ordering::Relaxed);
    }
}

/// Whether a change is on.
#[inline(never)]
#[must_use]
pub fn on(change: u32) -> bool {
    let map = MAP.load(Ordering::Relaxed);
    if map.is_null() {
        return false;
    }
    // SAFETY: the map is never unmapped, as long as LENGTH, and no number is beyond that; all who have
    // it use it by atomics.
    let byte = unsafe { AtomicU8::from_ptr(map.add(change as usize)) };
    let told = byte.load(Ordering::Relaxed);
    if told & ASKED == 0 {
        byte.fetch_or(ASKED, Ordering::Relaxed);
    }
    told & ON != 0
}
