//! certIDs: which certificate a response speaks of.

use crate::mint::{
    CertificateSpec, ResponseSpec, SHA1, SingleSpec, cert_id, common_name, der, leaf_identity,
    name, oid, raw_cert_id,
};
use proptest::prelude::*;
use sha1::{Digest, Sha1};
use staplegun_ocsp::identity::Difference;
use staplegun_ocsp::{HashAlgorithm, Identity, Response};

const HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha1,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// How `identity` differs from a certID as a response carries it.
fn difference(identity: &Identity, cert_id: Vec<u8>) -> Option<Difference> {
    let single = SingleSpec {
        cert_id,
        ..SingleSpec::good()
    };
    let bytes = ResponseSpec::of(&[single]).der();
    let response = Response::parse(&bytes).expect("a response");
    let cert_id = response.cert_ids().next().expect("one certID");
    assert_eq!(
        identity.matches(&cert_id),
        identity.difference(&cert_id).is_none()
    );
    identity.difference(&cert_id)
}

fn identity_of(issuer_name: &str, issuer_key: &[u8], serial: &[u8]) -> Identity {
    let ca = CertificateSpec {
        issuer: common_name(issuer_name),
        subject: common_name(issuer_name),
        key: issuer_key.to_vec(),
        ..CertificateSpec::ca()
    };
    let leaf = CertificateSpec {
        issuer: ca.subject.clone(),
        serial: serial.to_vec(),
        ..CertificateSpec::leaf()
    };
    Identity::new(&leaf.read(), &ca.read()).expect("its issuer")
}

#[test]
fn a_cert_id_made_elsewhere_matches() {
    let (ca, leaf) = (CertificateSpec::ca(), CertificateSpec::leaf());
    let expected = cert_id(&ca, &leaf.serial);
    assert_eq!(leaf_identity().cert_id(HashAlgorithm::Sha1), expected);
    assert_eq!(difference(&leaf_identity(), expected), None);
    assert_eq!(leaf_identity().serial(), leaf.serial);
}

#[test]
fn every_part_of_a_cert_id_counts() {
    let (ca, leaf) = (CertificateSpec::ca(), CertificateSpec::leaf());
    let renamed = CertificateSpec {
        subject: common_name("Other CA"),
        ..ca.clone()
    };
    let rekeyed = CertificateSpec {
        key: b"its next key".to_vec(),
        ..ca.clone()
    };
    let identity = leaf_identity();
    let with =
        |issuer: &CertificateSpec, serial: &[u8]| difference(&identity, cert_id(issuer, serial));
    assert_eq!(with(&ca, &[1]), Some(Difference::Serial));
    assert_eq!(with(&renamed, &leaf.serial), Some(Difference::Issuer));
    assert_eq!(with(&rekeyed, &leaf.serial), Some(Difference::Issuer));
    assert_eq!(with(&rekeyed, &[1]), Some(Difference::Both));
    // 9a bc as a positive number is 00 9a bc; without the zero it is negative.
    assert_eq!(with(&ca, &[0x9a, 0xbc]), Some(Difference::Serial));
}

#[test]
fn hash_parameters_are_null_or_absent_and_nothing_else() {
    let (ca, leaf) = (CertificateSpec::ca(), CertificateSpec::leaf());
    let with = |algorithm: Vec<u8>| {
        let (name, key) = (Sha1::digest(&ca.subject), Sha1::digest(&ca.key));
        let id = raw_cert_id(&algorithm, &name, &key, &leaf.serial);
        difference(&leaf_identity(), id)
    };
    let unknown = Some(Difference::HashAlgorithm);
    assert_eq!(with(der(0x30, &[&oid(SHA1)])), None);
    assert_eq!(with(der(0x30, &[&oid(SHA1), &[5, 0]])), None);
    assert_eq!(with(der(0x30, &[&oid(SHA1), &[2, 1, 0]])), unknown);
    assert_eq!(with(der(0x30, &[&oid(SHA1), &[5, 0, 5, 0]])), unknown);
    assert_eq!(with(der(0x30, &[&oid(&[0x2a, 3]), &[5, 0]])), unknown);
}

#[test]
fn a_hash_cut_short_does_not_match() {
    let (ca, leaf) = (CertificateSpec::ca(), CertificateSpec::leaf());
    let algorithm = der(0x30, &[&oid(SHA1)]);
    let (name, key) = (Sha1::digest(&ca.subject), Sha1::digest(&ca.key));
    for (name, key) in [(&name[..19], &key[..]), (&name[..], &[][..])] {
        let id = raw_cert_id(&algorithm, name, key, &leaf.serial);
        assert_eq!(difference(&leaf_identity(), id), Some(Difference::Issuer));
    }
}

#[test]
fn another_name_is_no_issuer() {
    let other = CertificateSpec {
        subject: common_name("Other CA"),
        ..CertificateSpec::ca()
    };
    let leaf = CertificateSpec::leaf().read();
    assert_eq!(Identity::new(&leaf, &other.read()), None);
}

#[test]
fn names_are_the_same_whatever_string_type_case_and_spacing() {
    let named = |subject: Vec<u8>| {
        let ca = CertificateSpec {
            subject,
            ..CertificateSpec::ca()
        };
        Identity::new(&CertificateSpec::leaf().read(), &ca.read())
    };
    let same = named(name(&[(3, 0x13, b" mint   ca")])).expect("the same name");
    // The leaf's spelling is hashed (RFC 6960, 4.1.1).
    assert_eq!(same, leaf_identity());
    assert!(named(name(&[(3, 0x0c, b"MintCA")])).is_none());
    assert!(named(name(&[(10, 0x0c, b"Mint CA")])).is_none());
    assert!(named(name(&[(3, 0x0c, b"Mint CA"), (10, 0x0c, b"x")])).is_none());
    assert!(named(name(&[(3, 0x1e, b"\0M\0i")])).is_none());
    assert!(named(name(&[])).is_none());
}

#[test]
fn names_that_only_look_alike_are_different() {
    let same = |left: Vec<u8>, right: Vec<u8>| {
        let named = |issuer: Vec<u8>, subject: Vec<u8>| CertificateSpec {
            issuer,
            subject,
            ..CertificateSpec::ca()
        };
        named(left, right).read().is_self_issued()
    };
    // One RDN of two attributes is not two RDNs of one.
    let (cn, o) = (
        der(0x30, &[&oid(&[0x55, 4, 3]), &der(0x13, &[b"a"])]),
        der(0x30, &[&oid(&[0x55, 4, 10]), &der(0x13, &[b"b"])]),
    );
    let one_rdn = der(0x30, &[&der(0x31, &[&cn, &o])]);
    let two_rdns = der(0x30, &[&der(0x31, &[&cn]), &der(0x31, &[&o])]);
    assert!(same(one_rdn.clone(), one_rdn.clone()));
    assert!(!same(one_rdn, two_rdns));
    // Beyond ASCII the same octets mean other letters in another string type.
    let word = b"\xc3\xa9";
    assert!(!same(name(&[(3, 0x0c, word)]), name(&[(3, 0x14, word)])));
}

proptest! {
    #[test]
    fn an_identity_matches_its_own_cert_id_under_every_hash(
        issuer in "[ -~]{1,40}", key in prop::collection::vec(any::<u8>(), 0..80), serial in 1..0x7fu8,
    ) {
        let identity = identity_of(&issuer, &key, &[serial]);
        for hash in HASHES {
            prop_assert_eq!(difference(&identity, identity.cert_id(hash)), None);
        }
    }

    #[test]
    fn different_identities_never_match_under_any_hash(
        a in ("[a-c]{1,2}", "[a-c]{1,2}", 1..4u8), b in ("[a-c]{1,2}", "[a-c]{1,2}", 1..4u8),
    ) {
        let left = identity_of(&a.0, a.1.as_bytes(), &[a.2]);
        let right = identity_of(&b.0, b.1.as_bytes(), &[b.2]);
        for hash in HASHES {
            let found = difference(&left, right.cert_id(hash));
            let expected = match ((&a.0, &a.1) == (&b.0, &b.1), a.2 == b.2) {
                (true, true) => None,
                (true, false) => Some(Difference::Serial),
                (false, true) => Some(Difference::Issuer),
                (false, false) => Some(Difference::Both),
            };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn any_changed_octet_of_a_cert_id_is_noticed(
        position in 0..200usize, change in 1..=255u8, hash in prop::sample::select(&HASHES[..]),
    ) {
        let identity = leaf_identity();
        let mut id = identity.cert_id(hash);
        let position = position % id.len();
        id[position] ^= change;
        let single = SingleSpec { cert_id: id, ..SingleSpec::good() };
        let bytes = ResponseSpec::of(&[single]).der();
        if let Ok(response) = Response::parse(&bytes) {
            prop_assert!(!response.cert_ids().any(|id| identity.matches(&id)));
        }
    }
}

#[test]
fn siblings_are_what_they_would_be_by_themselves() {
    let ca = CertificateSpec::ca();
    let other = CertificateSpec {
        serial: vec![9],
        ..CertificateSpec::leaf()
    };
    let whole = Identity::new(&other.read(), &ca.read()).expect("its issuer");
    assert_eq!(leaf_identity().sibling(&other.read()), Some(whole));
    // The same name to RFC 5280, and other octets to a responder.
    let shouted = CertificateSpec {
        issuer: common_name("MINT CA"),
        ..other
    };
    assert_eq!(leaf_identity().sibling(&shouted.read()), None);
}
