//! A file mapped as words: the crate's only unsafe code.

use crate::atomic::AtomicU64;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A shared mapping of a whole file, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only ever
// reached as `&[AtomicU64]`, which is Send and Sync.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `size` bytes of `file` to be read, kept out of core dumps.
    pub(crate) fn read_only(file: impl AsFd, size: usize) -> Result<Self, Errno> {
        Self::new(file, size, ProtFlags::READ)
    }

    /// Maps `size` bytes of `file` to be read and written.
    #[cfg(feature = "agent")]
    pub(crate) fn writable(file: impl AsFd, size: usize) -> Result<Self, Errno> {
        Self::new(file, size, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn new(file: impl AsFd, size: usize, protection: ProtFlags) -> Result<Self, Errno> {
        let flags = MapFlags::SHARED;
        // SAFETY: without MAP_FIXED the kernel chooses an address range that
        // nothing else in this process uses.
        let start = unsafe { mmap(std::ptr::null_mut(), size, protection, flags, file, 0) }?;
        let mapping = Self {
            start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?,
            words: size / 8,
        };
        // A kernel without it merely writes the map to core dumps.
        // SAFETY: the range is the mapping just made; the advice changes no contents.
        let _ = unsafe { madvise(start, size, Advice::LinuxDontDump) };
        Ok(mapping)
    }

    /// The first `words` words, or fewer if the mapping is shorter. Only words
    /// within the file's allocated part may be touched; loads must be relaxed if
    /// it is mapped to be read only.
    #[inline]
    pub(crate) fn words(&self, words: usize) -> &[AtomicU64] {
        let words = words.min(self.words);
        // SAFETY: the range is mapped as long as self lives and aligned to a page;
        // any bytes are valid as AtomicU64, and all processes change them by atomic
        // stores only. The pages are there, by what map::format says.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), words) }
    }

    /// Allocates the pages of the first `words` words, without a descriptor.
    #[cfg(feature = "agent")]
    pub(crate) fn populate(&self, words: usize) -> Result<(), Errno> {
        let bytes = (8 * words.min(self.words)).next_multiple_of(super::format::PAGE);
        // SAFETY: the range lies in the mapping; its contents stay as they are, and
        // where pages cannot be allocated the call fails instead of a signal.
        unsafe {
            madvise(
                self.start.as_ptr().cast(),
                bytes,
                Advice::LinuxPopulateWrite,
            )
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let start: *mut c_void = self.start.as_ptr().cast();
        // SAFETY: the range was mapped by `new`, and every slice of it borrowed self.
        let _ = unsafe { munmap(start, 8 * self.words) };
    }
}
