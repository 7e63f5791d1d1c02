//! A function that calls are handed on to at once, as long as nothing else is to be done before.

use std::ffi::c_void;

use super::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A function, for objects whose word lies in a range. It is open while `length` is not 0; what
/// stands beside it never changes once it was open. The entry reads it by code of its own: the
/// start, the length with acquire, the function.
#[repr(C)]
pub struct AtOnce {
    /// Where the range starts.
    pub start: AtomicUsize,
    /// How long it is, or 0.
    pub length: AtomicUsize,
    /// The function.
    pub function: AtomicPtr<c_void>,
}

impl AtOnce {
    /// From now on calls are handed on.
    pub fn open(&self, function: *mut c_void, start: usize, length: usize) {
        self.function.store(function, Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        // Who closed it before had something to be done, which is seen from here on.
        self.length.swap(length, Ordering::AcqRel);
    }

    /// The next call is not handed on at once.
    pub fn close(&self) {
        self.length.swap(0, Ordering::AcqRel);
    }
}
