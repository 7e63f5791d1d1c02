//! What a program has to find in its environment.

use crate::client::Client;
use crate::preload;

/// The library, and perhaps a policy.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The library's absolute path.
    pub library: String,
    /// What the program's clients do about staples.
    pub client: Option<Client>,
}

/// The variables that are set.
pub const PRELOAD: &str = "LD_PRELOAD";
pub const CLIENT: &str = "STAPLEGUN_CLIENT";

impl Wanted {
    /// Names and values; `preloaded` is what LD_PRELOAD names already.
    pub fn variables(&self, preloaded: &str) -> Vec<(&'static str, String)> {
        let preload = preload::with(preloaded, &self.library);
        let client = self.client.map(|client| (CLIENT, client.name()));
        [(PRELOAD, preload)].into_iter().chain(client).collect()
    }
}
