//! The certificates as the metrics tell them: how many stand how, and how each stands. Of more
//! than [`MOST`] some are only counted: no machine's monitoring has room for all that a farm of
//! certificates could say, and those that need a person come first.

use std::collections::BTreeMap;

use staplegun_ocsp::{UnixTime, Unstapled, Validity};
use staplegun_store::Key;

use super::counters::Causes;
use super::leaves::Leaves;
use super::passed_over::PassedOver;
use super::roster::{Roster, Watched};
use super::sentence::Standing;
use crate::fetch::{Staple, Subject};

/// The most certificates that have metrics of their own.
pub const MOST: usize = 10_000;

/// Of the life of a response, one part of so many is left when something must be wrong: it is
/// renewed at half.
const LAST_PART: i64 = 4;

/// How a certificate stands, as the metrics tell it.
const STATES: [&str; 5] = ["stapled", "missing", "revoked", "refused", "passed_over"];

/// One certificate.
pub enum One<'a> {
    /// It is looked after.
    Watched(&'a Watched),
    /// Nobody is asked for it.
    PassedOver(&'a PassedOver),
}

/// All certificates, each added once.
#[derive(Debug)]
pub struct Tally {
    /// How many stand how.
    pub states: BTreeMap<&'static str, usize>,
    /// What is told of those that need a person,
    needy: Vec<Row>,
    /// and of others, as far as there may be room.
    others: Vec<Row>,
    leaves: Leaves,
}

/// What is told of one.
#[derive(Debug)]
pub struct Row {
    /// Its SHA-256.
    pub key: Key,
    /// What it is called.
    pub subject: String,
    /// Why nobody is asked for it.
    pub cause: Option<String>,
    /// None if it is passed over.
    pub watched: Option<RowOfWatched>,
}

/// What is told of one that is looked after.
#[derive(Debug)]
pub struct RowOfWatched {
    /// When the certificate ends.
    pub not_after: UnixTime,
    /// Whether it is revoked.
    pub is_revoked: bool,
    /// Of what is stapled.
    pub in_use: Option<Validity>,
    /// When a good response came last.
    pub last_success: Option<UnixTime>,
    /// Failures in a row.
    pub failures: u32,
    /// All of them.
    pub failed: Causes,
    /// How many certificates hang on it, if it is an intermediate.
    pub leaves: Option<usize>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            states: STATES.map(|state| (state, 0)).into(),
            needy: Vec::new(),
            others: Vec::new(),
            leaves: Leaves::default(),
        }
    }
}

impl Tally {
    /// Adds one, as it stands at the time `now`.
    pub fn add(&mut self, one: &One, now: UnixTime) {
        *self.states.entry(one.state(now)).or_default() += 1;
        if let One::Watched(watched) = one {
            self.leaves.add(watched);
        }
        let is_needy = one.needs_operator(now);
        let others = if is_needy { 0 } else { self.others.len() };
        if self.needy.len() + others < MOST {
            let rows = if is_needy {
                &mut self.needy
            } else {
                &mut self.others
            };
            rows.push(one.row());
        }
    }

    /// All were added.
    pub fn finish(mut self, roster: &Roster) -> Self {
        self.others.truncate(MOST - self.needy.len());
        let on = std::mem::take(&mut self.leaves).on(roster);
        for row in self.needy.iter_mut().chain(&mut self.others) {
            let leaves = row.watched.as_mut().and_then(|it| it.leaves.as_mut());
            if let Some(leaves) = leaves {
                *leaves = on.get(&row.key).copied().unwrap_or(0);
            }
        }
        self
    }

    /// What is told of each, as far as there is room.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.needy.iter().chain(&self.others)
    }

    /// How many are only counted.
    pub fn left_out(&self) -> usize {
        let all: usize = self.states.values().sum();
        all.saturating_sub(self.needy.len() + self.others.len())
    }
}

impl<'a> One<'a> {
    /// The keys of all from `first` on, in their order: who is passed over from now on, or no more,
    /// keeps its place.
    pub fn keys_from(roster: &Roster, first: Key) -> impl Iterator<Item = Key> {
        let mut watched = roster.keys_from(first).peekable();
        let mut passed_over = roster.passed_over.keys_from(first).peekable();
        std::iter::from_fn(move || match (watched.peek(), passed_over.peek()) {
            (Some(one), Some(other)) if other < one => passed_over.next(),
            (None, Some(_)) => passed_over.next(),
            _ => watched.next(),
        })
    }

    /// The one that has that key.
    pub fn of(roster: &'a Roster, key: &Key) -> Option<Self> {
        let watched = roster.get(key).map(Self::Watched);
        watched.or_else(|| roster.passed_over.get(key).map(Self::PassedOver))
    }

    fn subject(&self) -> &Subject {
        match self {
            Self::Watched(watched) => &watched.subject,
            Self::PassedOver(one) => &one.subject,
        }
    }

    fn row(&self) -> Row {
        let subject = self.subject();
        Row {
            key: subject.key(),
            subject: subject.leaf.display_subject(),
            cause: self.cause().map(str::to_owned),
            watched: match self {
                Self::Watched(watched) => Some(RowOfWatched::of(watched)),
                Self::PassedOver(_) => None,
            },
        }
    }

    /// Of [`STATES`].
    fn state(&self, now: UnixTime) -> &'static str {
        match self {
            Self::Watched(watched) => match &watched.known {
                Some(known) if !known.is_good() => "revoked",
                Some(known) if known.is_fresh(now) => "stapled",
                _ => match self.cause() {
                    None => "missing",
                    Some(_) if self.needs_operator(now) => "refused",
                    Some(_) => "passed_over",
                },
            },
            Self::PassedOver(_) if self.needs_operator(now) => "refused",
            Self::PassedOver(_) => "passed_over",
        }
    }

    /// Why nobody is asked for it.
    fn cause(&self) -> Option<&str> {
        match self {
            Self::PassedOver(one) => one.notes.passed_over.as_deref(),
            // The configuration names no responder for it any more.
            Self::Watched(watched) => {
                let cause = watched.notes.last_cause.as_deref();
                cause.filter(|cause| {
                    watched.notes.failures == 0
                        && Unstapled::named(cause, &watched.subject.leaf).is_some()
                })
            }
        }
    }

    fn needs_operator(&self, now: UnixTime) -> bool {
        match self {
            Self::PassedOver(one) => {
                Standing::from_notes(&one.subject.leaf, &one.notes, now).needs_operator()
            }
            Self::Watched(watched) => {
                let is_late = good(watched).is_none_or(|known| {
                    let life = known.validity.until.saturating_sub(known.validity.from);
                    known.validity.until.saturating_sub(now) < life / LAST_PART
                });
                let standing = || Standing::from_notes(&watched.subject.leaf, &watched.notes, now);
                watched.notes.failures > 0 || (is_late && standing().needs_operator())
            }
        }
    }
}

impl RowOfWatched {
    fn of(watched: &Watched) -> Self {
        let known = watched.known.as_ref();
        Self {
            not_after: watched.subject.leaf.not_after(),
            is_revoked: known.is_some_and(|known| !known.is_good()),
            in_use: good(watched).map(|known| known.validity),
            last_success: watched.notes.last_success,
            failures: watched.notes.failures,
            failed: watched.failed.clone(),
            leaves: watched.notes.intermediate.then_some(0),
        }
    }
}

fn good(watched: &Watched) -> Option<&Staple> {
    watched.known.as_ref().filter(|known| known.is_good())
}

#[cfg(test)]
mod tests {
    use staplegun_store::files::Notes;
    use staplegun_testkit::Spec;

    use super::*;
    use crate::agent::testing::certificate;

    #[test]
    fn what_was_refused_and_needs_somebody_is_told_from_what_is_as_it_should_be() {
        let mut tally = Tally::default();
        for cause in ["untrusted_issuer", "costly", "authority"] {
            let one = PassedOver {
                subject: certificate(&Spec::server()),
                notes: Notes {
                    passed_over: Some(cause.to_owned()),
                    ..Notes::default()
                },
            };
            tally.add(&One::PassedOver(&one), 0);
        }
        let count = |state| tally.states[state];
        assert_eq!((count("refused"), count("passed_over")), (2, 1));
        let rows = tally
            .rows()
            .map(|row| row.cause.as_deref().expect("it has one"));
        assert!(rows.eq(["untrusted_issuer", "costly", "authority"]));
    }

    #[test]
    fn what_lost_its_responder_needs_somebody_if_it_must_be_stapled() {
        let state = |cause: &str| {
            let notes = Notes {
                last_cause: Some(cause.to_owned()),
                ..Notes::default()
            };
            let watched = Watched::new(certificate(&Spec::server()), notes);
            One::Watched(&watched).state(0)
        };
        assert_eq!(state("no_responder"), "passed_over");
        assert_eq!(state("must_staple"), "refused");
        assert_eq!(state("http"), "missing");
    }
}
