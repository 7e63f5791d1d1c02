//! Bytes from anybody: no panic, no wrong yes, and no quarrel with x509-ocsp.

use crate::mint::{
    CertificateSpec, NOW, ResponseSpec, SingleSpec, good, judged, judged_under, leaf_identity,
    status_revoked,
};
use der::Decode;
use proptest::prelude::*;
use proptest::sample::Index;
use staplegun_ocsp::{Certificate, Identity, Judged, Policy, Response, Signer, Status};
use staplegun_testkit as testkit;
use staplegun_testkit::pki::Spec;
use std::sync::LazyLock;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus};

/// A signed response with its delegate's certificate, and the leaf's identity.
struct Signed {
    ca: Certificate,
    leaf: Vec<u8>,
    response: Vec<u8>,
    identity: Identity,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let ca = testkit::Identity::self_signed(&Spec::ca("Test CA"));
    let leaf = ca.issue(&Spec::server().must_staple().ocsp_url("http://127.0.0.1:1/"));
    let delegate = ca.issue(&Spec::responder());
    let read = |identity: &testkit::Identity| Certificate::from_der(&identity.der()).unwrap();
    Signed {
        ca: read(&ca),
        leaf: leaf.der(),
        response: testkit::Response::good(&leaf, &ca)
            .delegate(&delegate)
            .der(),
        identity: Identity::new(&read(&leaf), &read(&ca)).unwrap(),
    }
});

#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Truncate(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        any::<Index>().prop_map(Mutation::Truncate),
        (any::<Index>(), 1..9usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), 1..40usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

fn mutated(original: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let end = |at: usize, count: usize| (at + count).min(bytes.len());
        match mutation {
            Mutation::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Mutation::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Mutation::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Mutation::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *count));
            }
            Mutation::Insert(at, inserted) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, inserted.iter().copied());
            }
            Mutation::Repeat(at, count) => {
                let at = at.index(bytes.len());
                let copy = bytes[at..end(at, *count)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// Everything that can be asked of a response.
fn exercise(bytes: &[u8], identity: &Identity) {
    match Response::parse(bytes) {
        Ok(response) => {
            if let Some(Signer::Delegate { der, certificate }) = response.signer(&SIGNED.ca) {
                assert!(response.certificates().contains(&der));
                let _ = certificate.display_subject();
            }
            let _ = response.nonce();
            assert_eq!(response.der(), bytes);
        }
        Err(fault) => assert!(!fault.to_string().is_empty() && !fault.cause().is_empty()),
    }
    if let Err(fault) = judged_under(&SIGNED.ca, bytes, identity, NOW, &Policy::RECEIVING) {
        assert!(!fault.to_string().is_empty());
    }
}

fn exercise_certificate(bytes: &[u8]) {
    match Certificate::from_der(bytes) {
        Ok(certificate) => {
            assert!(!certificate.display_subject().contains('\n'));
            let _ = Identity::new(&certificate, &certificate).map(|own| own.serial_hex());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// If x509-ocsp and this crate both read it, they read the same; and what
/// x509-ocsp reads as a plain response, this crate reads too.
fn agree(bytes: &[u8]) {
    let Ok(reference) = OcspResponse::from_der(bytes) else {
        return;
    };
    if reference.response_status != OcspResponseStatus::Successful {
        assert!(Response::parse(bytes).is_err());
        return;
    }
    let Some(basic) = &reference.response_bytes else {
        return;
    };
    let Ok(basic) = BasicOcspResponse::from_der(basic.response.as_bytes()) else {
        return;
    };
    let response = match Response::parse(bytes) {
        Ok(response) => response,
        Err(fault) => {
            let stricter = ["not_basic", "critical_extension"];
            assert!(stricter.contains(&fault.cause()), "{fault}");
            return;
        }
    };
    let data = &basic.tbs_response_data;
    let unix = |time: x509_ocsp::OcspGeneralizedTime| time.0.to_unix_duration().as_secs() as i64;
    assert_eq!(response.produced_at(), unix(data.produced_at));
    assert_eq!(response.cert_ids().count(), data.responses.len());
    assert_eq!(
        response.certificates().len(),
        basic.certs.as_ref().map_or(0, Vec::len)
    );
    for (own, theirs) in response.cert_ids().zip(&data.responses) {
        assert_eq!(own.serial, theirs.cert_id.serial_number.as_bytes());
        assert_eq!(
            own.issuer_key_hash,
            theirs.cert_id.issuer_key_hash.as_bytes()
        );
    }
    let Ok(single) = response.single_for(&SIGNED.identity) else {
        return;
    };
    assert!(data.responses.iter().any(|theirs| {
        let status = match theirs.cert_status {
            CertStatus::Good(_) => single.status == Status::Good,
            CertStatus::Unknown(_) => single.status == Status::Unknown,
            CertStatus::Revoked(info) => {
                matches!(single.status, Status::Revoked { time, .. } if time == unix(info.revocation_time))
            }
        };
        status
            && single.this_update == unix(theirs.this_update)
            && single.next_update == theirs.next_update.map(unix)
    }));
}

#[test]
fn the_unchanged_response_is_read_alike() {
    let signed = &*SIGNED;
    let bytes = &signed.response;
    agree(bytes);
    let response = Response::parse(bytes).unwrap();
    assert_eq!(
        response.single_for(&signed.identity).unwrap().status,
        Status::Good
    );
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..SIGNED.response.len() {
        let bytes = &SIGNED.response[..length];
        assert!(Response::parse(bytes).is_err(), "{length}");
        exercise(bytes, &SIGNED.identity);
    }
    for length in 0..SIGNED.leaf.len() {
        assert!(Certificate::from_der(&SIGNED.leaf[..length]).is_err());
    }
}

#[test]
fn no_single_octet_turns_revoked_into_good() {
    let revoked = ResponseSpec::of(&[SingleSpec::with_status(status_revoked(None))]).der();
    for at in 0..revoked.len() {
        for value in 0..=255 {
            let mut bytes = revoked.clone();
            bytes[at] = value;
            let is_good = judged(&bytes, NOW).is_ok_and(|judged: Judged| judged.is_good());
            assert!(!is_good, "octet {at} as {value:#x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        exercise(&bytes, &SIGNED.identity);
        exercise_certificate(&bytes);
    }

    #[test]
    fn mutated_responses_never_panic_and_are_read_alike(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let bytes = mutated(&SIGNED.response, &mutations);
        exercise(&bytes, &SIGNED.identity);
        agree(&bytes);
        exercise(&mutated(&good(), &mutations), &leaf_identity());
    }

    #[test]
    fn mutated_certificates_never_panic(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        exercise_certificate(&mutated(&SIGNED.leaf, &mutations));
        exercise_certificate(&mutated(&CertificateSpec::leaf().der(), &mutations));
    }
}
