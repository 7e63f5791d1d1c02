//! Files of configuration: what stands in them.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use staplegun_store::files::read_regular;

/// The longest that is read, in bytes.
const MAX_FILE: usize = 4 << 20;

/// What stands in a file; none if there is none.
///
/// # Errors
///
/// If it cannot be read, or is not text.
pub fn read(path: &Path) -> Result<Option<String>> {
    let cannot = || format!("cannot read {}", path.display());
    match read_regular(path, MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => {
            let text = String::from_utf8(bytes.with_context(cannot)?);
            text.map(Some).with_context(cannot)
        }
    }
}
