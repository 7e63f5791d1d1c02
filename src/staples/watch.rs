//! What may bring another response for a certificate, and whose turn it is to be
//! looked at: one of them, by one system call, at each look.

use std::path::{Path, PathBuf};

use super::source::Stamp;

/// A file or directory, and what it was like.
pub struct Source {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Its stamp; None if there is nothing.
    pub stamp: Option<Stamp>,
}

impl Source {
    /// What is at `path` now.
    pub fn at(path: PathBuf) -> Source {
        let stamp = Stamp::of(&path);
        Source { path, stamp }
    }
}

/// The sources that were looked at.
#[derive(Default)]
pub struct Watch {
    sources: Vec<Source>,
    turn: usize,
    /// The one that the response in use came from.
    in_use: Option<usize>,
}

impl Watch {
    /// Watches these and no others.
    pub fn set(&mut self, sources: Vec<Source>) {
        (self.sources, self.in_use) = (sources, None);
    }

    /// Watches these as well, or as they are by now.
    pub fn add(&mut self, sources: Vec<Source>) {
        for source in sources {
            let mut known = self.sources.iter_mut();
            match known.find(|known| known.path == source.path) {
                Some(known) => *known = source,
                None => self.sources.push(source),
            }
        }
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The response in use came from there.
    pub fn is_in_use(&mut self, path: &Path) {
        self.in_use = self.place_of(path);
    }

    /// The source whose turn it is, if it has changed. The one in use has every other
    /// turn, however many there are.
    pub fn changed(&mut self) -> Option<Source> {
        self.turn = self.turn.wrapping_add(1);
        let count = self.sources.len();
        let place = match self.in_use {
            Some(in_use) if self.turn.is_multiple_of(2) => in_use,
            Some(_) => (self.turn / 2).checked_rem(count)?,
            None => self.turn.checked_rem(count)?,
        };
        let known = self.sources.get(place)?;
        let stamp = Stamp::of(&known.path);
        (stamp != known.stamp).then(|| Source {
            path: known.path.clone(),
            stamp,
        })
    }

    fn place_of(&self, path: &Path) -> Option<usize> {
        self.sources.iter().position(|source| source.path == path)
    }
}
