//! What `enable` did besides the drop-in, as it is noted there (`owned`), each in a line: `disable`
//! undoes that, and nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::Client;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// A block was put into this file.
    Block {
        /// The file.
        path: PathBuf,
    },
    /// This file was written, and is `enable`'s alone.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A block was put into the local part of this AppArmor profile.
    Profile {
        /// The profile.
        profile: PathBuf,
        /// Its local part.
        local: PathBuf,
    },
    /// import_environment was set in main.cf.
    Postfix {
        /// The instance, as postmulti(1) knows it.
        instance: String,
        /// The lines that stood there; none if there were none.
        before: Option<String>,
        /// Whether main.cf ended without a line's end.
        was_cut: bool,
    },
    /// This policy of clients was asked for: it holds until another one is, or until all is undone.
    Policy {
        /// Which.
        client: Client,
    },
    /// The agent was told to show files.
    LiveFiles,
    /// This directory was made.
    Directory {
        /// Which.
        path: PathBuf,
    },
    /// This certificate was named to the agent.
    Certificate {
        /// Its file.
        path: PathBuf,
    },
}
