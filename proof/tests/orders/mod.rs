//! Runs a model in every order, and says how many there were.

// Not loom's: it counts the executions themselves.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a model in every order; with a `bound`, in every one in which no more than so many times
/// a thread is stopped for another where it could go on. Few would mean that the threads do not
/// meet.
pub fn in_every_order(bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let count = count.load(Ordering::Relaxed);
    println!("{count} orders");
    assert!(count > 5, "{count}");
}
