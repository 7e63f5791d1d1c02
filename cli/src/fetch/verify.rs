//! What the machine's own libcrypto decides: who issued a certificate, and whether a
//! response is signed by somebody who may.

use std::fmt;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspFlag, OcspResponse};
use openssl::pkey::{Id, PKey, PKeyRef, Public};
use openssl::sign::Verifier;
use openssl::stack::Stack;
use openssl::x509::X509;
use staplegun_ocsp::certificate::Signed;
use staplegun_ocsp::{Certificate, Response, Signatures, Signer};

use super::issuer::Issuer;

/// Why a response's signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The signature does not match what it signs.
    BadSignature,
    /// The signer's certificate lacks the extended key usage OCSPSigning.
    NotAuthorised,
    /// The signer's certificate does not come from the issuer.
    SignerUntrusted(String),
    /// libcrypto could not read it, or failed.
    Libcrypto(String),
}

impl Unverified {
    /// A stable word in snake_case.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::BadSignature => "bad_signature",
            Self::NotAuthorised => "signer_not_authorised",
            Self::SignerUntrusted(_) => "signer_untrusted",
            Self::Libcrypto(_) => "libcrypto",
        }
    }

    /// Reads libcrypto's errors. The reason codes are those of ossl's ocsperr.h
    /// and have never changed.
    fn from_errors(errors: &ErrorStack) -> Self {
        const LIBRARY_OCSP: i32 = 39;
        const CERTIFICATE_VERIFY_ERROR: i32 = 101;
        const MISSING_OCSPSIGNING_USAGE: i32 = 103;
        const ROOT_CA_NOT_TRUSTED: i32 = 112;
        const SIGNATURE_FAILURE: i32 = 117;
        let reasons: Vec<_> = errors
            .errors()
            .iter()
            .filter(|error| error.library_code() == LIBRARY_OCSP)
            .collect();
        let has = |code| reasons.iter().any(|error| error.reason_code() == code);
        let why = || {
            let data = reasons.iter().find_map(|error| error.data());
            let text = data.and_then(|data| data.strip_prefix("Verify error:"));
            text.map_or("its chain does not lead to the issuer", str::trim)
                .to_owned()
        };
        if has(MISSING_OCSPSIGNING_USAGE) {
            Self::NotAuthorised
        } else if has(SIGNATURE_FAILURE) {
            Self::BadSignature
        } else if has(CERTIFICATE_VERIFY_ERROR) || has(ROOT_CA_NOT_TRUSTED) {
            Self::SignerUntrusted(why())
        } else {
            Self::Libcrypto(errors.to_string())
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => write!(
                f,
                "the response's signature is wrong: it was damaged, or forged"
            ),
            Self::NotAuthorised => write!(
                f,
                "the response's signer was not certified for it: its certificate lacks the \
                 extended key usage OCSPSigning"
            ),
            Self::SignerUntrusted(why) => write!(
                f,
                "the response's signer is not the issuer's delegate: {why}"
            ),
            Self::Libcrypto(why) => write!(f, "libcrypto cannot verify the response: {why}"),
        }
    }
}

/// Whether `issuer` signed `leaf` (DER).
pub fn issued(leaf: &[u8], issuer: &Issuer) -> bool {
    let simply = |leaf| signed_simply(&Signed::from_der(leaf).ok()?, &issuer.key);
    // An error means that the key cannot verify: the same as "no".
    simply(leaf)
        .unwrap_or_else(|| X509::from_der(leaf)?.verify(&issuer.key))
        .unwrap_or(false)
}

/// Whether the signature is that key's. What was signed is not decoded by libcrypto, on
/// which OpenSSL 3.0 spends as long as on the signature, and with the key in a leaf twice
/// as long. None for an algorithm that has parameters: OpenSSL knows what they mean.
fn signed_simply(it: &Signed<'_>, key: &PKeyRef<Public>) -> Option<Result<bool, ErrorStack>> {
    // ecdsa-with-SHA2 (RFC 5758, 3.2) and sha2WithRSAEncryption (RFC 4055, 5).
    let (kind, digest) = match it.algorithm {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, digest @ 2..=4] => (Id::EC, digest - 2),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, digest @ 11..=13] => (Id::RSA, digest - 11),
        _ => return None,
    };
    if key.id() != kind {
        return None;
    }
    let digest = match digest {
        0 => MessageDigest::sha256(),
        1 => MessageDigest::sha384(),
        _ => MessageDigest::sha512(),
    };
    let verified = || -> Result<bool, ErrorStack> {
        Verifier::new(digest, key)?.verify_oneshot(it.signature, it.signed)
    };
    Some(verified())
}

impl Signatures for Issuer {
    type Error = Unverified;

    fn issuer(&self) -> &Certificate {
        &self.facts
    }

    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Unverified> {
        let signer_der = match signer {
            Signer::Issuer => &self.der,
            Signer::Delegate { der, .. } => *der,
        };
        // Of one that speaks of several certificates libcrypto compares their issuers, too.
        let is_simple = response.cert_ids().nth(1).is_none();
        if is_simple
            && let Some(key) = self.accepted.key_of(signer_der)
            && let Some(signed) = response.signed()
            && matches!(signed_simply(&signed, &key), Some(Ok(true)))
        {
            return Ok(());
        }
        let verified = || -> Result<PKey<Public>, ErrorStack> {
            let basic = OcspResponse::from_der(response.der())?.basic()?;
            // Nobody else's, whatever came along with the response.
            let verify = |signers| basic.verify(signers, &self.anchors, OcspFlag::NO_INTERN);
            match signer {
                Signer::Issuer => {
                    verify(&self.signers)?;
                    Ok(self.key.clone())
                }
                Signer::Delegate { der, .. } => {
                    let signer = X509::from_der(der)?;
                    let mut signers = Stack::new()?;
                    signers.push(signer.clone())?;
                    verify(&signers)?;
                    signer.public_key()
                }
            }
        };
        let key = verified().map_err(|errors| Unverified::from_errors(&errors))?;
        if is_simple {
            self.accepted.add(signer_der, key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::x509::{X509Builder, X509NameBuilder};
    use staplegun_ocsp::Policy;
    use staplegun_testkit::response::signer_faults;
    use staplegun_testkit::{Identity, Response as Minted, Spec};

    fn certificate(key: &PKeyRef<Private>, by: &PKeyRef<Private>, digest: MessageDigest) -> X509 {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "CA").unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(key).unwrap();
        let days = |days| Asn1Time::days_from_now(days).unwrap();
        builder.set_not_before(&days(0)).unwrap();
        builder.set_not_after(&days(9)).unwrap();
        builder.sign(by, digest).unwrap();
        builder.build()
    }

    fn elliptic(curve: Nid) -> PKey<Private> {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    #[test]
    fn a_leaf_is_its_issuers_whatever_the_algorithm_and_nobody_elses() {
        let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let (p256, p384) = (elliptic(Nid::X9_62_PRIME256V1), elliptic(Nid::SECP384R1));
        let edwards = PKey::generate_ed25519().unwrap();
        let leaf_key = elliptic(Nid::X9_62_PRIME256V1);
        let (sha256, sha384, sha512) = (
            MessageDigest::sha256(),
            MessageDigest::sha384(),
            MessageDigest::sha512(),
        );
        for (key, digest, is_simple) in [
            (&rsa, sha256, true),
            (&rsa, sha384, true),
            (&rsa, sha512, true),
            (&p256, sha256, true),
            (&p384, sha384, true),
            (&p384, sha512, true),
            // Left to OpenSSL: an old hash, and an algorithm without one.
            (&rsa, MessageDigest::sha224(), false),
            (&edwards, MessageDigest::null(), false),
        ] {
            let issuer = certificate(key, key, digest).to_der().unwrap();
            let issuer = Issuer::read(&issuer).unwrap();
            let leaf = certificate(&leaf_key, key, digest).to_der().unwrap();
            let signed = Signed::from_der(&leaf).unwrap();
            assert_eq!(signed_simply(&signed, &issuer.key).is_some(), is_simple);
            assert!(issued(&leaf, &issuer));
            for other in [&rsa, &p256, &p384, &edwards] {
                if !other.public_eq(key) {
                    let digest = match other.id() {
                        Id::ED25519 => MessageDigest::null(),
                        _ => sha256,
                    };
                    let other = certificate(other, other, digest).to_der().unwrap();
                    assert!(!issued(&leaf, &Issuer::read(&other).unwrap()));
                }
            }
            // A bit of what is signed, and a bit of the signature.
            for at in [60, leaf.len() - 5] {
                let mut damaged = leaf.clone();
                damaged[at] ^= 1;
                assert!(!issued(&damaged, &issuer), "byte {at}");
            }
        }
    }

    #[test]
    fn that_a_signer_was_accepted_opens_the_door_to_no_signature_but_its_own() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let leaf = ca.issue(&Spec::server());
        let delegate = ca.issue(&Spec::responder());
        let fresh = || Issuer::read(&ca.der()).unwrap();
        let facts = Certificate::from_der(&leaf.der()).unwrap();
        let now = crate::agent::now();
        let judged = |der: &[u8], by: &Issuer| {
            let identity = by.identity_of(&facts).unwrap();
            staplegun_ocsp::judge(der, &identity, now, &Policy::STAPLING, by)
        };
        let known = fresh();
        let good = |serial: &[u8]| Minted::good(&leaf, &ca).serial(serial);
        for der in [
            good(leaf.serial()).der(),
            good(leaf.serial()).delegate(&delegate).der(),
        ] {
            // By libcrypto's whole verification, then by the signature alone.
            for _ in 0..2 {
                assert_eq!(judged(&der, &known), judged(&der, &fresh()));
                assert!(judged(&der, &known).is_ok());
            }
        }
        assert_eq!(known.accepted.len(), 2);
        for fault in signer_faults(&leaf, &ca) {
            let refused = judged(&fault.bytes, &known);
            assert!(refused.is_err(), "{}", fault.name);
            assert_eq!(refused, judged(&fault.bytes, &fresh()), "{}", fault.name);
        }
        for damaged in [
            good(leaf.serial()).corrupt_signature().der(),
            good(leaf.serial())
                .delegate(&delegate)
                .corrupt_signature()
                .der(),
            good(leaf.serial()).signed_by(&delegate).der(),
        ] {
            assert!(judged(&damaged, &known).is_err());
        }
    }
}
