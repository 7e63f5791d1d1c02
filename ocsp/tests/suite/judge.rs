//! The one judgement: whatever a response says, holds when nobody's signature does
//! not, and ends with its signer; and which of two is better is an order.

use crate::mint::{
    AllCount, CertificateSpec, DAY, NOW, ResponseSpec, SingleSpec, common_name, der,
    generalized_time, judged, leaf_identity, status_good, status_revoked, status_unknown,
};
use proptest::prelude::*;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{
    CLOCK_SKEW, Certificate, Fault, Judged, Policy, Refusal, Response, Signatures, Signer,
    UnixTime, Validity, Verdict, better, judge,
};

/// A time as a response writes it.
fn written(time: UnixTime) -> Vec<u8> {
    let text: String = Rfc3339(time).to_string();
    let digits = text.chars().filter(|c| !"-T:".contains(*c));
    generalized_time(&digits.collect::<String>())
}

fn responder(not_before: UnixTime, not_after: UnixTime) -> CertificateSpec {
    CertificateSpec {
        subject: common_name("Responder"),
        key: b"the responder's key".to_vec(),
        not_before: written(not_before),
        not_after: written(not_after),
        ..CertificateSpec::leaf()
    }
}

/// A response of such a status and times, by a responder whose certificate it has.
fn by(signer: &CertificateSpec, status: Vec<u8>, from: UnixTime, until: UnixTime) -> Vec<u8> {
    let single = SingleSpec {
        status,
        this_update: written(from),
        next_update: Some(written(until)),
        ..SingleSpec::good()
    };
    ResponseSpec {
        responder_id: der(0xa1, &[&signer.subject]),
        certificates: vec![signer.der()],
        ..ResponseSpec::of(&[single])
    }
    .der()
}

/// A libcrypto that lets only one certificate's signatures count.
struct Only(Certificate, Certificate);

impl Signatures for Only {
    type Error = ();

    fn issuer(&self) -> &Certificate {
        &self.0
    }

    fn verify(&self, _: &Response<'_>, signer: &Signer<'_>) -> Result<(), ()> {
        (signer.certificate(&self.0) == &self.1)
            .then_some(())
            .ok_or(())
    }
}

#[test]
fn validity_ends_with_the_certificate_that_signed() {
    let (from, until) = (NOW - DAY, NOW + 6 * DAY);
    let end = NOW + DAY;
    let bytes = by(&responder(from, end), status_good(), from, until);
    let expected = Validity {
        from,
        until: end + 1,
    };
    assert_eq!(judged(&bytes, NOW).unwrap().validity, expected);
    assert!(judged(&bytes, end).is_ok());
    let fault = judged(&bytes, end + 1).unwrap_err();
    assert_eq!(fault.cause(), "signer_expired");
    // What has expired by itself is not its signer's fault.
    assert_eq!(judged(&bytes, until).unwrap_err().cause(), "expired");
}

#[test]
fn validity_ends_with_the_issuer_too() {
    let issuer = CertificateSpec {
        not_after: written(NOW + DAY),
        ..CertificateSpec::ca()
    };
    let signatures = AllCount(issuer.read());
    let signers = [issuer.clone(), responder(NOW - DAY, NOW + 9 * DAY)];
    for signer in signers {
        let bytes = by(&signer, status_good(), NOW - DAY, NOW + 6 * DAY);
        let judged = judge(
            &bytes,
            &leaf_identity(),
            NOW,
            &Policy::STAPLING,
            &signatures,
        );
        assert_eq!(judged.unwrap().validity.until, NOW + DAY + 1);
    }
}

#[test]
fn a_certificate_that_merely_has_the_responders_name_cuts_nothing() {
    // The CA was renewed with the same key; the response still brings the old one.
    let old = CertificateSpec {
        not_after: written(NOW - DAY),
        ..CertificateSpec::ca()
    };
    let bytes = by(&old, status_good(), NOW - DAY, NOW + 6 * DAY);
    assert_eq!(judged(&bytes, NOW).unwrap().validity.until, NOW + 6 * DAY);
}

#[test]
fn the_libcrypto_is_asked_about_the_one_certificate_that_signed() {
    let (ca, signer) = (CertificateSpec::ca(), responder(NOW - DAY, NOW + DAY));
    let bytes = by(&signer, status_good(), NOW - DAY, NOW + DAY);
    let judged_by = |only: &CertificateSpec| {
        let signatures = Only(ca.read(), only.read());
        judge(
            &bytes,
            &leaf_identity(),
            NOW,
            &Policy::STAPLING,
            &signatures,
        )
    };
    assert!(judged_by(&signer).is_ok());
    assert_eq!(judged_by(&ca), Err(Refusal::Signature(())));
}

#[test]
fn what_is_not_signed_is_nobodys_word() {
    let nobody = Only(CertificateSpec::ca().read(), CertificateSpec::leaf().read());
    for status in [status_good(), status_revoked(None), status_unknown()] {
        let bytes = by(&CertificateSpec::ca(), status, NOW - DAY, NOW + DAY);
        for now in [NOW - 9 * DAY, NOW, NOW + 9 * DAY] {
            let said = judge(&bytes, &leaf_identity(), now, &Policy::STAPLING, &nobody);
            assert_eq!(said, Err(Refusal::Signature(())));
        }
    }
}

#[test]
fn a_revocation_counts_at_whatever_time_if_its_signer_was_valid_then() {
    let signer = responder(NOW - 2 * DAY, NOW + DAY);
    let revoked = |from, until| by(&signer, status_revoked(Some(1)), from, until);
    // Its times out of order, expired, or its signer expired since.
    for until in [NOW - 2 * DAY, NOW, NOW + 9 * DAY] {
        let bytes = revoked(NOW - DAY, until);
        for now in [NOW - 9 * DAY, NOW, NOW + 99 * DAY] {
            let said = judged(&bytes, now).unwrap();
            assert!(matches!(said.verdict, Verdict::Revoked { .. }));
        }
    }
    // To the second, and a clock that is a little behind takes nothing away.
    let (first, last) = (NOW - 2 * DAY - CLOCK_SKEW, NOW + DAY);
    for from in [first, last] {
        assert!(judged(&revoked(from, NOW + 9 * DAY), NOW).is_ok());
    }
    for from in [NOW - 3 * DAY, first - 1, last + 1, NOW + 2 * DAY] {
        let fault = judged(&revoked(from, NOW + 9 * DAY), NOW).unwrap_err();
        assert_eq!(fault.cause(), "signer_expired");
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let fault = Fault::NoStatus;
    let refusal: Refusal<String> = fault.clone().into();
    assert_eq!(refusal.to_string(), fault.to_string());
    let refusal = Refusal::Signature("the signature does not hold".to_owned());
    assert_eq!(refusal.to_string(), "the signature does not hold");
}

#[test]
fn a_signer_whose_certificate_begins_tomorrow_does_not_count_today() {
    let signer = responder(NOW + DAY, NOW + 9 * DAY);
    let bytes = by(&signer, status_good(), NOW - DAY, NOW + 6 * DAY);
    assert_eq!(judged(&bytes, NOW).unwrap_err().cause(), "signer_expired");
    assert!(judged(&bytes, NOW + DAY - CLOCK_SKEW).is_ok());
}

#[test]
fn one_of_tomorrow_is_told_apart_and_counts_when_its_time_has_come() {
    let from = NOW + DAY;
    let bytes = by(&CertificateSpec::ca(), status_good(), from, from + DAY);
    let at = |now| {
        let signatures = AllCount(CertificateSpec::ca().read());
        judge(
            &bytes,
            &leaf_identity(),
            now,
            &Policy::STAPLING,
            &signatures,
        )
    };
    let Err(Refusal::Early { judged, fault }) = at(NOW) else {
        panic!("it is early");
    };
    assert_eq!(fault, Fault::NotYetValid { from, now: NOW });
    assert!(at(from - CLOCK_SKEW - 1).is_err());
    assert_eq!(at(from - CLOCK_SKEW), Ok(judged));
}

fn said(verdict: Verdict, from: UnixTime, until: UnixTime) -> Judged {
    let (from, until) = (NOW + from, NOW + until);
    let validity = Validity { from, until };
    Judged { verdict, validity }
}

fn good(from: UnixTime, until: UnixTime) -> Judged {
    said(Verdict::Good, from, until)
}

fn revoked(from: UnixTime, until: UnixTime, since: UnixTime) -> Judged {
    let since = NOW + since;
    let reason = None;
    said(Verdict::Revoked { since, reason }, from, until)
}

#[test]
fn the_newer_this_update_wins_whatever_its_next_update() {
    let decade = good(-10 * DAY, 3_650 * DAY);
    let week = good(-DAY, 6 * DAY);
    assert!(better(&decade, &week, NOW));
    assert!(!better(&week, &decade, NOW));
    assert!(better(&week, &good(-DAY, 7 * DAY), NOW));
    assert!(!better(&week, &week, NOW));
}

#[test]
fn what_cannot_be_stapled_stands_in_nobodys_way() {
    let current = good(-9 * DAY, DAY);
    let expired = good(-DAY, 0);
    let tomorrows = good(DAY, 9 * DAY);
    for useless in [expired, tomorrows] {
        assert!(better(&useless, &current, NOW));
        assert!(!better(&current, &useless, NOW));
    }
    assert!(better(&current, &tomorrows, NOW + DAY));
}

#[test]
fn a_revocation_is_undone_only_by_a_newer_good() {
    let known = revoked(-100, 100, -500);
    assert!(!better(&known, &good(-101, 1_000), NOW));
    assert!(!better(&known, &good(-100, 1_000), NOW));
    assert!(better(&known, &good(-99, 1_000), NOW));
    // Expired, and still known.
    assert!(!better(&revoked(-100, -50, -500), &good(-100, 1_000), NOW));
    // Revoked since a moment after its thisUpdate.
    assert!(!better(&revoked(-100, 100, -50), &good(-60, 1_000), NOW));
}

#[test]
fn a_revocation_displaces_a_good_response_unless_it_is_older() {
    let known = good(-100, 100);
    assert!(better(&known, &revoked(-99, 10, -500), NOW));
    assert!(better(&known, &revoked(-100, 10, -500), NOW));
    assert!(better(&known, &revoked(-50, -10, -500), NOW));
    assert!(!better(&known, &revoked(-101, 10, -500), NOW));
}

fn any_judged() -> impl Strategy<Value = Judged> {
    // Few moments, so that they meet.
    let moment = || (-4..4i64).prop_map(|steps| steps * 200);
    let verdict = prop_oneof![
        Just(Verdict::Good),
        moment().prop_map(|since| Verdict::Revoked {
            since: NOW + since,
            reason: None,
        }),
    ];
    (verdict, moment(), moment()).prop_map(|(verdict, from, until)| said(verdict, from, until))
}

fn in_use(order: &[Judged]) -> Judged {
    let mut known = order[0];
    for new in &order[1..] {
        if better(&known, new, NOW) {
            known = *new;
        }
    }
    known
}

/// What tells two apart: of two revocations with one moment, not since when.
fn kind(judged: &Judged) -> (bool, Validity) {
    (judged.is_good(), judged.validity)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn better_is_an_order(a in any_judged(), b in any_judged(), c in any_judged()) {
        prop_assert!(!better(&a, &a, NOW));
        prop_assert!(!(better(&a, &b, NOW) && better(&b, &a, NOW)));
        if better(&a, &b, NOW) && better(&b, &c, NOW) {
            prop_assert!(better(&a, &c, NOW));
        }
    }

    #[test]
    fn whichever_comes_first_the_same_is_in_use_in_the_end(
        (some, other) in prop::collection::vec(any_judged(), 1..6)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(kind(&in_use(&some)), kind(&in_use(&other)));
    }

    #[test]
    fn after_a_revocation_good_is_in_use_only_if_newer(
        all in prop::collection::vec(any_judged(), 1..6),
    ) {
        let last = in_use(&all);
        for known in all.iter().filter(|one| !one.is_good()) {
            prop_assert!(!last.is_good() || last.validity.from > known.validity.from);
        }
        // And a good one that can be stapled gives way to nothing that cannot.
        let mut usable = all.iter().filter(|one| one.validity.check_to_staple(NOW).is_ok());
        if usable.any(Judged::is_good) && last.is_good() {
            prop_assert!(last.validity.check_to_staple(NOW).is_ok());
        }
    }

    #[test]
    fn what_is_judged_good_is_valid_with_its_signer(
        from in -9 * DAY..9 * DAY,
        life in -DAY..9 * DAY,
        begin in -9 * DAY..9 * DAY,
        end in -9 * DAY..9 * DAY,
        receiving in any::<bool>(),
    ) {
        let policy = if receiving { Policy::RECEIVING } else { Policy::STAPLING };
        let signer = responder(NOW + begin, NOW + end);
        let bytes = by(&signer, status_good(), NOW + from, NOW + from + life);
        let signatures = AllCount(CertificateSpec::ca().read());
        let said = judge(&bytes, &leaf_identity(), NOW, &policy, &signatures);
        let ends = life.min(end + 1 - from).max(if life < 0 { life } else { 0 }) + from;
        let is_valid = life >= 0
            && from <= CLOCK_SKEW
            && begin <= CLOCK_SKEW
            && ends + policy.after_end > 0;
        prop_assert_eq!(said.is_ok(), is_valid, "{:?}", said);
        if let Ok(judged) = said {
            prop_assert!(judged.is_good());
            let (from, until) = (NOW + from, NOW + ends);
            prop_assert_eq!(judged.validity, Validity { from, until });
        }
    }
}
