//! How costly a certificate's public key is to use. Who offers certificates to be
//! verified chooses their keys, and some take thousands of times as long as others.

use crate::asn1::{Cursor, Element, NotDer, Tag, TagNumber, bits, integer};
use crate::certificate::outer;

/// The longest RSA modulus, in octets: 8,192 bits, twice what authorities use.
const MODULUS: usize = 1024;
/// The longest RSA exponent, in octets. Everybody has 65537, of three.
const EXPONENT: usize = 8;
/// The longest key of another kind, in octets: that of ML-DSA-87 has 2,592.
const OTHER: usize = 4096;

/// rsaEncryption and id-RSASSA-PSS (RFC 8017, A).
const RSA: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 10],
];
/// id-ecPublicKey (RFC 5480, 2.1.1).
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// DSA and Diffie-Hellman (RFC 3279, 2.3): with parameters of the signer's choice.
const FINITE: [&[u8]; 3] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1],
    &[0x2a, 0x86, 0x48, 0xce, 0x3e, 2, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 3, 1],
];

/// Whether the public key in a certificate (DER) takes but a moment to decode and to
/// verify a signature with: RSA of up to 8,192 bits with a usual exponent, an elliptic
/// curve that is named and not written out, or a key of an algorithm whose parameters
/// are fixed. False as well if it is no certificate.
pub fn is_quick(certificate: &[u8]) -> bool {
    public_key(certificate).is_ok_and(|(algorithm, key)| fits(algorithm, key).unwrap_or(false))
}

/// The algorithm of the public key, and its bits.
fn public_key(certificate: &[u8]) -> Result<(Element<'_>, &[u8]), NotDer> {
    let wrong = |_| NotDer("Certificate");
    let [tbs, ..] = outer(certificate).map_err(wrong)?;
    let mut tbs = tbs.inside();
    tbs.explicit(TagNumber::N0, Tag::Integer, "version")?;
    tbs.take(Tag::Integer, "serialNumber")?;
    for part in ["signature", "issuer", "validity", "subject"] {
        tbs.take(Tag::Sequence, part)?;
    }
    let mut info = tbs.take(Tag::Sequence, "subjectPublicKeyInfo")?.inside();
    let algorithm = info.take(Tag::Sequence, "algorithm")?;
    let key = info.take(Tag::BitString, "subjectPublicKey")?;
    Ok((algorithm, bits(key, "subjectPublicKey")?))
}

fn fits(algorithm: Element<'_>, key: &[u8]) -> Result<bool, NotDer> {
    let mut algorithm = algorithm.inside();
    let kind = algorithm.take(Tag::ObjectIdentifier, "algorithm")?.content;
    if RSA.contains(&kind) {
        let mut numbers = Cursor::new(key)
            .take(Tag::Sequence, "RSAPublicKey")?
            .inside();
        let modulus = integer(numbers.take(Tag::Integer, "modulus")?, "modulus")?;
        let exponent = integer(
            numbers.take(Tag::Integer, "publicExponent")?,
            "publicExponent",
        )?;
        // A positive number may have a zero before it.
        return Ok(modulus.len() <= MODULUS.saturating_add(1)
            && exponent.len() <= EXPONENT.saturating_add(1));
    }
    if kind == ELLIPTIC {
        let named = algorithm.take(Tag::ObjectIdentifier, "namedCurve").is_ok();
        return Ok(named && key.len() <= OTHER);
    }
    Ok(!FINITE.contains(&kind) && key.len() <= OTHER)
}
