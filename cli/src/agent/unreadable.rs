//! What of the operator's list the agent cannot read, noted for `staplegun status`:
//! only the agent knows what its user may read.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use staplegun_store::files::{Lasting, PUBLIC, read_regular, replace};
use staplegun_store::layout::Layout;

/// Paths that cannot be read, and why.
type Unreadable = BTreeMap<String, String>;

/// The longest that is read, in bytes.
const MAX_FILE: usize = 64 << 20;

/// The file of these notes.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    /// What stands in it; None if that is not known.
    written: Option<Unreadable>,
}

fn path(layout: &Layout) -> PathBuf {
    layout.lasting().join("state").join("unreadable.json")
}

/// What the agent has noted; nothing if it has noted nothing.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub fn read(layout: &Layout) -> io::Result<Unreadable> {
    match read_regular(&path(layout), MAX_FILE) {
        Ok(json) => Ok(serde_json::from_slice(&json)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Unreadable::new()),
        Err(error) => Err(error),
    }
}

impl Note {
    /// The note of that store.
    pub fn of(layout: &Layout) -> Self {
        Self {
            path: path(layout),
            written: None,
        }
    }

    /// Brings the file up to date: whole or not at all, for it may be read at any time.
    pub fn update(&mut self, now: Unreadable) {
        if self.written.as_ref() == Some(&now) {
            return;
        }
        let write = || -> io::Result<()> {
            let json = serde_json::to_vec_pretty(&now)?;
            replace(&self.path, &json, PUBLIC, Lasting::InMemory)
        };
        if let Err(error) = write() {
            tracing::debug!("cannot note what cannot be read: {error}");
        }
        self.written = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;

    #[test]
    fn nothing_is_noted_where_there_are_no_notes_and_notes_that_cannot_be_read_are_told() {
        let directory = Directory::new();
        let layout = Layout::at(directory.path());
        assert_eq!(read(&layout).expect("there are none"), Unreadable::new());
        let path = path(&layout);
        std::fs::create_dir_all(&path).expect("it is ours");
        assert!(read(&layout).is_err());
        std::fs::remove_dir(&path).expect("it is empty");
        let noted = Unreadable::from([("/a.pem".to_owned(), "forbidden".to_owned())]);
        Note::of(&layout).update(noted.clone());
        assert_eq!(read(&layout).expect("they were written"), noted);
    }
}
