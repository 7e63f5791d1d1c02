//! What this process was given when it was started and what the Rust runtime
//! changes before `main`: it ignores SIGPIPE, and opens /dev/null as each standard
//! descriptor that is closed. The program that is started in our place must get
//! both as they were, and the environment byte for byte.

// A function that runs before the runtime does, and the table `environ`, can be
// had in no safe way.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use anyhow::{Context, Result};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::stdio::{stderr, stdin, stdout};

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// One bit for each of the descriptors 0, 1 and 2 that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The C library calls what stands in this section before `main`, and so before
/// the Rust runtime.
#[used]
// SAFETY: the section holds pointers to functions of the C ABI that may take
// fewer arguments than are passed; `look` allocates nothing and uses nothing that
// the Rust runtime sets up.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: a zeroed sigaction is a valid one to be written to; asking for the
    // action of a signal and the flags of a descriptor changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        SIGPIPE_IGNORED.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        for number in 0..=2 {
            if libc::fcntl(number, libc::F_GETFD) == -1 {
                CLOSED.fetch_or(1 << number, Ordering::Relaxed);
            }
        }
    }
}

/// Puts SIGPIPE and the standard descriptors back, the latter by letting exec
/// close those that were closed. Only to be called right before exec: a write to
/// a broken pipe may end this process from then on.
pub fn restore() -> Result<()> {
    if !SIGPIPE_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: no handler of anybody is lost: the runtime ignores the signal.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let closed = CLOSED.load(Ordering::Relaxed);
    let standard: [(u8, BorrowedFd<'_>); 3] = [(0, stdin()), (1, stdout()), (2, stderr())];
    for (number, descriptor) in standard {
        if closed & 1 << number != 0 {
            fcntl_setfd(descriptor, FdFlags::CLOEXEC)
                .with_context(|| format!("cannot close descriptor {number} again"))?;
        }
    }
    Ok(())
}

/// The environment as it was given, each entry whole, also those that are not
/// `NAME=value`.
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut all = Vec::new();
    // SAFETY: `environ` is NULL or a table of C strings that ends with NULL. This
    // process has one thread and does not change its environment, so that table
    // and strings stay while they are copied.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            all.push(CStr::from_ptr(*entry).to_owned());
            entry = entry.add(1);
        }
    }
    all
}
