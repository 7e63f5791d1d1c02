//! The password of the store, from a file: one that root reads before the agent gives root
//! up is kept, and one that can be read later counts from then on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest password that is read.
const LONGEST: u64 = 4096;

/// A password.
#[derive(Clone)]
pub struct Secret {
    file: Option<PathBuf>,
    last: Arc<Mutex<Option<Vec<u8>>>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.file).finish()
    }
}

impl Secret {
    /// In that file; a name alone is a credential that systemd hands over
    /// (LoadCredential=). None: there is none.
    pub fn new(file: Option<&Path>) -> Self {
        let is_name = |file: &Path| file.components().count() == 1 && !file.is_absolute();
        let file = file.map(|file| match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(directory) if is_name(file) => Path::new(&directory).join(file),
            _ => file.to_owned(),
        });
        Self {
            file,
            last: Arc::default(),
        }
    }

    /// What it is now; None if there is none.
    ///
    /// # Errors
    ///
    /// A sentence, if it can be read neither now nor could be before.
    pub fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read(file) {
            Ok(secret) => *last = Some(secret),
            Err(error) if last.is_none() => {
                return Err(format!(
                    "cannot read the password {}: {error}",
                    file.display()
                ));
            }
            Err(_) => {}
        }
        Ok(last.clone())
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut secret = Vec::new();
    std::fs::File::open(file)?
        .take(LONGEST)
        .read_to_end(&mut secret)?;
    while secret.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        secret.pop();
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_testkit::Directory;

    #[test]
    fn what_was_read_once_counts_until_something_else_can_be_read() {
        let directory = Directory::new();
        let file = directory.join("password");
        let secret = Secret::new(Some(&file));
        assert!(secret.read().is_err());
        directory.write("password", "one\n");
        assert_eq!(secret.read(), Ok(Some(b"one".to_vec())));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(secret.read(), Ok(Some(b"one".to_vec())));
        directory.write("password", "two");
        assert_eq!(secret.read(), Ok(Some(b"two".to_vec())));
        assert_eq!(Secret::new(None).read(), Ok(None));
    }
}
