//! Whether a revocation would be known after a restart of the machine.

use staplegun_ocsp::{Response, Status};
use staplegun_store::files::{Files, Notes};

use crate::fetch::Subject;

/// Whether the evidence of a revocation is on the disk. The agent writes the notes of
/// it after the evidence, so that both are looked at.
pub fn is_on_disk(files: &Files, subject: &Subject, notes: &Notes) -> bool {
    notes.revoked_since.is_some() && says_revoked(files, subject).unwrap_or(false)
}

/// Whether the response in `staples/` says so. The agent that wrote it verified it.
fn says_revoked(files: &Files, subject: &Subject) -> Option<bool> {
    let der = files.staples.read(&subject.key()).ok()??;
    let response = Response::parse(&der).ok()?;
    let single = response.single_for(&subject.issuer()?.identity).ok()?;
    Some(matches!(single.status, Status::Revoked { .. }))
}
