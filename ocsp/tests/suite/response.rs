//! What a good response says, and when it may be used.

use crate::mint::{
    CertificateSpec, DAY, NONCE, NOW, ResponseSpec, SingleSpec, common_name, der, extension,
    generalized_time, good, judged, judged_under, leaf_identity, oid, status_revoked,
    status_unknown,
};
use sha1::{Digest, Sha1};
use staplegun_ocsp::response::ResponderId;
use staplegun_ocsp::{
    CLOCK_SKEW, Certificate, Fault, Identity, Policy, Response, Signer, Status, Validity, Verdict,
};
use staplegun_testkit as testkit;
use staplegun_testkit::pki::Spec;
use staplegun_testkit::response::CertIdHash;

const THIS_UPDATE: i64 = NOW - DAY;
const NEXT_UPDATE: i64 = NOW + 6 * DAY;

fn check_at(now: i64) -> Result<(), String> {
    judged(&good(), now)
        .map(drop)
        .map_err(|fault| fault.cause().to_owned())
}

#[test]
fn a_good_response_is_accepted_and_its_times_are_read() {
    assert!(judged(&good(), NOW).unwrap().is_good());
    let bytes = good();
    let response = Response::parse(&bytes).unwrap();
    assert_eq!(response.der(), bytes);
    assert_eq!(response.produced_at(), THIS_UPDATE + 1);
    let single = response.single_for(&leaf_identity()).unwrap();
    assert_eq!(single.status, Status::Good);
    assert_eq!(single.this_update, THIS_UPDATE);
    assert_eq!(single.next_update, Some(NEXT_UPDATE));
    assert_eq!(single.produced_at, THIS_UPDATE + 1);
    let validity = single.validity(0);
    assert_eq!((validity.from, validity.until), (THIS_UPDATE, NEXT_UPDATE));
}

#[test]
fn what_is_signed_and_how_is_shown_as_it_stands() {
    let bytes = good();
    let response = Response::parse(&bytes).unwrap();
    let signed = response.signed().expect("DER");
    assert_eq!(signed.algorithm, [0x2a, 3]);
    assert_eq!(signed.signature, b"signature");
    let data = &signed.signed;
    let begins = bytes.windows(data.len()).position(|window| window == *data);
    let ends = begins.expect("tbsResponseData") + data.len();
    // The algorithm follows it at once.
    assert!(data[0] == 0x30 && bytes[ends..].starts_with(&der(0x30, &[&oid(&[0x2a, 3])])));
}

#[test]
fn a_signed_response_is_accepted_under_either_hash_and_responder_id() {
    let ca = testkit::Identity::self_signed(&Spec::ca("Test CA"));
    let leaf = ca.issue(&Spec::server());
    let delegate = ca.issue(&Spec::responder());
    let read = |identity: &testkit::Identity| Certificate::from_der(&identity.der()).unwrap();
    let identity = Identity::new(&read(&leaf), &read(&ca)).unwrap();
    let good = || testkit::Response::good(&leaf, &ca);
    for response in [
        good(),
        good().hash(CertIdHash::Sha256),
        good().delegate(&delegate),
        good().delegate(&delegate).responder_by_key(),
    ] {
        let bytes = response.der();
        let response = Response::parse(&bytes).unwrap();
        let single = response.single_for(&identity).unwrap();
        assert_eq!(single.status, Status::Good);
        assert_eq!(single.next_update, Some(single.this_update + 25 * 3600));
        let signer = response.signer(&read(&ca)).unwrap();
        if response.certificates().is_empty() {
            assert_eq!(signer, Signer::Issuer);
        } else {
            let Signer::Delegate { certificate, .. } = signer else {
                panic!("the delegate signed");
            };
            assert_eq!(*certificate, read(&delegate));
            assert!(certificate.fit_for_ocsp_signing() && certificate.ocsp_no_check());
        }
        let other = Identity::new(&read(&delegate), &read(&ca)).unwrap();
        assert_eq!(
            response.single_for(&other).unwrap_err().cause(),
            "wrong_serial"
        );
    }
}

#[test]
fn stapling_begins_one_skew_early_and_ends_at_next_update() {
    assert_eq!(check_at(THIS_UPDATE - CLOCK_SKEW), Ok(()));
    assert_eq!(
        check_at(THIS_UPDATE - CLOCK_SKEW - 1),
        Err("not_yet_valid".to_owned())
    );
    assert_eq!(check_at(NEXT_UPDATE - 1), Ok(()));
    assert_eq!(check_at(NEXT_UPDATE), Err("expired".to_owned()));
}

#[test]
fn a_client_allows_its_clock_to_be_ahead() {
    let (ca, leaf) = (CertificateSpec::ca().read(), leaf_identity());
    let received = |now| judged_under(&ca, &good(), &leaf, now, &Policy::RECEIVING).is_ok();
    assert!(received(NEXT_UPDATE + CLOCK_SKEW - 1));
    assert!(!received(NEXT_UPDATE + CLOCK_SKEW));
}

#[test]
fn the_clock_at_either_end_of_time_is_harmless() {
    for (now, cause) in [(i64::MIN, "not_yet_valid"), (i64::MAX, "expired")] {
        assert_eq!(check_at(now), Err(cause.to_owned()));
        let validity = Validity {
            from: i64::MIN,
            until: i64::MAX,
        };
        assert_eq!(validity.check(now, 0).is_err(), now == i64::MAX);
        let _ = validity.check(now, i64::MAX);
        let _ = validity.check(now, i64::MIN);
    }
}

#[test]
fn without_next_update_it_lives_for_the_time_given() {
    let single = SingleSpec {
        next_update: None,
        ..SingleSpec::good()
    };
    let bytes = ResponseSpec::of(&[single]).der();
    let single = Response::parse(&bytes)
        .unwrap()
        .single_for(&leaf_identity())
        .unwrap();
    assert_eq!(single.next_update, None);
    let validity = single.validity(3600);
    assert_eq!(validity.check_to_staple(THIS_UPDATE + 3599), Ok(()));
    assert_eq!(
        validity.check_to_staple(THIS_UPDATE + 3600),
        Err(Fault::Expired {
            until: THIS_UPDATE + 3600,
            now: THIS_UPDATE + 3600
        })
    );
    assert_eq!(single.validity(-5).until, THIS_UPDATE);
    assert_eq!(single.validity(i64::MAX).until, i64::MAX);
}

#[test]
fn among_several_statuses_of_one_certificate_the_worst_counts() {
    let revoked = SingleSpec::with_status(status_revoked(Some(4)));
    let unknown = SingleSpec::with_status(status_unknown());
    let good = SingleSpec::good();
    let cause = |singles: &[SingleSpec]| {
        let bytes = ResponseSpec::of(singles).der();
        match judged(&bytes, NOW).map(|judged| judged.verdict) {
            Ok(Verdict::Good) => "good",
            Ok(Verdict::Revoked { .. }) => "revoked",
            Err(fault) => fault.cause(),
        }
    };
    assert_eq!(cause(&[good.clone(), revoked.clone()]), "revoked");
    assert_eq!(cause(&[revoked, unknown.clone(), good.clone()]), "revoked");
    assert_eq!(cause(&[good.clone(), unknown]), "unknown");
    assert_eq!(
        cause(&[good.clone(), SingleSpec::until("20260101120000Z")]),
        "expired"
    );
    assert_eq!(cause(&[good.clone(), good]), "good");
}

#[test]
fn the_status_is_found_among_those_of_other_certificates() {
    let other = SingleSpec {
        cert_id: crate::mint::cert_id(&CertificateSpec::ca(), &[1]),
        status: status_revoked(None),
        ..SingleSpec::good()
    };
    let bytes = ResponseSpec::of(&[other.clone(), SingleSpec::good(), other]).der();
    let response = Response::parse(&bytes).unwrap();
    assert!(judged(&bytes, NOW).unwrap().is_good());
    assert_eq!(response.cert_ids().count(), 3);
}

#[test]
fn statuses_other_than_good_can_be_read_with_their_times() {
    let bytes = ResponseSpec::of(&[SingleSpec::with_status(status_revoked(None))]).der();
    let response = Response::parse(&bytes).unwrap();
    let single = response.single_for(&leaf_identity()).unwrap();
    let expected = Status::Revoked {
        time: NOW - 32 * DAY,
        reason: None,
    };
    assert_eq!(single.status, expected);
    assert_eq!(single.validity(0).check_to_staple(NOW), Ok(()));
}

#[test]
fn the_responder_is_named_by_name_or_by_key() {
    let responder = CertificateSpec {
        subject: common_name("Responder"),
        key: b"the responder's key".to_vec(),
        not_after: generalized_time("20260105000000Z"),
        ..CertificateSpec::leaf()
    };
    let hash = Sha1::digest(&responder.key);
    let with = |responder_id: Vec<u8>| ResponseSpec {
        responder_id,
        certificates: vec![
            CertificateSpec::leaf().der(),
            der(0x30, &[b"\x05\x00"]), // no certificate: skipped
            responder.der(),
        ],
        ..ResponseSpec::of(&[SingleSpec::good()])
    };
    let by_name = with(der(0xa1, &[&responder.subject])).der();
    let by_key = with(der(0xa2, &[&der(0x04, &[&hash])])).der();
    let by_name = Response::parse(&by_name).unwrap();
    let by_key = Response::parse(&by_key).unwrap();
    assert_eq!(
        by_name.responder_id(),
        ResponderId::ByName(&responder.subject)
    );
    assert_eq!(by_key.responder_id(), ResponderId::ByKey(&hash));
    for response in [by_name, by_key] {
        assert_eq!(response.certificates().len(), 3);
        let signer = response.signer(&CertificateSpec::ca().read());
        let found = Signer::Delegate {
            der: &responder.der(),
            certificate: Box::new(responder.read()),
        };
        assert_eq!(signer, Some(found));
    }
    let nobody = with(der(0xa1, &[&common_name("Nobody")])).der();
    let nobody = Response::parse(&nobody).unwrap();
    assert_eq!(nobody.signer(&CertificateSpec::ca().read()), None);
}

#[test]
fn harmless_extensions_are_accepted_even_if_critical() {
    let archive_cutoff: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 6];
    let single = SingleSpec {
        extensions: vec![
            extension(archive_cutoff, true, &generalized_time("20200101000000Z")),
            extension(&[0x2a, 3, 4], false, b"whatever"),
        ],
        ..SingleSpec::good()
    };
    let response = ResponseSpec {
        extensions: vec![extension(NONCE, true, &der(0x04, &[b"0123456789"]))],
        ..ResponseSpec::of(&[single])
    };
    let bytes = response.der();
    let response = Response::parse(&bytes).unwrap();
    assert!(judged(&bytes, NOW).unwrap().is_good());
    assert_eq!(response.nonce(), Some(&b"0123456789"[..]));
}

#[test]
fn times_out_of_order_are_refused_whatever_the_clock() {
    let bytes = ResponseSpec::of(&[SingleSpec::until("20251231235959Z")]).der();
    assert_eq!(
        judged(&bytes, NOW),
        Err(Fault::BadTimes {
            this_update: THIS_UPDATE,
            next_update: THIS_UPDATE - 1
        })
    );
}

#[test]
fn the_first_of_two_nonces_counts() {
    let nonces = [&b"\x04\x01a"[..], b"\x04\x01b"];
    let bytes = ResponseSpec {
        extensions: nonces.map(|nonce| extension(NONCE, false, nonce)).to_vec(),
        ..ResponseSpec::of(&[SingleSpec::good()])
    }
    .der();
    assert_eq!(Response::parse(&bytes).unwrap().nonce(), Some(&b"a"[..]));
}

#[test]
fn a_nonce_that_is_not_wrapped_is_read_as_it_stands() {
    let nonce = |value: &[u8]| {
        let bytes = ResponseSpec {
            extensions: vec![extension(NONCE, false, value)],
            ..ResponseSpec::of(&[SingleSpec::good()])
        }
        .der();
        Response::parse(&bytes).unwrap().nonce().map(<[u8]>::to_vec)
    };
    assert_eq!(nonce(b"bare octets"), Some(b"bare octets".to_vec()));
    assert_eq!(nonce(b"\x04\x02ab"), Some(b"ab".to_vec()));
    assert_eq!(nonce(b"\x04\x02abc"), Some(b"\x04\x02abc".to_vec()));
}
