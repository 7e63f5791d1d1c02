//! What is stapled for the intermediates of a chain.

use serde::Serialize;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{Certificate, Policy};

use super::entries::Entry;
use crate::agent::now;
use crate::fetch::{Failure, Issuers, Kind, Subject, judge};

/// One intermediate that was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// Its subject.
    subject: String,
    /// Its serial number in hexadecimal.
    serial: String,
    /// Whether a response is stapled for it.
    pub stapled: bool,
    /// Why clients refuse that, if they do: a stable word and a sentence.
    pub cause: Option<&'static str>,
    /// The sentence.
    reason: Option<String>,
    /// When it ends, if it is good.
    until: Option<String>,
}

/// The intermediates among `sent`, the chain above the server's own certificate; `known` has all
/// certificates among which an issuer may be.
pub fn judge_all(sent: &[Entry], known: &[Vec<u8>], policy: &Policy) -> Vec<Link> {
    let of_use = sent.iter().filter_map(|entry| {
        let facts = Certificate::from_der(&entry.certificate).ok()?;
        (!facts.is_self_issued()).then(|| judge_one(entry, &facts, known, policy))
    });
    of_use.collect()
}

fn judge_one(entry: &Entry, facts: &Certificate, known: &[Vec<u8>], policy: &Policy) -> Link {
    let mut link = Link {
        subject: facts.display_subject(),
        serial: facts.serial_hex(),
        stapled: entry.staple.is_some(),
        cause: None,
        reason: None,
        until: None,
    };
    let Some(der) = &entry.staple else {
        return link;
    };
    let others = known.iter().filter(|der| **der != entry.certificate);
    let all = [vec![entry.certificate.clone()], others.cloned().collect()].concat();
    let subject = Subject::new(all, &Issuers::default()).ok();
    let Some(issuer) = subject.as_ref().and_then(Subject::issuer) else {
        // Who cannot check it passes over it.
        return link;
    };
    let (cause, reason) = match judge(der, issuer, now(), policy) {
        Ok(staple) if staple.is_good() => {
            link.until = Some(Rfc3339(staple.validity.until).to_string());
            return link;
        }
        Ok(_) => ("revoked", "it is revoked".to_owned()),
        Err(kind) => explain(kind),
    };
    (link.cause, link.reason) = (Some(cause), Some(reason));
    link
}

impl Link {
    /// What is stapled for it, in words.
    pub fn in_words(&self) -> String {
        let subject = &self.subject;
        match (&self.until, &self.reason) {
            (Some(until), _) => format!("{subject}: good until {until}"),
            (None, Some(reason)) => format!("{subject}: {reason}"),
            (None, None) if self.stapled => format!("{subject}: stapled, its issuer is not known"),
            (None, None) => format!("{subject}: not stapled"),
        }
    }
}

/// A stable word and a sentence.
pub fn explain(kind: Kind) -> (&'static str, String) {
    let failure = Failure::at("", kind);
    (failure.cause(), failure.to_string())
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Identity, Response, Spec};

    use super::*;

    #[test]
    fn what_is_stapled_for_an_intermediate_is_told_in_words() {
        let root = Identity::self_signed(&Spec::ca("Root"));
        let ca = root.issue(&Spec::ca("CA"));
        let told = |staple: Option<Response>, known: &[Vec<u8>]| {
            let sent = Entry {
                certificate: ca.der(),
                staple: staple.map(|staple| staple.der()),
            };
            let links = judge_all(&[sent], known, &Policy::STAPLING);
            links.iter().map(Link::in_words).collect::<String>()
        };
        let good = || Some(Response::good(&ca, &root));
        let known = [root.der()];
        assert_eq!(told(None, &known), "CA: not stapled");
        assert_eq!(told(good(), &[]), "CA: stapled, its issuer is not known");
        let in_force = told(good(), &known);
        assert!(in_force.starts_with("CA: good until "), "{in_force}");
        let revoked = good().map(Response::revoked);
        assert_eq!(told(revoked, &known), "CA: it is revoked");
    }
}
