//! How much of what users other than root leave is verified: who offers certificates
//! chooses how many they are, and how long their keys.

use staplegun_ocsp::{Certificate, key};

use crate::fetch::Subject;

/// The most certificates that come along with a leaf.
const OTHERS: usize = 15;
/// How many of them may have its issuer's name: it may have been certified several
/// times.
const CANDIDATES: usize = 4;

/// The certificates of `subject` that may be verified, the leaf first: all of them, but
/// of those that have its issuer's name only the first few. None if they are too many, or
/// if a key takes long to use.
pub fn part(subject: &Subject) -> Option<Vec<Vec<u8>>> {
    let ders = subject.ders();
    if ders.len() > 1 + OTHERS || !ders.iter().all(|der| key::is_quick(der)) {
        return None;
    }
    let mut candidates = 0;
    let mut others = ders.into_iter();
    let leaf = others.next()?;
    let mut kept = vec![leaf.to_vec()];
    for der in others {
        let Ok(other) = Certificate::from_der(der) else {
            continue;
        };
        if subject.leaf.names_as_issuer(&other) {
            candidates += 1;
            if candidates > CANDIDATES {
                continue;
            }
        }
        kept.push(der.to_vec());
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::bn::{BigNum, MsbOption};
    use openssl::ec::{Asn1Flag, EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{HasPublic, PKey, PKeyRef, Public};
    use openssl::rsa::Rsa;
    use openssl::x509::X509Builder;
    use staplegun_testkit::key::KeyKind;
    use staplegun_testkit::{Identity, Spec};

    #[test]
    fn a_usual_chain_is_kept_and_of_many_namesakes_a_few() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let other = Identity::self_signed(&Spec::ca("Other").key(KeyKind::Rsa2048));
        let leaf = ca.issue(&Spec::server());
        let kept = |ders: Vec<Vec<u8>>| {
            let subject = Subject::unexamined(ders).expect("a certificate");
            part(&subject).map(|kept| kept.len())
        };
        assert_eq!(kept(vec![leaf.der()]), Some(1));
        assert_eq!(kept(vec![leaf.der(), ca.der(), other.der()]), Some(3));
        let mut namesakes = vec![leaf.der()];
        namesakes.extend((0..8).map(|_| Identity::self_signed(&Spec::ca("CA")).der()));
        namesakes.push(other.der());
        assert_eq!(kept(namesakes.clone()), Some(1 + 4 + 1));
        namesakes.extend((0..6).map(|_| other.der()));
        assert_eq!(namesakes.len(), 16);
        assert!(kept(namesakes.clone()).is_some());
        namesakes.push(other.der());
        assert_eq!(kept(namesakes), None);
    }
    fn certificate_of(public: &PKeyRef<impl HasPublic>) -> Vec<u8> {
        let signer = PKey::generate_ed25519().unwrap();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        builder.set_pubkey(public).unwrap();
        let now = Asn1Time::days_from_now(0).unwrap();
        builder.set_not_before(&now).unwrap();
        builder.set_not_after(&now).unwrap();
        builder.sign(&signer, MessageDigest::null()).unwrap();
        builder.build().to_der().unwrap()
    }

    #[test]
    fn keys_that_take_long_to_use_are_told_by_their_form() {
        let rsa = |bits, exponent_bits| {
            let number = |bits| {
                let mut number = BigNum::new().unwrap();
                number.rand(bits, MsbOption::ONE, true).unwrap();
                number
            };
            let key = Rsa::from_public_components(number(bits), number(exponent_bits));
            PKey::from_rsa(key.unwrap()).unwrap()
        };
        let elliptic = |form| {
            let mut group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
            group.set_asn1_flag(form);
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let is_quick = |public: PKey<Public>| key::is_quick(&certificate_of(&public));
        for (bits, exponent_bits, quick) in [
            (2048, 17, true),
            (8192, 64, true),
            (8200, 17, false),
            (3072, 72, false),
            (3072, 3070, false),
        ] {
            assert_eq!(
                is_quick(rsa(bits, exponent_bits)),
                quick,
                "{bits} {exponent_bits}"
            );
        }
        let curve = |form| key::is_quick(&certificate_of(&elliptic(form)));
        assert!(curve(Asn1Flag::NAMED_CURVE));
        assert!(!curve(Asn1Flag::EXPLICIT_CURVE));
        assert!(key::is_quick(&certificate_of(
            &PKey::generate_ed448().unwrap()
        )));
        assert!(!key::is_quick(b"garbage"));
    }
}
