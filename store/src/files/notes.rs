//! What the agent notes of a certificate, for `staplegun status` and restarts.

use serde::{Deserialize, Serialize};

/// What the agent remembers of one certificate. Times are seconds since 1970.
/// Fields that a file lacks have their default, and unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The responder that was asked last.
    pub responder: Option<String>,
    /// When it was asked last.
    pub last_attempt: Option<i64>,
    /// When a good response came last.
    pub last_success: Option<i64>,
    /// Why the last attempt failed; None if it did not.
    pub last_error: Option<String>,
    /// The kind of that failure, one word.
    pub last_cause: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// When the responder will be asked next.
    pub next_refresh: Option<i64>,
    /// thisUpdate of the response that is kept.
    pub this_update: Option<i64>,
    /// Its nextUpdate, or the end of the life it was given without one.
    pub until: Option<i64>,
    /// Since when the certificate is revoked; None if it is not known to be. Written
    /// after the evidence, so that it tells that this was tried.
    pub revoked_since: Option<i64>,
    /// For how many seconds the certificate had been expired while an agent ran, which
    /// the monotonic clock counted; 0 while it is valid.
    pub expired_for: u64,
    /// The user who left the certificate in the spool and whose quota it counts to;
    /// None if it was root, the agent's own user or the operator's list.
    pub left_by: Option<u32>,
    /// The file by which the operator named it; None if nobody did.
    pub path: Option<String>,
    /// Since when the response in use is one that another agent of the fleet fetched; None
    /// if this machine did.
    pub fleet_since: Option<i64>,
    /// Whether it is looked after because it came with a server's certificate, as an
    /// intermediate of its chain.
    pub intermediate: bool,
    /// Why it is passed over, one word: nobody is asked for it. None if it is looked
    /// after.
    pub passed_over: Option<String>,
}

impl Notes {
    /// As they stand in their file.
    pub fn to_json(&self) -> Vec<u8> {
        // Numbers and text: nothing in them has no form in JSON.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        // Very many may wait to be written.
        json.shrink_to_fit();
        json
    }
}
