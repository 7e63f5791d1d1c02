//! What becomes of a certificate that somebody left: what is cheap is looked at first, and
//! of a stranger's no more is verified than is bounded.

use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use staplegun_ocsp::Unstapled;
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
    /// stranger's is trusted as his leaf was.
    pub fn intermediates(&self, chain: &Chain) -> Vec<Subject> {
        let (manner, source) = (&self.manner, chain.source());
        let is_stranger = matches!(source, Source::User(_));
        let mut found = Vec::new();
        let mut next = chain.lowest();
        for _ in 0..HIGHEST {
            let Some(mut subject) = next.take().and_then(|der| chain.subject(der)) else {
                break;
            };
            let leaf = &subject.leaf;
            if !leaf.is_ca() || leaf.is_self_issued() || leaf.not_after() < clock::now() {
                break;
            }
            // What is known was followed before.
            let Some(Room::Free) = self.room(&subject, source) else {
                break;
            };
            subject.find_issuer(&self.issuers);
            if !subject.has_valid_issuer(clock::now()) {
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
