//! What lies in the store under a certificate's key is judged as a responder's answer is: what the
//! bytes before it claim must be true of it.

use super::rank::{self, Rank};
use crate::agent::now;
use crate::fetch::{self, Failure, Manner, Staple, Subject};

/// Why a value of the store was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// It does not begin as ours do.
    Damaged,
    /// It claims to be another than it is.
    Mismatch,
    /// It is not better than what is known.
    NotNewer,
    /// It would not have counted from a responder either.
    Failure(Failure),
}

impl NotTaken {
    /// One of the counters' words.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Mismatch => "mismatch",
            Self::NotNewer => "not_newer",
            Self::Failure(_) => "not_accepted",
        }
    }
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged => f.write_str("it does not begin as this version's values do"),
            Self::Mismatch => f.write_str("the response is another than stands before it"),
            Self::NotNewer => f.write_str("it is not newer than what is known"),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

/// Judges a value of the store as a responder's answer is judged. What is not newer by the
/// rank before it is not judged at all.
///
/// # Errors
///
/// Why it does not count.
pub fn judge(
    value: &[u8],
    subject: &Subject,
    manner: &Manner,
    known: Option<Rank>,
) -> Result<Staple, NotTaken> {
    let (claimed, der) = rank::split(value).ok_or(NotTaken::Damaged)?;
    if Some(claimed) <= known {
        return Err(NotTaken::NotNewer);
    }
    let issuer = subject.issuer().ok_or(NotTaken::Damaged)?;
    let staple = fetch::judge(der, issuer, now(), &manner.policy)
        .map_err(|kind| NotTaken::Failure(Failure::at("", kind)))?;
    let rank = Rank::of(&staple.judged());
    // The end may depend on a setting of who stored it.
    if (rank.as_of, rank.is_revoked, rank.from) != (claimed.as_of, claimed.is_revoked, claimed.from)
    {
        return Err(NotTaken::Mismatch);
    }
    match Some(rank) > known {
        true => Ok(staple),
        false => Err(NotTaken::NotNewer),
    }
}

/// In hexadecimal, as the store tells it.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
