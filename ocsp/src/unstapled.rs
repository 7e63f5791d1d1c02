//! Why a certificate has no staple, as far as the certificate itself tells: the
//! sentence that `staplegun status`, the agent's log and the library's log share.

use crate::certificate::Certificate;
use crate::time::{Rfc3339, UnixTime};
use std::fmt;

/// Why there is nothing to staple for a certificate. [`fmt::Display`] is the
/// sentence, whose subject is the certificate: what is the matter, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unstapled {
    /// It has expired.
    Expired {
        /// The last second of its validity.
        not_after: UnixTime,
    },
    /// It signed itself and names no responder: there is nobody to ask.
    SelfSigned,
    /// It is a certification authority's (basicConstraints).
    Authority,
    /// Its extended key usage is not a server's.
    NotServer,
    /// It names no responder, as is common since 2025.
    NoResponder,
    /// It names no responder, and demands a staple (RFC 7633).
    MustStapleWithoutResponder,
    /// Its issuer's certificate is not known, so that nobody can ask or verify.
    NoIssuer,
}

impl Unstapled {
    /// What stands against asking for the status of `leaf` at the time `now`.
    /// `has_responder`: it names one, or the configuration has one for it. Whether
    /// its issuer is known is not looked at.
    pub fn of(leaf: &Certificate, has_responder: bool, now: UnixTime) -> Option<Self> {
        if leaf.not_after() < now {
            return Some(Self::Expired {
                not_after: leaf.not_after(),
            });
        }
        match has_responder {
            false if leaf.is_self_issued() => Some(Self::SelfSigned),
            _ if leaf.is_ca() => Some(Self::Authority),
            _ if !leaf.fit_for_server() => Some(Self::NotServer),
            false if leaf.must_staple() => Some(Self::MustStapleWithoutResponder),
            false => Some(Self::NoResponder),
            true => None,
        }
    }

    /// The reason with that [`Unstapled::cause`], about `leaf`.
    pub fn named(cause: &str, leaf: &Certificate) -> Option<Self> {
        let all = [
            Self::Expired {
                not_after: leaf.not_after(),
            },
            Self::SelfSigned,
            Self::Authority,
            Self::NotServer,
            Self::NoResponder,
            Self::MustStapleWithoutResponder,
            Self::NoIssuer,
        ];
        all.into_iter().find(|one| one.cause() == cause)
    }

    /// A stable word in snake_case, for logs, metrics and notes.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "certificate_expired",
            Self::SelfSigned => "self_signed",
            Self::Authority => "authority",
            Self::NotServer => "not_server",
            Self::NoResponder => "no_responder",
            Self::MustStapleWithoutResponder => "must_staple",
            Self::NoIssuer => "no_issuer",
        }
    }

    /// Whether somebody has to do something, or clients are worse off.
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::Expired { .. } | Self::MustStapleWithoutResponder | Self::NoIssuer => true,
            Self::SelfSigned | Self::Authority | Self::NotServer | Self::NoResponder => false,
        }
    }
}

impl fmt::Display for Unstapled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { not_after } => {
                write!(f, "expired at {}: replace it", Rfc3339(*not_after))
            }
            Self::SelfSigned => f.write_str(
                "signed itself and names no OCSP responder: nobody could revoke it, \
                 nothing to do",
            ),
            Self::Authority => f.write_str(
                "is a certification authority's, which servers do not staple: nothing to do, \
                 unless the server's own should stand first in its file",
            ),
            Self::NotServer => f.write_str(
                "is not for servers (its extended key usage lacks serverAuth): nothing to do",
            ),
            Self::NoResponder => f.write_str(
                "names no OCSP responder; its CA issues none, as Let's Encrypt since 2025: \
                 nothing to do",
            ),
            Self::MustStapleWithoutResponder => f.write_str(
                "must-staple, and no responder: clients will refuse it; \
                 replace it by one without must-staple",
            ),
            Self::NoIssuer => f.write_str(
                "its issuer's certificate is not known: append it to the certificate's file",
            ),
        }
    }
}
