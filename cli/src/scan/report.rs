//! All that was found, and JSON of it. Names of fields and their words are stable.

use serde::Serialize;

use super::known::Known;
use super::row::{Row, Silent};

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The directory of the store.
    store: String,
    /// Why it cannot be read; none if it can.
    store_error: Option<String>,
    /// Whether an agent runs; none if that cannot be told.
    pub agent_running: Option<bool>,
    /// How many processes this user may not look into.
    pub hidden: usize,
    /// Whether somebody has to do something.
    needs_operator: bool,
    /// The findings.
    pub rows: Vec<Row>,
    /// Ports that show nothing.
    pub other_ports: Vec<Silent>,
    /// Names of which nothing was seen that has a TLS library or listens.
    pub not_found: Vec<String>,
}

impl Report {
    /// All of it.
    pub fn new(
        known: &Known,
        hidden: usize,
        rows: Vec<Row>,
        other_ports: Vec<Silent>,
        not_found: Vec<String>,
    ) -> Self {
        Self {
            store: known.layout().lasting().display().to_string(),
            store_error: known.unreadable.clone(),
            agent_running: known.agent_running,
            hidden,
            needs_operator: !not_found.is_empty() || rows.iter().any(|row| row.needs_operator),
            rows,
            other_ports,
            not_found,
        }
    }

    /// The same, where what was named need not be there.
    pub fn without_missing(mut self) -> Self {
        self.not_found.clear();
        self.needs_operator = self.rows.iter().any(|row| row.needs_operator);
        self
    }

    /// Whether somebody has to do something.
    pub fn needs_operator(&self) -> bool {
        self.needs_operator
    }
}
