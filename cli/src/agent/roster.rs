//! The certificates that are looked after, and which are let in.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Instant;

use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::files::Notes;

use super::stamp::Stamp;
use crate::fetch::{Staple, Subject};

/// One certificate.
#[derive(Debug)]
pub struct Watched {
    /// The certificate.
    pub subject: Subject,
    /// The response in use, or the revocation that is known.
    pub known: Option<Staple>,
    /// What is remembered of it.
    pub notes: Notes,
    /// When its responder is asked next; None: not at all.
    pub due: Option<Instant>,
    /// A fetch is under way.
    pub asking: bool,
    /// Attempts so far.
    pub turn: usize,
    /// The file in `staples/` as it was seen last.
    pub stamp: Option<Stamp>,
    /// Who named it.
    source: Source,
}

/// Who named a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator: by `staplegun add`.
    List,
    /// An earlier agent: it lies in `certs/`.
    Store,
    /// A program of root or of the agent's own user, by the spool.
    Trusted,
    /// A program of that other user, by the spool.
    User(u32),
}

/// Why a certificate is not looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names no responder, and no override covers it: normal now.
    NoResponder,
    /// It is a certification authority's.
    Ca,
    /// Its extended key usage is not a server's.
    NotServer,
    /// It has expired.
    Expired,
    /// Another user left it, without an issuer.
    NoIssuer,
    /// Another user left it, and its issuer is not trusted.
    UntrustedIssuer,
    /// That user has left as many as allowed.
    UserQuota,
    /// There are as many as allowed.
    Full,
}

impl Refusal {
    /// Whether it is worth a line in the log: what is everyday is not.
    pub fn is_notable(self) -> bool {
        !matches!(
            self,
            Self::NoResponder | Self::Ca | Self::NotServer | Self::Expired
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoResponder => "it names no OCSP responder",
            Self::Ca => "it is a certification authority's",
            Self::NotServer => "it is not for servers",
            Self::Expired => "it has expired",
            Self::NoIssuer => "its issuer did not come along, and who left it is not root",
            Self::UntrustedIssuer => {
                "its issuer is not trusted, and who left it is not root: name the issuer in \
                 trusted-issuers if its responder may be asked"
            }
            Self::UserQuota => "this user has left as many as max-certificates-per-user allows",
            Self::Full => "there are as many as max-certificates allows",
        })
    }
}

/// How many certificates are let in.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// In all.
    pub total: usize,
    /// From one user other than root.
    pub per_user: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Roster {
    entries: BTreeMap<Key, Watched>,
    left_by: HashMap<u32, usize>,
}

impl Roster {
    /// Whether a certificate may be let in: everything but the issuer's trust,
    /// `issuer_trusted`, which is asked for only where it counts. `has_responder`
    /// says whether there is one to ask.
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub fn examine(
        &self,
        subject: &Subject,
        source: Source,
        has_responder: bool,
        issuer_trusted: impl FnOnce() -> bool,
        quota: &Quota,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let leaf = &subject.leaf;
        if leaf.not_after() < now {
            return Err(Refusal::Expired);
        }
        if !has_responder {
            return Err(Refusal::NoResponder);
        }
        if source != Source::List && leaf.is_ca() {
            return Err(Refusal::Ca);
        }
        if source != Source::List && !leaf.fit_for_server() {
            return Err(Refusal::NotServer);
        }
        if self.entries.contains_key(&subject.key()) {
            return Ok(());
        }
        if self.entries.len() >= quota.total {
            return Err(Refusal::Full);
        }
        if let Source::User(uid) = source {
            if self.left_by.get(&uid).copied().unwrap_or(0) >= quota.per_user {
                return Err(Refusal::UserQuota);
            }
            if subject.issuer().is_none() {
                return Err(Refusal::NoIssuer);
            }
            if !issuer_trusted() {
                return Err(Refusal::UntrustedIssuer);
            }
        }
        Ok(())
    }

    /// Lets a certificate in that was examined. True if it is new, or if its
    /// issuer is; then it is due at `at`.
    pub fn admit(&mut self, subject: Subject, source: Source, notes: Notes, at: Instant) -> bool {
        if let Some(known) = self.entries.get_mut(&subject.key()) {
            let is_news = known.subject.issuer().is_none() && subject.issuer().is_some();
            if is_news {
                known.subject = subject;
                known.due = Some(at);
            }
            return is_news;
        }
        if let Source::User(uid) = source {
            *self.left_by.entry(uid).or_insert(0) += 1;
        }
        let watched = Watched {
            known: None,
            notes,
            due: Some(at),
            asking: false,
            turn: 0,
            stamp: None,
            source,
            subject,
        };
        self.entries.insert(watched.subject.key(), watched);
        true
    }

    /// One of them.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Watched> {
        self.entries.get_mut(key)
    }

    /// Whether it is one of them.
    pub fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Watched)> {
        self.entries.iter()
    }

    /// All, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Watched)> {
        self.entries.iter_mut()
    }

    /// Takes out those whose certificate has expired.
    pub fn remove_expired(&mut self, now: UnixTime) -> Vec<Watched> {
        let over: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, watched)| watched.subject.leaf.not_after() < now && !watched.asking)
            .map(|(key, _)| *key)
            .collect();
        let removed: Vec<Watched> = over
            .iter()
            .filter_map(|key| self.entries.remove(key))
            .collect();
        for watched in &removed {
            if let Source::User(uid) = watched.source
                && let Some(count) = self.left_by.get_mut(&uid)
            {
                *count = count.saturating_sub(1);
            }
        }
        removed
    }

    /// Those whose time has come, not yet asked for.
    pub fn due(&self, at: Instant) -> Vec<Key> {
        let is_due =
            |watched: &Watched| !watched.asking && watched.due.is_some_and(|due| due <= at);
        self.entries
            .iter()
            .filter(|(_, watched)| is_due(watched))
            .map(|(key, _)| *key)
            .collect()
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries
            .values()
            .filter(|watched| !watched.asking)
            .filter_map(|watched| watched.due)
            .min()
    }

    /// Whether a fetch is under way.
    pub fn is_asking(&self) -> bool {
        self.entries.values().any(|watched| watched.asking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;
    use staplegun_testkit::{Identity, Spec};

    #[test]
    fn what_has_expired_counts_no_more_against_its_users_quota() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let subject = || {
            let leaf = ca.issue(&Spec::server()).der();
            Subject::new(&[&leaf, &ca.der()]).expect("a certificate")
        };
        let (user, now) = (Source::User(65534), clock::now());
        let quota = Quota {
            total: 10,
            per_user: 1,
        };
        let mut roster = Roster::default();
        let examine =
            |roster: &Roster| roster.examine(&subject(), user, true, || true, &quota, now);
        assert_eq!(examine(&roster), Ok(()));
        assert!(roster.admit(subject(), user, Notes::default(), Instant::now()));
        assert_eq!(examine(&roster), Err(Refusal::UserQuota));
        assert_eq!(roster.remove_expired(UnixTime::MAX).len(), 1);
        assert_eq!(examine(&roster), Ok(()));
    }
}
