//! Files of the store, as the agent reads them: an error is logged, and nothing ends for it.

use staplegun_store::files::{FileError, Stamp};
use staplegun_store::layout::Layout;
use staplegun_store::{Key, name};

/// Which file lies in `staples/` under that name.
pub fn stamp_of_response(layout: &Layout, key: &Key) -> Option<Stamp> {
    let file = format!("{}.der", name::of_key(key));
    Stamp::of_path(&layout.lasting().join("staples").join(file)).ok()
}

/// What was read; an error is logged and counts as nothing.
pub fn or_warn<T>(read: Result<Option<T>, FileError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(cause = "store", "{error}");
        None
    })
}
