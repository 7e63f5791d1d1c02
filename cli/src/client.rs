//! The policies of clients, as the command line and STAPLEGUN_CLIENT name them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a client does about staples (STAPLEGUN_CLIENT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// Nothing
    Off,
    /// Ask for a staple and log what is wrong with it
    Report,
    /// Fail on a bad staple, accept none
    Verify,
    /// Fail on a bad staple and on none
    Require,
}

impl Client {
    /// As STAPLEGUN_CLIENT has it.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
