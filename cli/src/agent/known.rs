//! What is known of a certificate's status. While the agent runs, `Watched::known` is
//! the one source of truth: map, notes, metrics and `status` are derived from it. After
//! a restart it is found again from what an agent left, of which any part may be gone.

use staplegun_ocsp::{UnixTime, Validity, Verdict};
use staplegun_store::files::Notes;
use staplegun_store::slots::{State, Summary};

use super::decision::{Decision, decide};
use crate::fetch::Staple;

/// What was known, from the response in `staples/` if it counts, the notes and the
/// map. A revocation that any of them tells holds until a newer good response undoes
/// it; its evidence may be lost, and then [`Staple::der`] is empty.
pub fn recover(
    file: Option<Staple>,
    notes: &Notes,
    in_map: Option<&Summary>,
    now: UnixTime,
) -> Option<Staple> {
    let noted = notes
        .revoked_since
        .map(|since| revocation(since, notes.this_update.unwrap_or(since)));
    let withdrawn = in_map
        .filter(|summary| summary.state == State::Withdrawn)
        .map(|summary| {
            // A record without the time: newer than all that is known to be older.
            let good = file.as_ref().map(|file| file.validity.from);
            let known = summary.this_update.max(good.unwrap_or(0));
            let from = known.max(notes.this_update.unwrap_or(0));
            let since = notes.revoked_since.unwrap_or(from);
            revocation(
                since,
                if summary.this_update > 0 {
                    summary.this_update
                } else {
                    from
                },
            )
        });
    let told = [noted, withdrawn].into_iter().flatten();
    let Some(told) = told.max_by_key(|revocation| revocation.validity.from) else {
        return file;
    };
    let stands = |file: &Staple| match file.is_good() {
        true => matches!(decide(Some(&told), file, now), Decision::Staple),
        false => file.validity.from >= told.validity.from,
    };
    Some(file.filter(stands).unwrap_or(told))
}

/// A revocation whose evidence is lost.
fn revocation(since: UnixTime, this_update: UnixTime) -> Staple {
    Staple {
        der: Vec::new(),
        verdict: Verdict::Revoked {
            since,
            reason: None,
        },
        // It does not pass, and is never stapled.
        validity: Validity {
            from: this_update,
            until: this_update,
        },
    }
}

/// Brings the notes in line with what is known.
pub fn note(notes: &mut Notes, known: &Staple) {
    notes.this_update = Some(known.validity.from);
    notes.until = Some(known.validity.until);
    notes.revoked_since = match known.verdict {
        Verdict::Revoked { since, .. } => Some(since),
        Verdict::Good => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = 1_000_000;

    fn staple(verdict: Verdict, from: UnixTime) -> Option<Staple> {
        Some(Staple {
            der: vec![1],
            verdict,
            validity: Validity {
                from,
                until: NOW + 1_000,
            },
        })
    }

    fn good(from: UnixTime) -> Option<Staple> {
        staple(Verdict::Good, from)
    }

    fn noted(this_update: UnixTime) -> Notes {
        Notes {
            revoked_since: Some(this_update - 10),
            this_update: Some(this_update),
            ..Notes::default()
        }
    }

    fn withdrawn(this_update: UnixTime) -> Summary {
        Summary {
            state: State::Withdrawn,
            length: 0,
            this_update,
            until: 0,
        }
    }

    fn is_revoked(known: &Option<Staple>) -> bool {
        known.as_ref().is_some_and(|known| !known.is_good())
    }

    #[test]
    fn where_nothing_tells_a_revocation_the_file_counts() {
        let notes = Notes::default();
        assert_eq!(recover(good(NOW - 9), &notes, None, NOW), good(NOW - 9));
        assert_eq!(recover(None, &notes, None, NOW), None);
    }

    #[test]
    fn notes_or_map_alone_tell_a_revocation_whatever_older_good_lies_in_the_file() {
        let (notes, map) = (noted(NOW - 100), withdrawn(NOW - 100));
        for file in [None, good(NOW - 200), good(NOW - 100)] {
            let known = recover(file.clone(), &notes, None, NOW);
            assert!(is_revoked(&known), "{known:?}");
            let known = recover(file.clone(), &Notes::default(), Some(&map), NOW);
            assert!(is_revoked(&known), "{known:?}");
            // Withdrawn by somebody who did not say by what.
            let known = recover(file, &Notes::default(), Some(&withdrawn(0)), NOW);
            assert!(is_revoked(&known), "{known:?}");
        }
    }

    #[test]
    fn a_newer_good_response_in_the_file_undoes_what_they_tell() {
        let file = good(NOW - 50);
        let known = recover(
            file.clone(),
            &noted(NOW - 100),
            Some(&withdrawn(NOW - 100)),
            NOW,
        );
        assert_eq!(known, file);
    }

    #[test]
    fn the_evidence_is_taken_where_it_is_there_and_not_older() {
        let (since, reason) = (NOW - 500, None);
        let file = staple(Verdict::Revoked { since, reason }, NOW - 100);
        assert_eq!(recover(file.clone(), &noted(NOW - 100), None, NOW), file);
        let known = recover(file, &Notes::default(), Some(&withdrawn(NOW - 60)), NOW);
        assert_eq!(known.map(|known| known.validity.from), Some(NOW - 60));
    }
}
