//! What becomes of a certificate that somebody left: what is cheap is looked at first, and
//! of a stranger's no more is verified than is bounded.

use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use staplegun_ocsp::{UnixTime, Unstapled};
use staplegun_store::spool::Taken;

use super::chain::{Chain, HIGHEST};
use super::clock;
use super::event::Event;
use super::modest;
use super::roster::{Room, Source};
use super::sentence::Refusal;
use crate::fetch::{Issuers, Manner, Subject, may_have_responder, responders_of};

/// What certificates are held against.
pub struct Examiner {
    /// Whom it names and trusts counts.
    pub manner: Arc<Manner>,
    /// The issuers that are known.
    pub issuers: Arc<Issuers>,
    /// The main thread, which knows whether there is room.
    pub events: Sender<Event>,
}

impl Examiner {
    /// The certificate, and why nobody is to be asked for it. None if it is looked after
    /// already. What takes cryptography comes last.
    pub fn examine(&self, subject: Subject, source: Source) -> Option<(Subject, Option<Refusal>)> {
        let is_stranger = matches!(source, Source::User(_));
        let mut subject = subject;
        if is_stranger {
            let ders = subject.ders();
            let (ders, is_modest) = match modest::part(&subject) {
                Some(ders) => (ders, true),
                None => (
                    ders.into_iter().take(1).map(<[u8]>::to_vec).collect(),
                    false,
                ),
            };
            subject = Subject::unexamined(ders).ok()?;
            if !is_modest {
                return Some((subject, Some(Refusal::Costly)));
            }
        }
        let of_itself = |has_responder| {
            Unstapled::of(&subject.leaf, has_responder, clock::now()).map(Refusal::Itself)
        };
        let mut refusal = of_itself(may_have_responder(&subject, &self.manner.overrides));
        if refusal.is_none() {
            refusal = match self.room(&subject, source)? {
                Room::Known => return None,
                Room::None(full) => Some(full),
                Room::Free => None,
            };
        }
        if refusal.is_some() {
            return Some((subject, refusal));
        }
        let manner = &self.manner;
        subject.find_issuer(&self.issuers);
        if !subject.has_valid_issuer(clock::now()) {
            subject.complete_from(&manner.trust, !is_stranger, &self.issuers);
        }
        let has_responder = !responders_of(&subject, &manner.overrides).is_empty();
        let refusal = if !has_responder {
            Unstapled::of(&subject.leaf, false, clock::now()).map(Refusal::Itself)
        } else if is_stranger && subject.issuer().is_none() {
            Some(Refusal::NoIssuer)
        } else if is_stranger && !manner.trust.covers(&subject.ders()) {
            Some(Refusal::UntrustedIssuer)
        } else {
            None
        };
        Some((subject, refusal))
    }

    /// The intermediates of `chain` that are not looked after yet and name a responder, from
    /// the leaf's issuer upwards: each is held against the issuer that signed it, and a
    /// stranger's is trusted as his leaf was. None of them has expired at the time `now`.
    pub fn intermediates(&self, chain: &Chain, now: UnixTime) -> Vec<Subject> {
        let (manner, source) = (&self.manner, chain.source());
        let is_stranger = matches!(source, Source::User(_));
        let mut found = Vec::new();
        let mut next = chain.lowest();
        for _ in 0..HIGHEST {
            let Some(mut subject) = next.take().and_then(|der| chain.subject(der)) else {
                break;
            };
            let leaf = &subject.leaf;
            if !leaf.is_ca() || leaf.is_self_issued() || leaf.not_after() < now {
                break;
            }
            // What is known was followed before.
            let Some(Room::Free) = self.room(&subject, source) else {
                break;
            };
            subject.find_issuer(&self.issuers);
            if !subject.has_valid_issuer(now) {
                subject.complete_from(&manner.trust, !is_stranger, &self.issuers);
            }
            if is_stranger && !(subject.issuer().is_some() && manner.trust.covers(&subject.ders()))
            {
                break;
            }
            next = subject.issuer().map(|issuer| issuer.by.der.clone());
            if !responders_of(&subject, &manner.overrides).is_empty() {
                found.push(subject);
            }
        }
        found
    }

    /// Asks the main thread. None if there is none.
    fn room(&self, subject: &Subject, source: Source) -> Option<Room> {
        let (answer, room) = sync_channel(1);
        let key = subject.key();
        let asked = Event::Room {
            key,
            source,
            answer,
        };
        self.events.send(asked).ok()?;
        room.recv().ok()
    }
}

/// The certificate that is in a file.
///
/// # Errors
///
/// Why there is none: one word, and a sentence.
pub fn unpack(taken: &Taken) -> Result<Subject, (&'static str, String)> {
    let none = |why: String| ("not_certificates", why);
    let ders = taken
        .certificates()
        .ok_or_else(|| none("it does not hold certificates in DER".to_owned()))?;
    let ders = ders.into_iter().map(<[u8]>::to_vec).collect();
    let subject = Subject::unexamined(ders).map_err(|error| none(format!("{error:#}")))?;
    if subject.key() != taken.key {
        let why = "it holds another certificate than its name says";
        return Err(("other_certificate", why.to_owned()));
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::agent::settings::Settings;
    use crate::fetch::Trust;

    const USER: Source = Source::User(1_001);

    /// A root and two intermediates, each with a responder.
    struct Authorities {
        root: Identity,
        upper: Identity,
        lower: Identity,
    }

    impl Authorities {
        fn new() -> Self {
            let authority = |name| Spec::ca(name).ocsp_url("http://127.0.0.1/");
            let root = Identity::self_signed(&authority("Root"));
            let upper = root.issue(&authority("Upper").validity(-86_400, 3_600));
            let lower = upper.issue(&authority("Lower"));
            Self { root, upper, lower }
        }

        /// The chain of a leaf that came with these.
        fn chain(&self, source: Source, along: &[&Identity]) -> Chain {
            let leaf = self.lower.issue(&Spec::server()).der();
            let along = along.iter().map(|authority| authority.der());
            let ders = [leaf].into_iter().chain(along).collect();
            let leaf = Subject::new(ders, &Issuers::default()).expect("a certificate");
            Chain::of(&leaf, source).expect("its issuer is no root")
        }
    }

    /// One that trusts that authority, and has room for whatever comes.
    fn examiner(trusted: Option<&Identity>) -> Examiner {
        let directory = Directory::new();
        let mut trust = Trust::default();
        if let Some(trusted) = trusted {
            let file = directory.write("trusted.pem", trusted.pem());
            trust.add(&file).expect("it is a certificate");
        }
        let (events, asked) = channel();
        std::thread::spawn(move || {
            for event in asked {
                if let Event::Room { answer, .. } = event {
                    answer.send(Room::Free).expect("it waits");
                }
            }
        });
        Examiner {
            manner: Arc::new(Settings::default().manner(trust)),
            issuers: Arc::default(),
            events,
        }
    }

    /// What is found of it at that time, each with its issuer.
    fn found(examiner: &Examiner, chain: &Chain, now: UnixTime) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let found = examiner.intermediates(chain, now).into_iter();
        let issuer = |subject: &Subject| subject.issuer().map(|issuer| issuer.by.der.clone());
        found
            .map(|subject| (subject.ders()[0].to_vec(), issuer(&subject)))
            .collect()
    }

    #[test]
    fn a_chain_has_its_intermediates_up_to_the_root_each_with_the_issuer_that_came_along() {
        let authorities = Authorities::new();
        let Authorities { root, upper, lower } = &authorities;
        let chain = authorities.chain(Source::Trusted, &[lower, upper, root]);
        assert_eq!(
            found(&examiner(None), &chain, clock::now()),
            [
                (lower.der(), Some(upper.der())),
                (upper.der(), Some(root.der()))
            ]
        );
    }

    #[test]
    fn an_intermediate_is_followed_up_to_and_with_its_last_second() {
        let authorities = Authorities::new();
        let Authorities { root, upper, lower } = &authorities;
        let chain = authorities.chain(Source::Trusted, &[lower, upper, root]);
        let upper = Subject::unexamined(vec![upper.der()]).expect("a certificate");
        let last = upper.leaf.not_after();
        let examiner = examiner(None);
        assert_eq!(found(&examiner, &chain, last).len(), 2);
        assert_eq!(found(&examiner, &chain, last + 1).len(), 1);
    }

    #[test]
    fn the_issuer_of_an_intermediate_of_root_may_have_come_with_another_certificate_of_root() {
        let authorities = Authorities::new();
        let Authorities { upper, lower, .. } = &authorities;
        let chain = authorities.chain(Source::Trusted, &[lower]);
        let examiner = examiner(None);
        let other = [lower.der(), upper.der()];
        examiner
            .issuers
            .learn_of_root(&other.each_ref().map(Vec::as_slice));
        let found = found(&examiner, &chain, clock::now());
        assert_eq!(found[0], (lower.der(), Some(upper.der())));
    }

    #[test]
    fn of_a_users_chain_only_those_are_found_whose_issuer_is_known_and_trusted() {
        let authorities = Authorities::new();
        let Authorities { root, upper, lower } = &authorities;
        let chain = authorities.chain(USER, &[lower, upper, root]);
        let count = |trusted, chain| found(&examiner(trusted), chain, clock::now()).len();
        assert_eq!(count(Some(root), &chain), 2);
        assert_eq!(count(None, &chain), 0);
        // It is trusted by itself, but who answers for it is not known.
        assert_eq!(count(Some(lower), &authorities.chain(USER, &[lower])), 0);
    }
}
