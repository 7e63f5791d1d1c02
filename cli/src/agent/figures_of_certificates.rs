//! The certificates in numbers: how many stand how, and of each how it stands.

use super::exposition::{Exposition, Labels};
use super::tally::{Row, RowOfWatched, Tally};
use staplegun_store::name;

/// Adds all of it.
pub fn certificates(text: &mut Exposition, tally: &Tally) {
    let mut family = text.gauge(
        "certificates",
        "How many certificates stand how: refused are those that nobody is asked for though \
         something is to be done, passed_over those for which nothing is.",
    );
    for (state, count) in &tally.states {
        family.sample(&Labels::of("state", state), count);
    }
    text.gauge(
        "metrics_certificates_left_out",
        "Certificates that are counted and have no metrics of their own: there are too many.",
    )
    .value(tally.left_out());
    let all: Vec<(Labels, &Row)> = tally.rows().map(|row| (labels(row), row)).collect();
    of_each(text, &all);
}

fn labels(row: &Row) -> Labels {
    Labels::of("sha256", &name::of_key(&row.key)).and("subject", &row.subject)
}

fn of_each(text: &mut Exposition, all: &[(Labels, &Row)]) {
    let watched = || {
        let all = all.iter();
        all.filter_map(|(labels, row)| Some((labels, row.watched.as_ref()?)))
    };
    let gauge = |text: &mut Exposition, name, help, value: fn(&RowOfWatched) -> Option<i64>| {
        let mut family = text.gauge(name, help);
        for (labels, row) in watched() {
            if let Some(value) = value(row) {
                family.sample(labels, value);
            }
        }
    };
    gauge(
        text,
        "certificate_not_after_timestamp_seconds",
        "When the certificate ends.",
        |it| Some(it.not_after),
    );
    gauge(text, "certificate_revoked", "1 if it is revoked.", |it| {
        Some(i64::from(it.is_revoked))
    });
    gauge(
        text,
        "staple_this_update_timestamp_seconds",
        "thisUpdate of what is stapled.",
        |it| it.in_use.map(|it| it.from),
    );
    gauge(
        text,
        "staple_next_update_timestamp_seconds",
        "When what is stapled ends.",
        |it| it.in_use.map(|it| it.until),
    );
    gauge(
        text,
        "fetch_last_success_timestamp_seconds",
        "The last successful fetch.",
        |it| it.last_success,
    );
    gauge(
        text,
        "fetch_failures_in_a_row",
        "Failures since then.",
        |it| Some(i64::from(it.failures)),
    );
    let mut failures = text.counter(
        "certificate_fetch_failures_total",
        "Fetches that failed for the certificate, by cause.",
    );
    for (labels, row) in watched() {
        failures.by_cause(labels, &row.failed);
    }
    let mut passed_over = text.gauge(
        "certificate_passed_over",
        "1 if nobody is asked for it, and why.",
    );
    for (labels, row) in all {
        if let Some(cause) = &row.cause {
            passed_over.sample(&labels.clone().and("cause", cause), 1);
        }
    }
    gauge(
        text,
        "intermediate_leaves",
        "How many certificates hang on an intermediate that is looked after for them.",
        |it| it.leaves.and_then(|count| i64::try_from(count).ok()),
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use staplegun_ocsp::{UnixTime, Validity, Verdict};
    use staplegun_store::Key;
    use staplegun_store::files::Notes;
    use staplegun_testkit::{Identity, Spec};

    use super::*;
    use crate::agent::clock;
    use crate::agent::roster::{Roster, Source};
    use crate::agent::tally::{MOST, One};
    use crate::fetch::{Staple, Subject};

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
        let mut tally = Tally::default();
        for key in One::keys_from(&roster, Key::default()) {
            let one = One::of(&roster, &key).expect("it is there");
            tally.add(&one, now);
        }
        let mut text = Exposition::default();
        certificates(&mut text, &tally.finish(&roster));
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
