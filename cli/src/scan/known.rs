//! What the agent's store says, if it may be read.

use std::collections::HashMap;

use anyhow::Result;
use staplegun_store::files::Files;
use staplegun_store::layout::Layout;
use staplegun_store::{Key, name};

use crate::agent::{Place, now};
use crate::status::read::{self, One};

/// What is known of the store.
#[derive(Debug)]
pub struct Known {
    layout: Layout,
    /// Whether an agent writes it; none if that cannot be told.
    pub agent_running: Option<bool>,
    /// Why it cannot be read, if so.
    pub unreadable: Option<String>,
    certificates: HashMap<String, One>,
}

/// The store that is meant: a user's own only if there is one, since the servers of a machine
/// use the system's.
///
/// # Errors
///
/// If none was named and the environment does not tell the user's.
pub fn layout(place: &Place) -> Result<Layout> {
    let layout = place.layout()?;
    let is_own = place.directory.is_some() || layout.lasting().is_dir();
    Ok(if is_own { layout } else { Layout::system() })
}

impl Known {
    /// Reads it.
    pub fn read(layout: &Layout) -> Self {
        let mut known = Self {
            layout: layout.clone(),
            agent_running: read::is_agent_running(&layout.map()),
            unreadable: None,
            certificates: HashMap::new(),
        };
        match read::certificates(layout, now()) {
            Ok((all, _)) => {
                let named = all
                    .into_iter()
                    .filter_map(|one| Some((one.sha256.clone()?, one)));
                known.certificates = named.collect();
            }
            Err(error) => known.unreadable = Some(format!("{error:#}")),
        }
        known
    }

    /// The plain files.
    pub fn files(&self) -> Files {
        Files::of_anybody(self.layout.lasting())
    }

    /// The paths.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What it says of a certificate.
    pub fn of(&self, key: &Key) -> Option<&One> {
        self.certificates.get(&name::of_key(key))
    }
}
