//! Every certificate that is not stapled has a sentence that says why, and what to
//! do: the one place where these are written. `staplegun status`, `add`, `run` and
//! the agent's log take them from here; what a certificate says of itself has its
//! sentence in `ocsp`, for the library tells it as well.

use std::fmt;
use std::io;
use std::path::Path;

use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{Certificate, UnixTime, Unstapled};
use staplegun_store::files::Notes;

use crate::fetch::Subject;

/// The cause that is noted while a certificate is revoked.
pub const CAUSE_REVOKED: &str = "revoked";

/// Why a certificate is passed over: nobody is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What the certificate itself says.
    Itself(Unstapled),
    /// Another user left it, without an issuer.
    NoIssuer,
    /// Another user left it, and its issuer is not trusted.
    UntrustedIssuer,
    /// That user has left as many as allowed.
    UserQuota,
    /// All users other than root have left as many as allowed.
    Full,
    /// Another user left it, with more to be verified than is done for users.
    Costly,
}

impl Refusal {
    /// The refusal that is noted by that word, about `leaf`.
    fn named(cause: &str, leaf: &Certificate) -> Option<Self> {
        let own = [
            Self::NoIssuer,
            Self::UntrustedIssuer,
            Self::UserQuota,
            Self::Full,
            Self::Costly,
        ];
        let mut own = own.into_iter();
        own.find(|one| one.cause() == cause)
            .or_else(|| Unstapled::named(cause, leaf).map(Self::Itself))
    }

    /// A stable word in snake_case.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Itself(why) => why.cause(),
            Self::NoIssuer => "spool_no_issuer",
            Self::UntrustedIssuer => "untrusted_issuer",
            Self::UserQuota => "user_quota",
            Self::Full => "full",
            Self::Costly => "costly",
        }
    }

    /// Whether somebody has to do something.
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::Itself(why) => why.needs_operator(),
            Self::NoIssuer
            | Self::UntrustedIssuer
            | Self::UserQuota
            | Self::Full
            | Self::Costly => true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself(why) => why.fmt(f),
            Self::NoIssuer => f.write_str(
                "its issuer did not come along and is not among those that are trusted, and who \
                 left it is not root: append the issuer to the certificate's file, name it in \
                 trusted-issuers, or name the certificate's file by staplegun add",
            ),
            Self::UntrustedIssuer => f.write_str(
                "its issuer is not trusted, and who left it is not root: name the issuer in \
                 trusted-issuers if its responder may be asked",
            ),
            Self::UserQuota => f.write_str(
                "this user has left as many as max-certificates-per-user allows: raise it, or \
                 name the file by staplegun add",
            ),
            Self::Full => f.write_str(
                "users have left as many as max-certificates allows: raise it, or name the file \
                 by staplegun add",
            ),
            Self::Costly => f.write_str(
                "its file holds more certificates, or a longer key, than is verified for users \
                 other than root: name the file by staplegun add",
            ),
        }
    }
}

/// How a certificate stands, with all that its sentence takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A valid response is stapled.
    Stapled,
    /// It is passed over.
    PassedOver {
        /// Why.
        refusal: Refusal,
        /// The user who left it in the spool, if that was not root or the agent's own.
        left_by: Option<u32>,
        /// The file by which the operator named it.
        path: Option<String>,
    },
    /// The agent cannot read the file or directory that the operator named.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It is revoked.
    Revoked {
        /// Since when, if that was noted.
        since: Option<UnixTime>,
        /// The response that tells it is on the disk, so that no restart of the machine
        /// brings the good one back.
        is_on_disk: bool,
        /// How many certificates hang on it, if it is an intermediate.
        leaves: Option<usize>,
    },
    /// The last attempt failed, and no valid response is stapled.
    Failing {
        /// The kind of failure, one word.
        cause: String,
        /// The failure.
        why: String,
        /// Failures in a row.
        times: u32,
    },
    /// It has not been asked for yet.
    Unasked,
    /// What is in the map has expired.
    ResponseExpired,
    /// What is in the map begins in the future.
    NotYetValid,
    /// Its record in the map is damaged.
    Damaged,
}

impl Standing {
    /// The standing of a certificate that is not stapled, from the agent's notes.
    pub fn from_notes(leaf: &Certificate, notes: &Notes, now: UnixTime) -> Self {
        let passed_over = |refusal| Self::PassedOver {
            refusal,
            left_by: notes.left_by,
            path: notes.path.clone(),
        };
        if leaf.not_after() < now {
            let not_after = leaf.not_after();
            return passed_over(Refusal::Itself(Unstapled::Expired { not_after }));
        }
        if let Some(refusal) = notes.passed_over.as_deref() {
            // A word of a newer agent: what the certificate says is as good.
            let refusal = Refusal::named(refusal, leaf)
                .or_else(|| Unstapled::of(leaf, false, now).map(Refusal::Itself));
            if let Some(refusal) = refusal {
                return passed_over(refusal);
            }
        }
        let Some(cause) = &notes.last_cause else {
            return Self::Unasked;
        };
        match (Unstapled::named(cause, leaf), &notes.last_error) {
            (Some(why), _) => passed_over(Refusal::Itself(why)),
            (None, Some(why)) => Self::Failing {
                cause: cause.clone(),
                why: why.clone(),
                times: notes.failures,
            },
            (None, None) => Self::Unasked,
        }
    }

    /// A stable word in snake_case.
    pub fn cause(&self) -> &str {
        match self {
            Self::Stapled => "stapled",
            Self::PassedOver { refusal, .. } => refusal.cause(),
            Self::Unreadable { .. } => "unreadable",
            Self::Revoked { .. } => CAUSE_REVOKED,
            Self::Failing { cause, .. } => cause,
            Self::Unasked => "unasked",
            Self::ResponseExpired => "response_expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Damaged => "damaged",
        }
    }

    /// Whether somebody has to do something, or clients are worse off.
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::Stapled => false,
            Self::PassedOver { refusal, path, .. } => {
                // Somebody named it by mistake.
                let is_mistake = matches!(
                    refusal,
                    Refusal::Itself(Unstapled::Authority | Unstapled::NotServer)
                );
                refusal.needs_operator() || (is_mistake && path.is_some())
            }
            _ => true,
        }
    }

    /// The sentence; none for what is stapled. `must_staple`: whether the certificate
    /// demands a staple.
    pub fn sentence(&self, must_staple: bool) -> Option<String> {
        if *self == Self::Stapled {
            return None;
        }
        let says_it = "must-staple";
        let mut sentence = self.to_string();
        if must_staple && !sentence.contains(says_it) {
            sentence += " (it is must-staple: clients refuse it meanwhile)";
        }
        Some(sentence)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stapled => f.write_str("stapled"),
            Self::PassedOver {
                refusal: Refusal::Itself(why),
                path: Some(path),
                ..
            } => f.write_str(&of_named(why, path)),
            Self::PassedOver {
                refusal: refusal @ Refusal::Itself(Unstapled::Expired { .. }),
                ..
            } => write!(
                f,
                "{refusal}, or staplegun remove it if no program loads it any more"
            ),
            Self::PassedOver {
                refusal, left_by, ..
            } => match (refusal, left_by) {
                (Refusal::Itself(_), _) | (_, None) => refusal.fmt(f),
                (_, Some(uid)) => write!(f, "refused, left by {}: {refusal}", user(*uid)),
            },
            Self::Unreadable { why } => f.write_str(why),
            Self::Revoked {
                since,
                is_on_disk,
                leaves,
            } => {
                f.write_str("revoked")?;
                if let Some(since) = since {
                    write!(f, " since {}", Rfc3339(*since))?;
                }
                if !is_on_disk {
                    f.write_str(", evidence not yet on disk")?;
                }
                write!(f, ": {}", replace(*leaves))
            }
            Self::Failing { why, times, .. } => match times {
                0 | 1 => f.write_str(why),
                times => write!(f, "{why} ({times} times in a row)"),
            },
            Self::Unasked => f.write_str("its responder has not been asked yet"),
            Self::ResponseExpired => f.write_str("the response in the live map has expired"),
            Self::NotYetValid => {
                f.write_str("the response in the live map is of tomorrow: look at the clock")
            }
            Self::Damaged => f.write_str(
                "its record in the live map is damaged: the agent writes it anew at its next \
                 refresh; staplegun fetch does it now",
            ),
        }
    }
}

/// What a certificate is called: the server's own, or an intermediate on which so many
/// `leaves` hang.
pub fn what(leaves: Option<usize>) -> &'static str {
    match leaves {
        None => "certificate",
        Some(_) => "intermediate",
    }
}

/// What is to be done about one that is revoked.
pub fn replace(leaves: Option<usize>) -> String {
    match leaves {
        None => "replace it".to_owned(),
        Some(1) => "1 certificate hangs on it; replace that by one of another intermediate".into(),
        Some(leaves) => format!(
            "{leaves} certificates hang on it; replace them by ones of another intermediate"
        ),
    }
}

/// What stands against a certificate that was found in a file: what it says itself,
/// and an authority's that stands before the server's own, whatever else it is.
pub fn of_file(subject: &Subject, has_responder: bool, now: UnixTime) -> Option<Unstapled> {
    let is_misplaced = subject.leaf.is_ca() && subject.ders().len() > 1;
    match is_misplaced {
        true => Some(Unstapled::Authority),
        false => Unstapled::of(&subject.leaf, has_responder, now),
    }
}

/// The sentence about a certificate that the operator named by `path` and that is
/// passed over: where the certificate by itself would be nothing to care for, this was
/// a mistake.
pub fn of_named(why: &Unstapled, path: impl fmt::Display) -> String {
    match why {
        Unstapled::Authority => format!(
            "is a certification authority's, which servers do not staple: put the server's own \
             first in {path}"
        ),
        Unstapled::NotServer => format!(
            "is not for servers (its extended key usage lacks serverAuth): name the server's \
             certificate instead of {path}"
        ),
        Unstapled::NoIssuer => {
            format!("its issuer's certificate is not known: append it to {path}")
        }
        why => why.to_string(),
    }
}

/// Why what the operator named by `path` cannot be used, and what helps.
pub fn unreadable(path: &Path, error: &anyhow::Error) -> String {
    let path = path.display();
    match error.root_cause().downcast_ref::<io::Error>() {
        Some(cause) if cause.kind() == io::ErrorKind::PermissionDenied => format!(
            "{error:#}: its renewal will be missed; let the agent's user read it, or let root \
             tell the agent of it: as root, staplegun add {path}"
        ),
        Some(cause) if cause.kind() == io::ErrorKind::NotFound => {
            format!("{error:#}: if it is gone for good, staplegun remove {path}")
        }
        _ => format!("{error:#}"),
    }
}

/// What helps where root has named `path`, and nobody tells the agent of its renewals.
pub fn missed(why: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "{why}: its renewal will be missed; let the agent's user read it, or have each renewal \
         run: staplegun add --renewed {path} (certbot and others: staplegun-add(1))"
    )
}

/// A user's name, if it has one, and number.
fn user(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    match user {
        Ok(Some(user)) => format!("user {} ({uid})", user.name),
        _ => format!("user {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Identity, Spec};

    use super::*;

    #[test]
    fn that_clients_refuse_a_certificate_is_said_once() {
        let meanwhile = "(it is must-staple: clients refuse it meanwhile)";
        let unasked = Standing::Unasked;
        let sentence = unasked.sentence(true).expect("it is not stapled");
        assert!(sentence.ends_with(meanwhile), "{sentence}");
        let sentence = unasked.sentence(false).expect("it is not stapled");
        assert!(!sentence.contains("must-staple"), "{sentence}");
        let says_it = Standing::PassedOver {
            refusal: Refusal::Itself(Unstapled::MustStapleWithoutResponder),
            left_by: None,
            path: None,
        };
        let sentence = says_it.sentence(true).expect("it is not stapled");
        assert!(!sentence.contains(meanwhile), "{sentence}");
        assert_eq!(Standing::Stapled.sentence(true), None);
    }

    #[test]
    fn an_authority_is_misplaced_only_before_another_certificate() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let leaf = ca.issue(&Spec::server());
        let of = |ders: Vec<Vec<u8>>| {
            let subject = Subject::unexamined(ders).expect("a certificate");
            of_file(&subject, false, subject.leaf.not_after())
        };
        assert_eq!(of(vec![ca.der(), leaf.der()]), Some(Unstapled::Authority));
        // A server that is its own authority has that.
        assert_eq!(of(vec![ca.der()]), Some(Unstapled::SelfSigned));
        assert_eq!(of(vec![leaf.der(), ca.der()]), Some(Unstapled::NoResponder));
    }
}
