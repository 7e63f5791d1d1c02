//! The boundary around our own work inside the host: a panic ends here, and
//! errno and OpenSSL's error queue are left as they were found.
//!
//! Only our own work goes inside. Real functions and program callbacks are
//! called outside: their errors belong to the program, and they may unwind
//! (C++ exceptions, pthread_cancel), which must pass through us untouched.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::tables::Crypto;

/// Runs `work`; if it panics, the answer is `fallback`.
#[cfg_attr(feature = "faults", track_caller)]
pub fn contained<R>(fallback: R, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "faults")]
    let work = super::fault::or_panic(work);
    without_panics(fallback, work)
}

fn without_panics<R>(fallback: R, work: impl FnOnce() -> R) -> R {
    let done = catch_unwind(AssertUnwindSafe(work));
    #[cfg(staplegun_own_unwinder)]
    if done.is_err() {
        super::unwinder::panic_ended();
    }
    done.unwrap_or(fallback)
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// PTHREAD_CANCEL_DISABLE of pthread.h, in glibc and musl.
const CANCEL_DISABLE: c_int = 1;

/// Runs `work` with errno saved, and as no cancellation point: the program may
/// have cancelled this thread, and libssl would have gone on to the program's own
/// cancellation point. A forced unwind from one of our system calls would end at
/// `contained`, where Rust and glibc both abort the process.
pub fn with_errno_kept<R>(work: impl FnOnce() -> R) -> R {
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

/// Runs `work` as `contained` does, with errno saved.
#[cfg_attr(feature = "faults", track_caller)]
pub fn contained_with_errno_kept<R>(fallback: R, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "faults")]
    let work = super::fault::or_panic(work);
    with_errno_kept(|| without_panics(fallback, work))
}

/// The same, with whatever it adds to this thread's error queue removed.
#[cfg_attr(feature = "faults", track_caller)]
pub fn quietly<R>(crypto: &Crypto, fallback: R, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "faults")]
    let work = super::fault::or_panic(work);
    with_errno_kept(|| with_errors_kept(crypto, || without_panics(fallback, work)))
}

/// Runs `work`, which does not panic, with whatever it adds to this thread's error
/// queue removed.
pub fn with_errors_kept<R>(crypto: &Crypto, work: impl FnOnce() -> R) -> R {
    // SAFETY: these functions have no preconditions. On an empty queue no mark can be
    // set, and then the pop empties it again.
    unsafe { (crypto.ERR_set_mark)() };
    let answer = work();
    // SAFETY: as above.
    unsafe { (crypto.ERR_pop_to_mark)() };
    answer
}

/// Empties this thread's error queue after work in a handshake that queues
/// errors only when it fails: cheaper than a mark that is hardly ever needed.
/// libssl empties the queue itself when it goes on with a handshake, so nothing
/// of the program's is lost.
pub fn forget_errors(crypto: &Crypto) {
    // SAFETY: it has no preconditions.
    unsafe { (crypto.ERR_clear_error)() };
}

/// Keeps panics from being printed: they end at the boundary, and the host's
/// standard error is not ours. This library carries its own copy of std, so a
/// host in Rust keeps its hook.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
