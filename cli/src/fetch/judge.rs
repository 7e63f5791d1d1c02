//! Whether bytes are a response that counts for a certificate, whoever brought
//! them: a responder, a file, an operator. The judgement is `ocsp`'s, the signature
//! the machine's own libcrypto's.

use staplegun_ocsp::{Judged, Policy, Refusal, UnixTime};

use super::failure::Kind;
use super::staple::Staple;
use super::subject::Issued;

/// Judges `der` at the time `now`.
///
/// # Errors
///
/// As [`staplegun_ocsp::judge`].
pub fn judge(der: &[u8], issuer: &Issued, now: UnixTime, policy: &Policy) -> Result<Staple, Kind> {
    let staple = |Judged { verdict, validity }| Staple {
        der: der.to_vec(),
        verdict,
        validity,
    };
    match staplegun_ocsp::judge(der, &issuer.identity, now, policy, &*issuer.by) {
        Ok(judged) => Ok(staple(judged)),
        Err(Refusal::Early { judged, fault }) => Err(Kind::Early {
            staple: Box::new(staple(judged)),
            fault,
        }),
        Err(Refusal::Signature(unverified)) => Err(Kind::Signer(unverified)),
        Err(Refusal::Response(fault)) => Err(Kind::Response {
            fault,
            content_type: None,
        }),
    }
}
