//! DER to the letter: what only BER allows, or nobody, is refused.

use crate::mint::{
    CertificateSpec, NEXT_UPDATE, NOW, ResponseSpec, SingleSpec, THIS_UPDATE, cert_id, der,
    extension, generalized_time, good, judged, with_extra,
};
use staplegun_ocsp::{Certificate, CertificateError, Fault, Response, Signer};

fn part(response: &[u8]) -> &'static str {
    match judged(response, NOW) {
        Err(Fault::Malformed { part }) => part,
        other => panic!("expected malformed, got {other:?}"),
    }
}

fn part_of(single: SingleSpec) -> &'static str {
    part(&ResponseSpec::of(&[single]).der())
}

#[test]
fn times_must_be_in_utc_to_the_second() {
    for text in [
        "20260101000000.Z",
        "20260101000000,5Z",
        "20260101000000.5",
        "20260101000000.5xZ",
        "202601010000Z",
        "20260101000000",
        "20260101000000+0000",
        "20260101010000+0100",
        "20260101000060Z",
        "20260229000000Z",
        "20260101240000Z",
        "2026010100000 Z",
        "20260101 00000Z",
        "+0260101000000Z",
        "",
    ] {
        let single = SingleSpec {
            this_update: generalized_time(text),
            ..SingleSpec::good()
        };
        assert_eq!(part_of(single), "thisUpdate", "{text:?}");
    }
}

#[test]
fn fractions_of_a_second_count_for_nothing() {
    let whole = judged(&ResponseSpec::of(&[SingleSpec::good()]).der(), NOW);
    for fraction in [".0", ".5", ".999999999999"] {
        let with_fraction =
            |text: &str| generalized_time(&text.replace('Z', &format!("{fraction}Z")));
        let single = SingleSpec {
            this_update: with_fraction(THIS_UPDATE),
            next_update: Some(with_fraction(NEXT_UPDATE)),
            ..SingleSpec::good()
        };
        assert_eq!(
            judged(&ResponseSpec::of(&[single]).der(), NOW),
            whole,
            "{fraction}"
        );
    }
    // In certificates there are none, and OpenSSL refuses them.
    let certificate = CertificateSpec {
        not_after: generalized_time("20510101000000.5Z"),
        ..CertificateSpec::ca()
    };
    assert!(Certificate::from_der(&certificate.der()).is_err());
}

#[test]
fn utc_time_is_no_time_for_a_response() {
    let utc = der(0x17, &[b"260101000000Z"]);
    let this_update = SingleSpec {
        this_update: utc.clone(),
        ..SingleSpec::good()
    };
    let next_update = SingleSpec {
        next_update: Some(utc.clone()),
        ..SingleSpec::good()
    };
    let produced_at = ResponseSpec {
        produced_at: utc,
        ..ResponseSpec::of(&[SingleSpec::good()])
    };
    assert_eq!(part_of(this_update), "thisUpdate");
    assert_eq!(part_of(next_update), "nextUpdate");
    assert_eq!(part(&produced_at.der()), "producedAt");
}

#[test]
fn a_status_must_be_one_of_the_three_and_empty_where_it_is_null() {
    for status in [
        der(0x80, &[&[0]]),
        der(0xa0, &[]),
        der(0x83, &[]),
        der(0x81, &[]),
        der(0x82, &[&[5, 0]]),
        der(0x05, &[]),
    ] {
        assert_eq!(part_of(SingleSpec::with_status(status)), "certStatus");
    }
    let without_time = SingleSpec::with_status(der(0xa1, &[]));
    assert_eq!(part_of(without_time), "revocationTime");
    let time = generalized_time("20251201000000Z");
    let reason = der(0xa0, &[&[0x0a, 2, 1, 0]]);
    let long_reason = SingleSpec::with_status(der(0xa1, &[&time, &reason]));
    assert_eq!(part_of(long_reason), "revocationReason");
}

#[test]
fn a_padded_serial_is_refused() {
    let mut single = SingleSpec::good();
    single.cert_id = cert_id(&CertificateSpec::ca(), &[0, 0, 0x9a, 0xbc]);
    assert_eq!(part_of(single), "serialNumber");
}

#[test]
fn the_responder_id_must_be_there_and_of_a_known_kind() {
    for responder_id in [
        vec![],
        der(0xa1, &[]),
        der(0xa1, &[b"\x0c\x01x"]),
        der(0xa2, &[&[0x0c, 1, 1]]),
        der(0x82, &[&[0; 20]]),
        der(0xa3, &[&[0x30, 0]]),
    ] {
        let response = ResponseSpec {
            responder_id,
            ..ResponseSpec::of(&[SingleSpec::good()])
        };
        assert_eq!(part(&response.der()), "responderID");
    }
}

#[test]
fn only_version_1_is_known() {
    let with = |number: u8| ResponseSpec {
        version: der(0xa0, &[&[2, 1, number]]),
        ..ResponseSpec::of(&[SingleSpec::good()])
    };
    // The default must be left out in DER; some responders write it all the same.
    assert!(Response::parse(&with(0).der()).is_ok());
    assert_eq!(part(&with(1).der()), "version");
}

#[test]
fn success_without_a_response_is_malformed() {
    assert_eq!(part(&der(0x30, &[&[0x0a, 1, 0]])), "responseBytes");
    assert_eq!(part(&der(0x30, &[])), "responseStatus");
    assert_eq!(part(&der(0x30, &[&[0x0a, 2, 0, 0]])), "responseStatus");
    assert_eq!(part(&der(0x30, &[&[2, 1, 0]])), "responseStatus");
}

#[test]
fn indefinite_and_overlong_lengths_are_refused() {
    let response = good();
    let [0x30, 0x81, length, inside @ ..] = response.as_slice() else {
        panic!("the minted response has between 128 and 255 bytes inside");
    };
    let indefinite = [&[0x30, 0x80], inside, &[0, 0]].concat();
    assert_eq!(part(&indefinite), "OCSPResponse");
    let overlong = [&[0x30, 0x82, 0, *length], inside].concat();
    assert_eq!(part(&overlong), "OCSPResponse");
}

#[test]
fn huge_lengths_are_refused_without_being_believed() {
    for length in [
        &[0x84, 0xff, 0xff, 0xff, 0xff][..],
        &[0x84, 0x7f, 0xff, 0xff, 0xff],
        &[0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff],
        &[0x82, 0xff, 0xff],
    ] {
        let bytes = [&[0x30], length, &good()[3..]].concat();
        assert_eq!(part(&bytes), "OCSPResponse");
        let inner = SingleSpec::with_status([&[0xa1], length].concat());
        assert!(Response::parse(&ResponseSpec::of(&[inner]).der()).is_err());
    }
}

#[test]
fn depth_costs_nothing() {
    // As deep as 64 KiB allow, wherever anything may stand.
    let mut deep = vec![];
    while deep.len() < 60_000 {
        // Quadratic, so in steps of many levels at once.
        deep = (0..64).fold(deep, |inner, _| der(0x30, &[&inner]));
    }
    assert!(Response::parse(&deep).is_err());
    let response = ResponseSpec {
        certificates: vec![deep.clone()],
        ..ResponseSpec::of(&[SingleSpec::good()])
    };
    let bytes = response.der();
    let parsed = Response::parse(&bytes).expect("certificates are not looked into");
    let ca = CertificateSpec::ca().read();
    assert_eq!(parsed.signer(&ca), Some(Signer::Issuer));
}

#[test]
fn no_structure_may_hold_more_than_its_elements() {
    let single = SingleSpec {
        extensions: vec![extension(&[0x2a, 3], false, b"")],
        ..SingleSpec::good()
    };
    let response = ResponseSpec::of(&[single]).der();
    for (path, expected) in [
        (&[][..], "OCSPResponse"),
        (&[1], "responseBytes"),
        (&[1, 0], "responseBytes"),
        (&[1, 0, 1], "BasicOCSPResponse"),
        (&[1, 0, 1, 0], "BasicOCSPResponse"),
        (&[1, 0, 1, 0, 0], "tbsResponseData"),
        (&[1, 0, 1, 0, 0, 0], "responderID"),
        (&[1, 0, 1, 0, 0, 2], "SingleResponse"),
        (&[1, 0, 1, 0, 0, 2, 0], "SingleResponse"),
        (&[1, 0, 1, 0, 0, 2, 0, 0], "certID"),
        (&[1, 0, 1, 0, 0, 2, 0, 3], "nextUpdate"),
        (&[1, 0, 1, 0, 0, 2, 0, 4], "singleExtensions"),
        (&[1, 0, 1, 0, 0, 2, 0, 4, 0], "Extension"),
        (&[1, 0, 1, 0, 0, 2, 0, 4, 0, 0], "Extension"),
    ] {
        assert_eq!(part(&with_extra(&response, path)), expected, "{path:?}");
    }
    let certificate = CertificateSpec::leaf()
        .with(extension(&[0x2a, 3], false, b""))
        .der();
    for (path, expected) in [
        (&[][..], "Certificate"),
        (&[0], "tbsCertificate"),
        (&[0, 4], "validity"),
        (&[0, 6], "subjectPublicKeyInfo"),
        (&[0, 7], "extensions"),
        (&[0, 7, 0], "Extension"),
        (&[0, 7, 0, 0], "Extension"),
    ] {
        let refusal = Certificate::from_der(&with_extra(&certificate, path)).unwrap_err();
        let part = CertificateError::Malformed { part: expected };
        assert_eq!(refusal, part, "{path:?}");
    }
}
