//! A reader in the circumstances in which servers shake hands: after chroot and
//! setuid, without descriptors, under a system-call filter, with the file system
//! full. One test, in children of its own, since it changes the whole process.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::files::Files;
use staplegun_store::map::{Reader, Writer, WriterLock};
use staplegun_store::slots::Miss;
use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{NOW, SIZE, Scratch, buffer, bytes, child, key, response, role};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Looks up keys 1 (there) and 2 (not there) without anything but memory: the
/// number of what went wrong, or 0.
fn look(reader: &Reader, expected: &[u8]) -> i32 {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let Ok(found) = reader.lookup(&key(1), NOW) else {
        return 1;
    };
    if found.copy_to(&mut buffer).is_err() {
        return 2;
    }
    let written = buffer[..found.len()].iter();
    // SAFETY: copy_to initialised so many bytes.
    let mut written = written.map(|byte| unsafe { byte.assume_init() });
    let same = expected.iter().all(|byte| written.next() == Some(*byte));
    if !same {
        return 3;
    }
    match reader.lookup(&key(2), NOW) {
        Err(Miss::Absent) => 0,
        _ => 4,
    }
}

/// Forks; the child runs `work` and exits with its result by a bare exit(2).
fn in_child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: this process has no other threads that hold locks, see `child`.
    match unsafe { libc::fork() } {
        0 => {
            let code = work();
            // SAFETY: exit takes a number; strict seccomp allows it and nothing more.
            unsafe { libc::syscall(libc::SYS_exit, code) };
            unreachable!()
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` lives until the call returns.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(
                libc::WIFEXITED(status),
                "killed by signal {}",
                libc::WTERMSIG(status)
            );
            libc::WEXITSTATUS(status)
        }
    }
}

fn writer(map: &std::path::Path, size: usize) -> Writer {
    Writer::open(map, size, WriterLock::try_take(map).unwrap()).unwrap()
}

#[test]
fn a_lookup_makes_no_system_call_and_allocates_nothing() {
    let test = "a_lookup_makes_no_system_call_and_allocates_nothing";
    let Some(map) = role() else {
        let scratch = Scratch::new();
        let der = response(1, 1, 1500);
        let mut writer = writer(&scratch.map(), SIZE);
        writer.put(&key(1), &der, NOW, NOW).unwrap();
        assert!(child(test, &scratch.map()).status().unwrap().success());
        return;
    };
    let der = response(1, 1, 1500);
    let reader = Reader::open(&map, SIZE).unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(look(&reader, &der), 0);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
    let code = in_child(|| {
        // SAFETY: the strings end with 0; the other calls take numbers. Chroot and
        // setuid work for root only, and the rest is the same without them.
        unsafe {
            libc::chroot(c"/proc".as_ptr());
            libc::setgid(65534);
            libc::setuid(65534);
            libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
            // From here on the kernel kills for all but read, write, exit, sigreturn.
            if libc::prctl(libc::PR_SET_SECCOMP, 1) != 0 {
                return 10;
            }
        }
        look(&reader, &der)
    });
    assert_eq!(code, 0);
}

/// Mounts a tmpfs of so many bytes on `at`, for this process alone. False if that
/// is not allowed.
fn small_tmpfs(at: &std::path::Path, size: usize) -> bool {
    let at = std::ffi::CString::new(at.to_str().unwrap()).unwrap();
    let options = std::ffi::CString::new(format!("size={size},mode=755")).unwrap();
    // SAFETY: all strings end with 0 and live until the calls return.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                c"tmpfs".as_ptr(),
                at.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                options.as_ptr().cast(),
            ) == 0
    }
}

#[test]
fn a_full_file_system_is_an_error_and_no_signal() {
    let test = "a_full_file_system_is_an_error_and_no_signal";
    let Some(place) = role() else {
        let scratch = Scratch::new();
        assert!(child(test, scratch.path()).status().unwrap().success());
        return;
    };
    for close in [false, true] {
        let place = place.join(if close { "closed" } else { "open" });
        std::fs::create_dir(&place).unwrap();
        if !small_tmpfs(&place, 2 * 1024 * 1024) {
            eprintln!("not tested: no file system can be mounted here");
            return;
        }
        let files = Files::open(&place).unwrap();
        files.staples.write(&key(1), b"old").unwrap();
        let map = place.join("map.v1");
        let size = 16 * 1024 * 1024;
        let mut writer = writer(&map, size);
        let reader = Reader::open(&map, size).unwrap();
        if close {
            writer.close_descriptor().unwrap();
        }
        let mut count = 0;
        let error = loop {
            let der = response(count, 1, 1500);
            match writer.put(&key(count), &der, NOW, NOW) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is_full(), "{error}");
        assert!(error.to_string().contains("No space left"), "{error}");
        assert!(count > 100);
        // The rest of the file system is filled as well.
        let _ = std::fs::write(place.join("ballast"), vec![1; 2 * 1024 * 1024]);
        for number in 0..count {
            let der = reader.read(&key(number), NOW, buffer).map(bytes);
            assert_eq!(der, Ok(response(number, 1, 1500)));
        }
        // What is there can still be renewed.
        writer
            .put(&key(0), &response(0, 2, 1500), NOW, NOW)
            .unwrap();
        let error = files.staples.write(&key(1), &[7; 60_000]).unwrap_err();
        assert!(error.to_string().contains("make room"), "{error}");
        assert_eq!(files.staples.read(&key(1)).unwrap().unwrap(), b"old");
        let names = std::fs::read_dir(place.join("staples")).unwrap().count();
        assert_eq!(names, 1, "no half file is left");

        // The kernel makes nothing read-only that is open to be written.
        drop(writer);
        let path = std::ffi::CString::new(place.to_str().unwrap()).unwrap();
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        // SAFETY: the strings end with 0 and live until the call returns.
        let remounted = unsafe {
            libc::mount(
                c"none".as_ptr(),
                path.as_ptr(),
                std::ptr::null(),
                flags,
                std::ptr::null(),
            )
        };
        assert_eq!(remounted, 0);
        let error = files.staples.write(&key(1), b"new").unwrap_err();
        assert!(error.to_string().contains("Read-only"), "{error}");
        assert!(error.to_string().contains("will not survive a restart"));
        assert_eq!(files.staples.read(&key(1)).unwrap().unwrap(), b"old");
        let again = Files::open(&place).unwrap();
        assert_eq!(again.staples.keys().unwrap(), [key(1)]);
        // A map that is mapped already does not mind.
        let der = reader.read(&key(1), NOW, buffer).map(bytes);
        assert_eq!(der, Ok(response(1, 1, 1500)));
    }
}
