//! Which store is meant: the system's, a user's, or one that was named.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use staplegun_store::layout::Layout;

/// The option that names a store.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The store; by default the system's for root, else the user's own
    #[arg(long = "dir", visible_alias = "directory")]
    #[arg(value_name = "DIR", env = "STAPLEGUN_DIR", hide_env_values = true)]
    pub directory: Option<PathBuf>,
}

impl Place {
    /// The paths of the store.
    ///
    /// # Errors
    ///
    /// If none was named and the environment does not tell the user's.
    pub fn layout(&self) -> anyhow::Result<Layout> {
        if let Some(directory) = &self.directory {
            // The live map is trusted at absolute paths only.
            let directory = std::path::absolute(directory)
                .with_context(|| format!("cannot use the store {}", directory.display()))?;
            return Ok(Layout::at(&directory));
        }
        if self.is_system() {
            return Ok(Layout::system());
        }
        let variable = |name| env::var_os(name).map(PathBuf::from);
        let (state, runtime, home) = (
            variable("XDG_STATE_HOME"),
            variable("XDG_RUNTIME_DIR"),
            variable("HOME"),
        );
        Layout::user(
            state.as_deref(),
            runtime.as_deref(),
            home.as_deref().filter(|home| *home != Path::new("/")),
        )
        .context("no store: set STAPLEGUN_DIR or --dir, or HOME")
    }

    /// Whether it is the system's store.
    pub fn is_system(&self) -> bool {
        self.directory.is_none() && rustix::process::geteuid().is_root()
    }
}
