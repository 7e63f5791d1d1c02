//! The boundary around our own work inside the host: a panic ends here, and
//! errno and OpenSSL's error queue are left as they were found.
//!
//! | what is done | by | after a panic |
//! |---|---|---|
//! | our work: certificates, responses, policies | `work`; where OpenSSL's functions may queue errors, `quiet_work` | not done any more |
//! | remembering what the program sets, and giving it back | `bookkeeping` | still done |
//!
//! Bookkeeping that panics is done once more, since the program asked for it, and then does no
//! more than it must. After a panic nothing that we know is certain, so the process goes on without us, and its
//! children: one line in the log says so. libssl still calls our callback, and the program
//! gets from us what it gave us, so that much goes on.
//!
//! Only our own work goes inside. Real functions and program callbacks are
//! called outside: their errors belong to the program, and they may unwind
//! (C++ exceptions, pthread_cancel), which must pass through us untouched.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::{OnceBox, OnceRef};

use super::tables::Crypto;

/// Whether there was a panic.
static STOPPED: AtomicBool = AtomicBool::new(false);
/// Where the first one was.
static PLACE: OnceBox<String> = OnceBox::new();
/// Who is told of it.
static REPORT: OnceRef<'static, fn(&str)> = OnceRef::new();

/// Keeps panics from being printed: they end at the boundary, and the host's
/// standard error is not ours. The first one is told to `report`, with its place. This library
/// carries its own copy of std, so a host in Rust keeps its hook.
pub fn begin(report: &'static fn(&str)) {
    let _ = REPORT.set(report);
    std::panic::set_hook(Box::new(|info| {
        if let Some(place) = info.location() {
            let _ = PLACE.set(Box::new(place.to_string()));
        }
    }));
}

/// Whether our work is done in this process: there was no panic.
pub fn works() -> bool {
    !STOPPED.load(Ordering::Relaxed)
}

/// Does `work`; if it panics, or anything has before, the answer is `fallback`. What it
/// queues of errors it sees to itself.
#[cfg_attr(feature = "faults", track_caller)]
pub fn work<R>(fallback: R, work: impl FnOnce() -> R) -> R {
    if works() {
        contained(work).unwrap_or(fallback)
    } else {
        fallback
    }
}

/// The same, with whatever it adds to this thread's error queue removed.
#[cfg_attr(feature = "faults", track_caller)]
pub fn quiet_work<R>(crypto: &Crypto, fallback: R, work: impl FnOnce() -> R) -> R {
    self::work(fallback, || errors_kept(crypto, work))
}

/// Does `work`, and once more if it panics; if it does so again, the answer is `fallback`.
#[cfg_attr(feature = "faults", track_caller)]
pub fn bookkeeping<R>(fallback: R, work: impl Fn() -> R) -> R {
    #[cold]
    #[inline(never)]
    fn again<R>(work: impl Fn() -> R) -> Option<R> {
        caught(work)
    }
    contained(&work)
        .or_else(|| again(&work))
        .unwrap_or(fallback)
}

/// Does `work`, panic or not before. None if it panics.
#[cfg_attr(feature = "faults", track_caller)]
pub(super) fn contained<R>(work: impl FnOnce() -> R) -> Option<R> {
    #[cfg(feature = "faults")]
    let work = super::fault::or_panic(work);
    caught(work)
}

#[inline(always)]
fn caught<R>(work: impl FnOnce() -> R) -> Option<R> {
    errno_kept(|| {
        let done = catch_unwind(AssertUnwindSafe(work)).ok();
        if done.is_none() {
            stop();
        }
        done
    })
}

#[cold]
fn stop() {
    #[cfg(staplegun_own_unwinder)]
    super::unwinder::panic_ended();
    if !STOPPED.swap(true, Ordering::Relaxed) {
        let place = PLACE.get().map_or("an unknown place", String::as_str);
        let told = catch_unwind(|| REPORT.get().map(|report| report(place)));
        #[cfg(staplegun_own_unwinder)]
        if told.is_err() {
            super::unwinder::panic_ended();
        }
        let _ = told;
    }
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// PTHREAD_CANCEL_DISABLE of pthread.h, in glibc and musl.
const CANCEL_DISABLE: c_int = 1;

/// Does `work`, which does not panic, with errno saved, and as no cancellation point: the
/// program may have cancelled this thread, and libssl would have gone on to the program's own
/// cancellation point. A forced unwind from one of our system calls would end at
/// `caught`, where Rust and glibc both abort the process.
#[inline(always)]
pub(super) fn errno_kept<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: errno's address is valid in every thread; the cancel state is this
    // thread's own, read into and restored from a local.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let mut cancel = CANCEL_DISABLE;
        pthread_setcancelstate(CANCEL_DISABLE, &raw mut cancel);
        let answer = work();
        *errno = before;
        pthread_setcancelstate(cancel, ptr::null_mut());
        answer
    }
}

/// Does `work` with whatever it adds to this thread's error queue removed, also if it panics.
#[inline(always)]
pub fn errors_kept<R>(crypto: &Crypto, work: impl FnOnce() -> R) -> R {
    struct Mark<'c>(&'c Crypto);
    impl Drop for Mark<'_> {
        fn drop(&mut self) {
            // SAFETY: it has no preconditions.
            unsafe { (self.0.ERR_pop_to_mark)() };
        }
    }
    // SAFETY: it has no preconditions. On an empty queue no mark can be set, and then the
    // pop empties it again.
    unsafe { (crypto.ERR_set_mark)() };
    let _mark = Mark(crypto);
    work()
}

/// Empties this thread's error queue after work in a handshake that queues
/// errors only when it fails: cheaper than a mark that is hardly ever needed.
/// libssl empties the queue itself when it goes on with a handshake, so nothing
/// of the program's is lost.
pub fn forget_errors(crypto: &Crypto) {
    // SAFETY: it has no preconditions.
    unsafe { (crypto.ERR_clear_error)() };
}
