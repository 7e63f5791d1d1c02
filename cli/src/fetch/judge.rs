//! Whether bytes are a response that counts for a certificate, whoever brought
//! them: a responder, a file, an operator.

use staplegun_ocsp::{Fault, Response, Status, Tolerance, UnixTime, Validity};

use super::failure::Kind;
use super::subject::Issued;
use super::verify;

/// A response whose signature was verified and whose certID is the certificate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// The OCSPResponse in DER.
    pub der: Vec<u8>,
    /// What it says: good or revoked, nothing else comes so far.
    pub verdict: Verdict,
    /// From thisUpdate to nextUpdate, or what stands in for it, cut at the end of
    /// its signer's certificate.
    pub validity: Validity,
}

/// What a responder with the right to say so says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good.
    Good,
    /// Revoked, since then.
    Revoked {
        /// When.
        since: UnixTime,
    },
}

impl Staple {
    /// Whether it says good.
    pub fn is_good(&self) -> bool {
        self.verdict == Verdict::Good
    }

    /// Whether it may be stapled at that time.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.validity.check_to_staple(now).is_ok()
    }
}

/// Judges `der` at the time `now`.
///
/// The signature comes before what it signs: a forged "revoked" is a bad
/// signature and no revocation. A revocation counts even when the response that
/// tells it has expired, for it does not pass; whether something newer is known
/// is for the caller.
///
/// # Errors
///
/// The first thing found wrong.
pub fn judge(
    der: &[u8],
    issuer: &Issued,
    now: UnixTime,
    tolerance: &Tolerance,
) -> Result<Staple, Kind> {
    let refused = |fault| Kind::Response {
        fault,
        content_type: None,
    };
    let response = Response::parse(der).map_err(refused)?;
    let single = response.single_for(&issuer.identity).map_err(refused)?;
    verify::signed_for(&issuer.by, der).map_err(Kind::Signer)?;
    let mut validity = single.validity(tolerance.life_without_next_update);
    if let Some(signer) = response.responder_certificate() {
        validity = validity.cut_at(signer.not_after());
    }
    let verdict = match single.status {
        Status::Good => Verdict::Good,
        Status::Revoked { time, .. } => Verdict::Revoked { since: time },
        Status::Unknown => return Err(refused(Fault::Unknown)),
    };
    match (validity.check_to_staple(now), verdict) {
        (Ok(()), _) | (Err(Fault::Expired { .. }), Verdict::Revoked { .. }) => {}
        (Err(fault), _) => return Err(refused(fault)),
    }
    Ok(Staple {
        der: der.to_vec(),
        verdict,
        validity,
    })
}
