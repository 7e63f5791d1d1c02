//! The certificates in numbers: how many stand how, and of each how it stands. Of more than
//! [`MOST`] some have no metrics of their own: no machine's monitoring has room for all that a
//! farm of certificates could say, and those that need a person come first.

use std::collections::BTreeMap;

use staplegun_ocsp::{UnixTime, Unstapled};
use staplegun_store::name;

use super::chains::leaves_on;
use super::exposition::{Exposition, Labels};
use super::passed_over::PassedOver;
use super::roster::{Roster, Watched};
use super::sentence::Standing;
use crate::fetch::Staple;

/// The most certificates that have metrics of their own.
const MOST: usize = 10_000;

/// Of the life of a response, one part of so many is left when something must be wrong: it is
/// renewed at half.
const LAST_PART: i64 = 4;

/// One certificate.
enum One<'a> {
    Watched(&'a Watched),
    PassedOver(&'a PassedOver),
}

/// How a certificate stands, as the metrics tell it.
const STATES: [&str; 5] = ["stapled", "missing", "revoked", "refused", "passed_over"];

impl One<'_> {
    fn labels(&self) -> Labels {
        let leaf = match self {
            Self::Watched(watched) => &watched.subject.leaf,
            Self::PassedOver(one) => &one.subject.leaf,
        };
        Labels::of("sha256", &name::of_key(&leaf.sha256())).and("subject", &leaf.display_subject())
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

fn good(watched: &Watched) -> Option<&Staple> {
    watched.known.as_ref().filter(|known| known.is_good())
}

/// Adds all of it.
pub fn certificates(text: &mut Exposition, roster: &Roster, now: UnixTime) {
    let watched = roster.iter().map(|(_, one)| One::Watched(one));
    let passed_over = roster.passed_over.iter();
    let passed_over = passed_over.map(|(_, one)| One::PassedOver(one));
    let all: Vec<One> = watched.chain(passed_over).collect();
    let mut states: BTreeMap<&str, usize> = STATES.map(|state| (state, 0)).into();
    for one in &all {
        *states.entry(one.state(now)).or_default() += 1;
    }
    let mut family = text.gauge(
        "certificates",
        "How many certificates stand how: refused are those that nobody is asked for though \
         something is to be done, passed_over those for which nothing is.",
    );
    for (state, count) in states {
        family.sample(&Labels::of("state", state), count);
    }
    let left_out = all.len().saturating_sub(MOST);
    text.gauge(
        "metrics_certificates_left_out",
        "Certificates that are counted and have no metrics of their own: there are too many.",
    )
    .value(left_out);
    let chosen: Vec<(Labels, One)> = choose(all, left_out, now)
        .into_iter()
        .map(|one| (one.labels(), one))
        .collect();
    of_each(text, &chosen);
    let on = leaves_on(roster.iter().map(|(_, watched)| watched), roster);
    let mut leaves = text.gauge(
        "intermediate_leaves",
        "How many certificates hang on an intermediate that is looked after for them.",
    );
    for (labels, one) in &chosen {
        if let One::Watched(watched) = one
            && watched.notes.intermediate
        {
            let count = on.get(&watched.subject.key()).copied().unwrap_or(0);
            leaves.sample(labels, count);
        }
    }
}

/// All but `left_out`, which are of those that need nobody.
fn choose(all: Vec<One<'_>>, left_out: usize, now: UnixTime) -> Vec<One<'_>> {
    if left_out == 0 {
        return all;
    }
    let most = all.len() - left_out;
    let (needy, others): (Vec<One>, Vec<One>) =
        all.into_iter().partition(|one| one.needs_operator(now));
    needy.into_iter().chain(others).take(most).collect()
}

fn of_each(text: &mut Exposition, all: &[(Labels, One<'_>)]) {
    let watched = || {
        all.iter().filter_map(|(labels, one)| match one {
            One::Watched(watched) => Some((labels, *watched)),
            One::PassedOver(_) => None,
        })
    };
    let mut gauge = |name, help, value: &dyn Fn(&Watched) -> Option<i64>| {
        let mut family = text.gauge(name, help);
        for (labels, watched) in watched() {
            if let Some(value) = value(watched) {
                family.sample(labels, value);
            }
        }
    };
    gauge(
        "certificate_not_after_timestamp_seconds",
        "When the certificate ends.",
        &|it| Some(it.subject.leaf.not_after()),
    );
    gauge("certificate_revoked", "1 if it is revoked.", &|it| {
        Some(i64::from(
            it.known.as_ref().is_some_and(|known| !known.is_good()),
        ))
    });
    gauge(
        "staple_this_update_timestamp_seconds",
        "thisUpdate of what is stapled.",
        &|it| good(it).map(|known| known.validity.from),
    );
    gauge(
        "staple_next_update_timestamp_seconds",
        "When what is stapled ends.",
        &|it| good(it).map(|known| known.validity.until),
    );
    gauge(
        "fetch_last_success_timestamp_seconds",
        "The last successful fetch.",
        &|it| it.notes.last_success,
    );
    gauge("fetch_failures_in_a_row", "Failures since then.", &|it| {
        Some(i64::from(it.notes.failures))
    });
    let mut failures = text.counter(
        "certificate_fetch_failures_total",
        "Fetches that failed for the certificate, by cause.",
    );
    for (labels, watched) in watched() {
        failures.by_cause(labels, &watched.failed);
    }
    let mut passed_over = text.gauge(
        "certificate_passed_over",
        "1 if nobody is asked for it, and why.",
    );
    for (labels, one) in all {
        if let Some(cause) = one.cause() {
            passed_over.sample(&labels.clone().and("cause", cause), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use staplegun_ocsp::{Validity, Verdict};
    use staplegun_store::files::Notes;
    use staplegun_testkit::{Identity, Spec};

    use super::*;
    use crate::agent::clock;
    use crate::agent::roster::Source;
    use crate::fetch::Subject;

    const SERIAL: [u8; 12] = *b"\x01 the serial";

    /// So many certificates: one that differs in its serial number, since nothing here looks
    /// at signatures.
    fn subjects(count: usize) -> impl Iterator<Item = Subject> {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let der = ca.issue(&Spec::server().serial(&SERIAL)).der();
        let at = der.windows(SERIAL.len()).position(|part| part == SERIAL);
        let at = at.expect("it has that serial number") + 4;
        (0..count).map(move |number| {
            let mut der = der.clone();
            der[at..at + 8].copy_from_slice(&number.to_be_bytes());
            Subject::unexamined(vec![der]).expect("a certificate")
        })
    }

    #[test]
    fn more_than_so_many_certificates_have_no_metrics_of_their_own_and_none_that_needs_a_person() {
        let mut roster = Roster::default();
        let (passed_over, failing) = (300, 9);
        let now = clock::now();
        let names_no_responder = Notes {
            passed_over: Some("no_responder".to_owned()),
            ..Notes::default()
        };
        for (number, subject) in subjects(MOST + passed_over).enumerate() {
            if number < passed_over {
                roster.passed_over.keep(subject, names_no_responder.clone());
                continue;
            }
            let notes = Notes {
                failures: u32::from(number >= MOST + passed_over - failing),
                ..Notes::default()
            };
            let key = subject.key();
            assert!(roster.admit(subject, Source::List, notes, Instant::now()));
            if let Some(watched) = roster.get_mut(&key) {
                watched.known = Some(known(now));
            }
        }
        let mut text = Exposition::default();
        let began = Instant::now();
        certificates(&mut text, &roster, now);
        println!("{} bytes in {:?}", text.0.len(), began.elapsed());
        let has = |line: &str| text.0.lines().any(|known| known == line);
        assert!(has("staplegun_metrics_certificates_left_out 300"));
        assert!(has("staplegun_certificates{state=\"stapled\"} 10000"));
        assert!(has("staplegun_certificates{state=\"passed_over\"} 300"));
        let count = |of: &str, end: &str| {
            let lines = text.0.lines().filter(|line| line.starts_with(of));
            lines.filter(|line| line.ends_with(end)).count()
        };
        let of_all = count("staplegun_certificate_revoked{", "")
            + count("staplegun_certificate_passed_over{", "");
        assert_eq!(of_all, MOST);
        assert_eq!(count("staplegun_fetch_failures_in_a_row{", " 1"), failing);
        let mut families = BTreeMap::new();
        for line in text.0.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().expect("a name");
            *families.entry(name).or_insert(0) += 1;
        }
        assert!(
            families.values().all(|count| *count <= MOST),
            "{families:?}"
        );
    }

    fn known(now: UnixTime) -> Staple {
        Staple {
            der: vec![1],
            verdict: Verdict::Good,
            validity: Validity {
                from: now - 10,
                until: now + 1_000,
            },
        }
    }
}
