//! Starting a process that the program will not notice: no child of it, of
//! another session, and without one of its descriptors.

// Processes are made by fork, between which and exec only system calls are made.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

/// All that the new process needs, made before the fork: afterwards nothing may
/// be allocated.
struct Plan {
    path: CString,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    null: OwnedFd,
    answer: OwnedFd,
    /// Orphans come to this process, so the new one must not become an orphan.
    guarded: bool,
}

/// Starts the program at `path` and returns a descriptor of its process
/// (pidfd_open(2)). It has no controlling terminal, /dev/null as its standard
/// descriptors, `/` as its directory, and default signals.
///
/// It is forked twice, and the process between is waited for here, so that no
/// wait() of what this process becomes meets one of the two. That needs somebody
/// else who adopts orphans. Where this process is PID 1 or a subreaper, the process
/// between stays instead: as a child that sends no SIGCHLD, which wait() without
/// __WALL passes over (wait(2)), and that ends with its parent.
///
/// # Errors
///
/// If a system call fails. That `path` cannot be executed is seen by the process
/// ending at once.
pub fn spawn(path: &CStr, arguments: &[CString], environment: &[CString]) -> Result<OwnedFd> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("cannot open /dev/null")?;
    let pointers = |strings: &[CString]| {
        let pointers = strings.iter().map(|string| string.as_ptr());
        pointers.chain([std::ptr::null()]).collect()
    };
    let plan = Plan {
        path: path.to_owned(),
        arguments: pointers(arguments),
        environment: pointers(environment),
        null: null.into(),
        answer: writer,
        guarded: adopts_orphans(),
    };
    // No flags, so that it is a fork whose end sends no signal: an inherited mask
    // could keep a SIGCHLD pending for the program. All arguments are zero, so their
    // order, which differs between machines, does not matter.
    // SAFETY: this process has one thread, and the child makes only system calls.
    let between = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    match between {
        -1 => return Err(io::Error::last_os_error()).context("cannot make a process"),
        // SAFETY: this is the forked child.
        0 => unsafe { between_processes(&plan) },
        _ => {}
    }
    let Plan {
        guarded, answer, ..
    } = plan;
    drop(answer);
    let mut bytes = [0; size_of::<c_int>()];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut bytes))?;
    if !guarded {
        wait_for(between as libc::pid_t)?;
    }
    let pid = Pid::from_raw(c_int::from_ne_bytes(bytes));
    match pid.filter(|_| length == bytes.len()) {
        Some(pid) => pidfd_open(pid, PidfdFlags::empty()).context("cannot watch the new process"),
        None => bail!("cannot make a second process"),
    }
}

/// Whether processes whose parents end become children of this one.
fn adopts_orphans() -> bool {
    let mut subreaper: c_int = 0;
    // SAFETY: the kernel writes one int to where it is told.
    let asked = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper) };
    getpid().is_init() || (asked == 0 && subreaper != 0)
}

fn wait_for(pid: libc::pid_t) -> Result<()> {
    loop {
        // SAFETY: NULL is allowed for the status. __WALL: it sends no SIGCHLD.
        let waited = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
        if waited == pid {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for the process between");
        }
    }
}

/// The process between: makes the second one, says its number, and ends or stays.
///
/// # Safety
///
/// Only in a process that was just forked from one with a single thread.
unsafe fn between_processes(plan: &Plan) -> ! {
    // SAFETY: system calls with valid arguments only, which is all that may be made
    // here; the pointers lie in this process's copy of the plan.
    unsafe {
        libc::setsid();
        let pid = libc::fork();
        if pid == 0 {
            become_agent(plan);
        }
        libc::write(
            plan.answer.as_raw_fd(),
            (&raw const pid).cast(),
            size_of::<c_int>(),
        );
        if !plan.guarded {
            libc::_exit(0);
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"staplegun-guard".as_ptr());
        keep_only(plan.null.as_raw_fd());
        while libc::waitpid(pid, std::ptr::null_mut(), 0) == -1
            && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
        // To end would send the program a SIGCHLD after all, since it has changed by
        // exec; so this waits to be ended with it.
        loop {
            libc::pause();
        }
    }
}

/// The second process, up to exec.
///
/// # Safety
///
/// As [`between_processes`].
unsafe fn become_agent(plan: &Plan) -> ! {
    // SAFETY: as above. A zeroed sigaction means the default action, no flags.
    unsafe {
        default_signals();
        libc::umask(0o022);
        libc::chdir(c"/".as_ptr());
        keep_only(plan.null.as_raw_fd());
        libc::execve(
            plan.path.as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
        );
        libc::_exit(127)
    }
}

/// Every signal has its default action, and none is blocked.
///
/// # Safety
///
/// As [`between_processes`].
unsafe fn default_signals() {
    // SAFETY: the set and the zeroed action are valid; a number that is no signal's
    // is refused.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=libc::SIGRTMAX() {
            libc::sigaction(signal, &raw const default, std::ptr::null_mut());
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// The three standard descriptors are `null`, all others are closed.
///
/// # Safety
///
/// As [`between_processes`]: nobody may use the others any more.
unsafe fn keep_only(null: c_int) {
    const FIRST: libc::c_uint = 3;
    // SAFETY: descriptors of this process alone.
    unsafe {
        for standard in 0..=2 {
            libc::dup2(null, standard);
        }
        if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) == 0 {
            return;
        }
        // Before Linux 5.9, or where a filter forbids it.
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        const MOST: libc::rlim_t = 65_536;
        for descriptor in FIRST as c_int..limit.rlim_cur.min(MOST) as c_int {
            libc::close(descriptor);
        }
    }
}
