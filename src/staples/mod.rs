//! The response for a certificate: from the live map, else from a file.

mod candidates;
mod directory;
pub mod file;
pub mod map;
pub mod publish;
mod published;
pub mod source;
mod watch;

use std::path::Path;

use staplegun_ocsp::Refusal;
use staplegun_ocsp::time::Rfc3339;
use staplegun_store::Key;
use staplegun_store::slots::Miss;

use crate::config::Level;
use crate::host::buffer::{Buffer, Space};
use crate::host::guard;
use crate::host::output;
use crate::host::x509::X509Ref;
use crate::log;

use file::{FileStaple, FindIssuer};

/// The response to be stapled now for the certificate `x509`, freshly allocated
/// for libssl, or None. `key` is the SHA-256 of its DER, `path` the file that it
/// came from.
pub fn for_certificate(
    x509: X509Ref<'_>,
    key: &Key,
    path: Option<&Path>,
    staple: &FileStaple,
    find_issuer: FindIssuer<'_>,
) -> Option<Buffer> {
    let now = output::seconds();
    let space = |length| Space::new(x509.crypto(), length);
    let found = match map::read(key, now, space) {
        // Only where the agent does not know the certificate do files speak.
        Err(Miss::Absent) => {
            guard::quietly(x509.crypto(), (), || {
                staple.look_again(x509, path, find_issuer);
            });
            staple.read(now, space)
        }
        known => known,
    };
    let outcome = found
        .as_ref()
        .map(|found| found.until)
        .map_err(|miss| *miss);
    if log::enabled(Level::Info) && staple.outcome_changed(outcome) {
        match outcome {
            Ok(until) => {
                log::info!(
                    "stapled for {}, valid until {}",
                    staple.name(),
                    Rfc3339(until)
                );
            }
            Err(miss) => log::info!("no staple for {}: {}", staple.name(), reason(miss)),
        }
    }
    let found = found.ok()?;
    // SAFETY: a read that succeeds has written so many bytes.
    Some(unsafe { found.buffer.assume_filled(found.length) })
}

/// The response that the live map has for `x509`, without a word in the log.
pub fn from_map(x509: X509Ref<'_>, key: &Key) -> Option<Buffer> {
    let space = |length| Space::new(x509.crypto(), length);
    let found = map::read(key, output::seconds(), space).ok()?;
    // SAFETY: a read that succeeds has written so many bytes.
    Some(unsafe { found.buffer.assume_filled(found.length) })
}

/// Whether what the program staples by itself is worth judging: only a log that
/// is on would say so.
pub fn judges_the_programs() -> bool {
    log::enabled(Level::Warn)
}

/// Whether clients would reject what the program staples; said once in the log.
pub fn would_be_rejected(
    x509: X509Ref<'_>,
    staple: &FileStaple,
    bytes: &[u8],
    find_issuer: FindIssuer<'_>,
) -> bool {
    let Err(refusal) = staple.judge(x509, bytes, output::seconds(), find_issuer) else {
        return false;
    };
    let cause = match &refusal {
        Refusal::Response(fault) | Refusal::Early { fault, .. } => fault.cause(),
        Refusal::Signature(unverified) => unverified.cause(),
    };
    if staple.complaint_is_new(cause) {
        log::warning!(
            "the response that the program staples for {} would be rejected: {refusal}",
            staple.name()
        );
    }
    true
}

fn reason(miss: Miss) -> &'static str {
    match miss {
        Miss::Absent => "there is no response for it",
        Miss::NotYetValid => "its response is not yet valid",
        Miss::Expired => "its response has expired",
        Miss::Withdrawn => "it is revoked",
        Miss::Torn => "its response was being replaced",
        Miss::Damaged => "its response is damaged",
        Miss::NoBuffer => "there is no memory",
    }
}
