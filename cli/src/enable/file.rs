//! Files of configuration: what stands in them.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

/// What stands in a file; none if there is none.
///
/// # Errors
///
/// If it cannot be read, or is not text.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text
            .map(Some)
            .with_context(|| format!("cannot read {}", path.display())),
    }
}
