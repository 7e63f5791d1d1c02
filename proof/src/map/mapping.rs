//! The memory of the one map that an execution has, in whichever "process" it is mapped.

use crate::atomic::AtomicU64;
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    // loom runs all of an execution's threads on one.
    static MEMORY: RefCell<Option<Arc<[AtomicU64]>>> = const { RefCell::new(None) };
}

/// Runs one execution, in which every mapping is of the same memory, which is all zero at first.
pub fn with_memory(size: usize, execution: impl FnOnce()) {
    let words = (0..size / 8).map(|_| AtomicU64::new(0)).collect();
    MEMORY.set(Some(words));
    execution();
    MEMORY.take();
}

/// As in `store/src/map/mapping.rs`.
#[derive(Debug)]
pub(crate) struct Mapping(Arc<[AtomicU64]>);

impl Mapping {
    pub(crate) fn read_only(_file: impl AsFd, size: usize) -> Result<Self, Errno> {
        Self::new(size)
    }

    pub(crate) fn writable(_file: impl AsFd, size: usize) -> Result<Self, Errno> {
        Self::new(size)
    }

    fn new(size: usize) -> Result<Self, Errno> {
        let memory = MEMORY.with_borrow(Clone::clone).ok_or(Errno::NOMEM)?;
        (memory.len() == size / 8)
            .then_some(Self(memory))
            .ok_or(Errno::INVAL)
    }

    pub(crate) fn words(&self, words: usize) -> &[AtomicU64] {
        &self.0[..words.min(self.0.len())]
    }

    pub(crate) fn populate(&self, _words: usize) -> Result<(), Errno> {
        Ok(())
    }
}
