//! What failed, on which file.

use std::fmt;
use std::path::{Path, PathBuf};

/// What failed, on which file.
#[derive(Debug)]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    cause: std::io::Error,
}

impl FileError {
    /// What was to be done, with the file at `path`.
    pub(super) fn new(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        let path = path.to_owned();
        Self { doing, path, cause }
    }

    /// Whether what stands there is no file of the store, whoever looks: a link, a
    /// pipe, far too much. Else another look may succeed.
    pub fn is_for_good(&self) -> bool {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(&self.cause);
        errno.is_some_and(|errno| [Errno::LOOP, Errno::INVAL, Errno::FBIG].contains(&errno))
    }

    /// The error of the system.
    pub fn cause(&self) -> &std::io::Error {
        &self.cause
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "cannot {} {}: {}",
            self.doing,
            self.path.display(),
            self.cause
        )?;
        match self.cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                out.write_str("; the old file is untouched: make room")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                out.write_str("; responses are served but will not survive a restart")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
