//! Where the agent looks whether a file is still the one that was read.

use staplegun_store::files::Stamp;
use staplegun_store::layout::Layout;
use staplegun_store::{Key, name};

/// Which file lies in `staples/` under that name.
pub fn of_response(layout: &Layout, key: &Key) -> Option<Stamp> {
    let file = format!("{}.der", name::of_key(key));
    Stamp::of_path(&layout.lasting().join("staples").join(file)).ok()
}
