//! Writing a line from inside another program: never blocking, never raising a
//! signal, keeping no descriptor, and never into a file that is the program's.

use std::ffi::{CString, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// RWF_NOWAIT of linux/fs.h.
const RWF_NOWAIT: c_int = 8;

/// What descriptor 2 was when the library was loaded, as device and inode.
static STDERR: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The wall clock in seconds, by the vDSO.
pub fn seconds() -> i64 {
    // SAFETY: a NULL argument means that nothing is stored.
    unsafe { libc::time(ptr::null_mut()) }
}

/// The process's number.
pub fn pid() -> i32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() }
}

/// Remembers what descriptor 2 is, to be called when the library is loaded.
pub fn remember_stderr() {
    if let Some(stat) = status_of(libc::STDERR_FILENO) {
        STDERR[0].store(stat.st_dev, Ordering::Relaxed);
        STDERR[1].store(stat.st_ino, Ordering::Relaxed);
    }
}

/// Writes to descriptor 2, if that still is what it was when the library was
/// loaded, or a terminal, a device or a pipe, as loggers are. Programs close it,
/// and then get a data file or a client under that number; a file that the
/// program opened since is never written to, not even one opened to append.
pub fn to_stderr(line: &[u8]) {
    const FD: c_int = libc::STDERR_FILENO;
    let Some(stat) = status_of(FD) else { return };
    let same = stat.st_dev == STDERR[0].load(Ordering::Relaxed)
        && stat.st_ino == STDERR[1].load(Ordering::Relaxed);
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR | libc::S_IFIFO => write_now(FD, line),
        libc::S_IFREG if same => write_now(FD, line),
        libc::S_IFSOCK if same => send_now(FD, line, None),
        _ => {}
    }
}

/// Appends to the file at `path`, which is created if need be, opened for this
/// line only, and never reached through a symbolic link.
pub fn to_file(path: &Path, line: &[u8]) {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return;
    };
    let flags = libc::O_WRONLY
        | libc::O_APPEND
        | libc::O_CREAT
        | libc::O_CLOEXEC
        | libc::O_NOCTTY
        | libc::O_NONBLOCK
        | libc::O_NOFOLLOW;
    // SAFETY: the path is a C string; the descriptor is ours until closed here.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags, 0o640);
        if fd >= 0 {
            write_now(fd, line);
            libc::close(fd);
        }
    }
}

/// Sends one datagram to the system's log.
pub fn to_syslog(message: &[u8]) {
    let mut address = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; 108],
    };
    for (place, byte) in address.sun_path.iter_mut().zip(b"/dev/log") {
        *place = *byte as libc::c_char;
    }
    // SAFETY: the descriptor is ours until closed here.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = libc::socket(libc::AF_UNIX, kind, 0);
        if fd >= 0 {
            send_now(fd, message, Some(&address));
            libc::close(fd);
        }
    }
}

fn status_of(fd: c_int) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the structure when it returns 0.
    unsafe { (libc::fstat(fd, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }
}

fn send_now(fd: c_int, bytes: &[u8], to: Option<&libc::sockaddr_un>) {
    let (address, length) = match to {
        Some(address) => (
            ptr::from_ref(address).cast::<libc::sockaddr>(),
            size_of::<libc::sockaddr_un>() as libc::socklen_t,
        ),
        None => (ptr::null(), 0),
    };
    // SAFETY: the buffer and the address, if any, are valid for their lengths.
    unsafe {
        libc::sendto(
            fd,
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            address,
            length,
        )
    };
}

/// One write that neither waits nor lets SIGPIPE or SIGXFSZ reach the program.
fn write_now(fd: c_int, bytes: &[u8]) {
    // SAFETY: the sets are initialised by sigemptyset and sigpending; the masks
    // are the calling thread's own; the buffer is valid for its length.
    unsafe {
        let mut ours = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(ours.as_mut_ptr());
        let mut ours = ours.assume_init();
        let mut before = ours;
        let mut mask = ours;
        libc::sigaddset(&raw mut ours, libc::SIGPIPE);
        libc::sigaddset(&raw mut ours, libc::SIGXFSZ);
        libc::sigpending(&raw mut before);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ours, &raw mut mask) != 0 {
            return;
        }
        let failure = write_without_waiting(fd, bytes);
        let raised = match failure {
            libc::EPIPE => Some(libc::SIGPIPE),
            libc::EFBIG => Some(libc::SIGXFSZ),
            _ => None,
        };
        // What our write raised is taken back; what was pending before stays.
        if let Some(signal) = raised
            && libc::sigismember(&raw const before, signal) == 0
        {
            let mut only = ours;
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, signal);
            let at_once = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            libc::sigtimedwait(&raw const only, ptr::null_mut(), &raw const at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
    }
}

/// Writes, and returns errno, or 0.
///
/// # Safety
/// SIGPIPE and SIGXFSZ must be blocked in this thread.
unsafe fn write_without_waiting(fd: c_int, bytes: &[u8]) -> c_int {
    let part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the vector describes `bytes`; -1 twice is the offset that means
    // the file's own position.
    unsafe {
        let (own, one) = (-1 as libc::c_long, 1 as libc::c_long);
        let written = libc::syscall(
            libc::SYS_pwritev2,
            libc::c_long::from(fd),
            &raw const part,
            one,
            own,
            own,
            libc::c_long::from(RWF_NOWAIT),
        );
        if written >= 0 {
            return 0;
        }
        let failure = *libc::__errno_location();
        if !matches!(failure, libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) {
            return failure;
        }
        let mut ready = libc::pollfd {
            fd,
            events: libc::POLLOUT,
            revents: 0,
        };
        if libc::poll(&raw mut ready, 1, 0) != 1 {
            return 0;
        }
        if libc::write(fd, bytes.as_ptr().cast(), bytes.len()) >= 0 {
            return 0;
        }
        *libc::__errno_location()
    }
}
