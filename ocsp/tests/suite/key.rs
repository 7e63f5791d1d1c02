//! Which public keys take but a moment to use, to the octet: a stranger chooses them.

use crate::mint::{CertificateSpec, der, oid};
use staplegun_ocsp::key::is_quick;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 10];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const NAMED_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

fn quick(kind: &[&[u8]], key: Vec<u8>) -> bool {
    let certificate = CertificateSpec {
        key,
        key_kind: kind.concat(),
        ..CertificateSpec::leaf()
    };
    is_quick(&certificate.der())
}

/// A positive number of so many octets.
fn number(octets: usize) -> Vec<u8> {
    der(0x02, &[&vec![0x7f; octets]])
}

#[test]
fn an_rsa_key_has_at_most_8192_bits_and_a_usual_exponent() {
    for (modulus, exponent, is) in [
        (257, 3, true),
        // With the zero before it that a positive number may have.
        (1025, 9, true),
        (1026, 9, false),
        (1026, 3, false),
        (1025, 10, false),
        (257, 257, false),
        (2048, 2048, false),
    ] {
        for kind in [RSA, RSA_PSS] {
            let key = der(0x30, &[&number(modulus), &number(exponent)]);
            assert_eq!(quick(&[&oid(kind)], key), is, "{modulus}, {exponent}");
        }
    }
    assert!(!quick(&[&oid(RSA)], b"no numbers".to_vec()));
}

#[test]
fn a_curve_is_named_and_no_other_algorithm_has_parameters_of_the_signers_choice() {
    let named = oid(NAMED_CURVE);
    let written_out = der(0x30, &[&number(32)]);
    for (key, is) in [(65, true), (4096, true), (4097, false)] {
        assert_eq!(quick(&[&oid(ELLIPTIC), &named], vec![4; key]), is, "{key}");
        assert_eq!(quick(&[&oid(ED25519)], vec![4; key]), is, "{key}");
        assert!(!quick(&[&oid(ELLIPTIC), &written_out], vec![4; key]));
        // DSA, Diffie-Hellman as X9.42 and PKCS #3 have it.
        for finite in [
            &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1][..],
            &[0x2a, 0x86, 0x48, 0xce, 0x3e, 2, 1],
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 3, 1],
        ] {
            assert!(!quick(&[&oid(finite), &written_out], vec![4; key]));
        }
    }
    assert!(!is_quick(b"no certificate"));
}
