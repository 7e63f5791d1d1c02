//! The library as every service may load it: by a path that lasts, in directories that only root
//! writes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The path for LD_PRELOAD.
///
/// # Errors
///
/// If services could not read it, or others than root could put another file in its place.
pub fn path(found: &Path) -> Result<PathBuf> {
    // libstaplegun.so is of the package for C programs, which may be removed.
    let versioned = found.with_file_name("libstaplegun.so.0");
    let path = if versioned.is_file() {
        versioned
    } else {
        found.to_owned()
    };
    judge("the library", &path)?;
    Ok(path)
}

/// Whether services can read a file of ours, and nobody but root put another in its place.
///
/// # Errors
///
/// If not.
pub fn judge(what: &str, path: &Path) -> Result<()> {
    let real = path
        .canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))?;
    for part in real.ancestors().chain(path.ancestors()) {
        let about = fs::metadata(part).with_context(|| format!("cannot see {}", part.display()))?;
        let (mode, needed) = (about.mode(), if about.is_dir() { 0o001 } else { 0o004 });
        let why = if mode & needed == 0 {
            "is not for all users to read"
        } else if about.uid() != 0 {
            "does not belong to root"
        } else if mode & 0o022 != 0 {
            "can be written by others than root"
        } else {
            continue;
        };
        bail!(
            "{what} {} is not fit for services: {} {why}; install it (apt, `make install`), or name \
             another library with --lib",
            path.display(),
            part.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_replace_or_not_read_is_refused() {
        let directory = std::env::temp_dir().join(format!("staplegun-fit.{}", std::process::id()));
        fs::create_dir(&directory).expect("it can be made");
        let library = directory.join("libstaplegun.so");
        fs::write(&library, "").expect("it can be written");
        // Whoever runs this: the directory is below one that everybody writes.
        let error = path(&library).expect_err("it is not fit").to_string();
        assert!(error.contains("is not fit for services"), "{error}");
        fs::remove_dir_all(&directory).expect("it is ours");
        let system = Path::new("/bin/sh");
        assert_eq!(path(system).ok().as_deref(), Some(system));
    }
}
