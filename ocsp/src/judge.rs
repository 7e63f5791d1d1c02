//! The one judgement: what a response is worth for a certificate at a time, and
//! which of two is better. Library, agent and commands all ask here.
//!
//! Signatures belong to a libcrypto, so they come in through [`Signatures`]. Which
//! certificate signed is decided here and the libcrypto is asked about that one
//! alone, so that what was verified is what the validity is cut at.

use crate::certificate::Certificate;
use crate::fault::{Fault, Reason};
use crate::identity::Identity;
use crate::limits::{CLOCK_SKEW, LIFE_WITHOUT_NEXT_UPDATE};
use crate::response::{Response, Signer};
use crate::single::Status;
use crate::time::UnixTime;
use crate::validity::Validity;
use std::fmt;

/// What a response is wanted for. Whatever it is, thisUpdate may lie
/// [`CLOCK_SKEW`] seconds ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For so many seconds after its end it still counts; negative values count
    /// as 0.
    pub after_end: i64,
    /// How long it lives after thisUpdate if it has no nextUpdate, in seconds;
    /// negative values count as 0.
    pub life_without_next_update: i64,
}

impl Policy {
    /// For a server that is about to staple: nothing expired goes out, since some
    /// clients allow no skew.
    pub const STAPLING: Policy = Policy {
        after_end: 0,
        life_without_next_update: LIFE_WITHOUT_NEXT_UPDATE,
    };

    /// For a client that was given a staple: its own clock may be wrong either way.
    pub const RECEIVING: Policy = Policy {
        after_end: CLOCK_SKEW,
        ..Self::STAPLING
    };
}

/// Signatures as a libcrypto verifies them, for the responses of one issuer.
pub trait Signatures {
    /// Why a signature does not count.
    type Error;

    /// The issuer, which signed the certificate that responses are judged for.
    fn issuer(&self) -> &Certificate;

    /// Whether `response` is signed by `signer` and by nobody else, and whether
    /// that is the issuer itself or was certified by it for OCSP signing (RFC 6960,
    /// 4.2.2.2). Not when: the ends of certificates are looked at by [`judge`].
    ///
    /// # Errors
    ///
    /// Always, unless it holds.
    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Self::Error>;
}

/// What a response says whose signature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Good or revoked.
    pub verdict: Verdict,
    /// From thisUpdate to nextUpdate, or what stands in for it; cut at the end of
    /// the certificate that signed, and of the issuer's.
    pub validity: Validity,
}

/// What somebody says who has the right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// Since when.
        since: UnixTime,
        /// Why, if the responder says.
        reason: Option<Reason>,
    },
}

impl Judged {
    /// Whether it says good.
    pub fn is_good(&self) -> bool {
        self.verdict == Verdict::Good
    }

    /// The moment from which on a good response is newer than this one.
    pub fn as_of(&self) -> UnixTime {
        match self.verdict {
            Verdict::Good => self.validity.from,
            // Only what was known to be correct after it can undo a revocation.
            Verdict::Revoked { since, .. } => self.validity.from.max(since),
        }
    }
}

/// Why a response counts for nothing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// What it is, or says.
    Response(Fault),
    /// It is good from a moment on that has not come, and worth keeping until then.
    Early {
        /// What it will count for.
        judged: Judged,
        /// [`Fault::NotYetValid`].
        fault: Fault,
    },
    /// Its signature, or the signer's right to sign, does not hold.
    Signature(E),
}

impl<E> From<Fault> for Refusal<E> {
    fn from(fault: Fault) -> Self {
        Self::Response(fault)
    }
}

impl<E: fmt::Display> fmt::Display for Refusal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(fault) | Self::Early { fault, .. } => fault.fmt(f),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

/// Judges `der` for the certificate `identity` at the time `now`.
///
/// The signature comes before what it signs: a forged "revoked" is a bad signature
/// and no revocation. A revocation does not pass, so it counts at whatever time,
/// if its signer's certificate was valid at its thisUpdate.
///
/// # Errors
///
/// The first thing found wrong: the encoding, the certificate that it is about, the
/// signature, the status, the time.
pub fn judge<S: Signatures + ?Sized>(
    der: &[u8],
    identity: &Identity,
    now: UnixTime,
    policy: &Policy,
    signatures: &S,
) -> Result<Judged, Refusal<S::Error>> {
    let response = Response::parse(der)?;
    let single = response.single_for(identity)?;
    let issuer = signatures.issuer();
    let signer = response.signer(issuer).ok_or(Fault::SignerNotFound)?;
    signatures
        .verify(&response, &signer)
        .map_err(Refusal::Signature)?;
    let certificate = signer.certificate(issuer);
    let (begin, end) = (
        certificate.not_before(),
        certificate.not_after().min(issuer.not_after()),
    );
    let not_valid = |now| Fault::SignerNotValid {
        from: begin,
        until: end,
        now,
    };
    let whole = single.validity(policy.life_without_next_update);
    let judged = |verdict| Judged {
        verdict,
        validity: whole.cut_at(end),
    };
    match single.status {
        Status::Unknown => Err(Fault::Unknown.into()),
        Status::Revoked { time, reason } => {
            let (at, since) = (single.this_update, time);
            if begin > at.saturating_add(CLOCK_SKEW) || end < at {
                return Err(not_valid(at).into());
            }
            Ok(judged(Verdict::Revoked { since, reason }))
        }
        Status::Good => {
            let judged = judged(Verdict::Good);
            let is_valid = |validity: Validity| validity.check(now, policy.after_end);
            if begin > now.saturating_add(CLOCK_SKEW).max(whole.from) {
                return Err(not_valid(now).into());
            }
            match is_valid(judged.validity) {
                Ok(()) => Ok(judged),
                Err(fault @ Fault::NotYetValid { .. }) => Err(Refusal::Early { judged, fault }),
                Err(Fault::Expired { .. }) if is_valid(whole).is_ok() => Err(not_valid(now).into()),
                Err(fault) => Err(fault.into()),
            }
        }
    }
}

/// Whether `new` takes the place of `known`, both judged for the same certificate.
///
/// The newer thisUpdate wins, whatever its nextUpdate; at equal thisUpdate a
/// revocation, then the later end. A known revocation is undone only by a good
/// response that is newer than it. A good response that cannot be stapled `now`
/// displaces nothing that can, and stands in nobody's way.
///
/// This is an order: whichever of several responses comes first, the same one is
/// in use in the end.
pub fn better(known: &Judged, new: &Judged, now: UnixTime) -> bool {
    let rank = |judged: &Judged| {
        let is_revoked = !judged.is_good();
        let counts = is_revoked || judged.validity.check_to_staple(now).is_ok();
        let Validity { from, until } = judged.validity;
        (counts, judged.as_of(), is_revoked, from, until)
    };
    rank(new) > rank(known)
}
