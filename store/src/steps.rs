//! Where a test may kill the writer, or let it overtake a reader.
//!
//! Every change that the writer makes to what others see comes after a call of
//! [`step`], and a reader that has read a bucket calls [`overtaken`] before it looks
//! where that leads. Both are nothing outside of this crate's unit tests; there `step`
//! counts, and kills the process at the step the test chose, and `overtaken` does what
//! the test wants to come between.

/// About to change something that others see.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(all(test, feature = "agent"))]
    count::step();
}

/// About to look where the bucket leads that was just read.
#[inline(always)]
pub(crate) fn overtaken() {
    #[cfg(all(test, feature = "agent"))]
    between::overtaken();
}

#[cfg(all(test, feature = "agent"))]
pub(crate) mod between {
    use std::cell::RefCell;

    thread_local! {
        static WRITER: RefCell<Option<Box<dyn FnMut()>>> = RefCell::default();
    }

    pub(super) fn overtaken() {
        // It may look something up itself.
        let writer = WRITER.take();
        if let Some(mut writer) = writer {
            writer();
            WRITER.set(Some(writer));
        }
    }

    /// Lets `writer` overtake each look-up that `work` makes, at each bucket.
    pub(crate) fn overtaken_by<T>(writer: impl FnMut() + 'static, work: impl FnOnce() -> T) -> T {
        WRITER.set(Some(Box::new(writer)));
        let done = work();
        WRITER.set(None);
        done
    }
}

#[cfg(all(test, feature = "agent"))]
pub(crate) mod count {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Steps left until the process is killed; 0: never.
    static LEFT: AtomicU64 = AtomicU64::new(0);

    pub(super) fn step() {
        if LEFT.load(SeqCst) != 0 && LEFT.fetch_sub(1, SeqCst) == 1 {
            // SAFETY: kill and getpid take no pointers; the test asked for this.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }

    /// Lets this process die at its step number `steps` from now (from 1 on).
    fn die_at(steps: u64) {
        LEFT.store(steps, SeqCst);
    }

    /// A child inherits the locks of all writers in this process: one test at a time.
    pub(crate) fn alone() -> impl Drop {
        static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        ALONE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `work` in a child that is killed at step `step`; false if it got through.
    pub(crate) fn killed_at(step: u64, work: impl FnOnce()) -> bool {
        // SAFETY: the child runs `work` and leaves by _exit; it takes no lock that
        // another thread of the test could have held, but malloc's, which fork minds.
        match unsafe { libc::fork() } {
            0 => {
                die_at(step);
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // SAFETY: _exit takes no pointers and never returns.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                // SAFETY: `status` lives until the call returns.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                if libc::WIFEXITED(status) {
                    assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
                    return false;
                }
                assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
                true
            }
        }
    }
}
