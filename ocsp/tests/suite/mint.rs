//! Certificates and responses written by hand, octet by octet where a test wants
//! it, so that any part can be wrong. Nothing here uses the crate's own encoder,
//! and nothing is signed: the crate does not look at signatures.

use sha1::{Digest, Sha1};
use staplegun_ocsp::{
    Certificate, Fault, Identity, Judged, Policy, Refusal, Response, Signatures, Signer, UnixTime,
    judge,
};
use std::convert::Infallible;

/// 2026-01-02T00:00:00Z, a day after thisUpdate of [`good`].
pub const NOW: UnixTime = 1_767_312_000;
pub const DAY: i64 = 86_400;

pub const THIS_UPDATE: &str = "20260101000000Z";
pub const NEXT_UPDATE: &str = "20260108000000Z";

pub const OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
pub const NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 2];
pub const SHA1: &[u8] = &[0x2b, 14, 3, 2, 26];

/// One DER element.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match content.len() {
        n @ 0..=0x7f => element.push(n as u8),
        n @ 0x80..=0xff => element.extend([0x81, n as u8]),
        n @ 0x100..=0xffff => element.extend([0x82, (n >> 8) as u8, n as u8]),
        n => element.extend([0x83, (n >> 16) as u8, (n >> 8) as u8, n as u8]),
    }
    element.extend(content);
    element
}

pub fn oid(content: &[u8]) -> Vec<u8> {
    der(0x06, &[content])
}

pub fn generalized_time(text: &str) -> Vec<u8> {
    der(0x18, &[text.as_bytes()])
}

pub fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der(0x30, &[&oid(id), critical, &der(0x04, &[value])])
}

/// A Name with one attribute per (last octet of an id-at, string tag, value).
pub fn name(attributes: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let sets: Vec<u8> = attributes
        .iter()
        .flat_map(|(kind, tag, value)| {
            let pair = [oid(&[0x55, 4, *kind]), der(*tag, &[value])].concat();
            der(0x31, &[&der(0x30, &[&pair])])
        })
        .collect();
    der(0x30, &[&sets])
}

/// CN as UTF8String.
pub fn common_name(text: &str) -> Vec<u8> {
    name(&[(3, 0x0c, text.as_bytes())])
}

#[derive(Clone)]
pub struct CertificateSpec {
    pub serial: Vec<u8>,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub key: Vec<u8>,
    /// The content of the AlgorithmIdentifier of the key.
    pub key_kind: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
}

impl CertificateSpec {
    pub fn ca() -> Self {
        CertificateSpec {
            serial: vec![1],
            issuer: common_name("Mint CA"),
            subject: common_name("Mint CA"),
            key: b"the CA's key".to_vec(),
            key_kind: oid(&[0x2a, 3]),
            not_before: der(0x17, &[b"250101000000Z"]),
            not_after: der(0x18, &[b"20510101000000Z"]),
            extensions: Vec::new(),
        }
    }

    pub fn leaf() -> Self {
        CertificateSpec {
            serial: vec![0x00, 0x9a, 0xbc],
            subject: common_name("leaf.example"),
            key: b"the leaf's key".to_vec(),
            ..Self::ca()
        }
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub fn der(&self) -> Vec<u8> {
        let algorithm = der(0x30, &[&oid(&[0x2a, 3])]);
        let key = der(0x03, &[&[0], &self.key]);
        let extensions = match self.extensions.concat() {
            none if none.is_empty() => Vec::new(),
            list => der(0xa3, &[&der(0x30, &[&list])]),
        };
        let tbs = der(
            0x30,
            &[
                &der(0xa0, &[&der(0x02, &[&[2]])]),
                &der(0x02, &[&self.serial]),
                &algorithm,
                &self.issuer,
                &der(0x30, &[&self.not_before, &self.not_after]),
                &self.subject,
                &der(0x30, &[&der(0x30, &[&self.key_kind]), &key]),
                &extensions,
            ],
        );
        der(0x30, &[&tbs, &algorithm, &der(0x03, &[&[0], b"signature"])])
    }

    pub fn read(&self) -> Certificate {
        Certificate::from_der(&self.der()).expect("a certificate")
    }
}

/// The identity of [`CertificateSpec::leaf`].
pub fn leaf_identity() -> Identity {
    let (leaf, ca) = (CertificateSpec::leaf(), CertificateSpec::ca());
    Identity::new(&leaf.read(), &ca.read()).expect("its issuer")
}

/// Signatures that all count, since nothing here is signed.
pub struct AllCount(pub Certificate);

impl Signatures for AllCount {
    type Error = Infallible;

    fn issuer(&self) -> &Certificate {
        &self.0
    }

    fn verify(&self, _: &Response<'_>, _: &Signer<'_>) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The judgement of whoever trusts every signature in the name of `issuer`.
pub fn judged_under(
    issuer: &Certificate,
    der: &[u8],
    identity: &Identity,
    now: UnixTime,
    policy: &Policy,
) -> Result<Judged, Fault> {
    let signatures = AllCount(issuer.clone());
    judge(der, identity, now, policy, &signatures).map_err(|refusal| match refusal {
        Refusal::Response(fault) | Refusal::Early { fault, .. } => fault,
        Refusal::Signature(never) => match never {},
    })
}

/// The judgement of a response for [`CertificateSpec::leaf`], to staple it.
pub fn judged(der: &[u8], now: UnixTime) -> Result<Judged, Fault> {
    let ca = CertificateSpec::ca().read();
    judged_under(&ca, der, &leaf_identity(), now, &Policy::STAPLING)
}

/// A certID by SHA-1.
pub fn cert_id(issuer: &CertificateSpec, serial: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &[&oid(SHA1), &[5, 0]]);
    let name_hash = Sha1::digest(&issuer.subject);
    let key_hash = Sha1::digest(&issuer.key);
    raw_cert_id(&algorithm, &name_hash, &key_hash, serial)
}

pub fn raw_cert_id(algorithm: &[u8], name_hash: &[u8], key_hash: &[u8], serial: &[u8]) -> Vec<u8> {
    der(
        0x30,
        &[
            algorithm,
            &der(0x04, &[name_hash]),
            &der(0x04, &[key_hash]),
            &der(0x02, &[serial]),
        ],
    )
}

pub fn status_good() -> Vec<u8> {
    der(0x80, &[])
}

pub fn status_unknown() -> Vec<u8> {
    der(0x82, &[])
}

/// Revoked on 2025-12-01 at midnight, with a CRLReason if there is one.
pub fn status_revoked(reason: Option<u8>) -> Vec<u8> {
    let reason = reason.map_or_else(Vec::new, |number| der(0xa0, &[&[0x0a, 1, number]]));
    der(0xa1, &[&generalized_time("20251201000000Z"), &reason])
}

#[derive(Clone)]
pub struct SingleSpec {
    pub cert_id: Vec<u8>,
    pub status: Vec<u8>,
    pub this_update: Vec<u8>,
    pub next_update: Option<Vec<u8>>,
    pub extensions: Vec<Vec<u8>>,
}

impl SingleSpec {
    /// Good for [`CertificateSpec::leaf`], for a week.
    pub fn good() -> Self {
        SingleSpec {
            cert_id: cert_id(&CertificateSpec::ca(), &CertificateSpec::leaf().serial),
            status: status_good(),
            this_update: generalized_time(THIS_UPDATE),
            next_update: Some(generalized_time(NEXT_UPDATE)),
            extensions: Vec::new(),
        }
    }

    pub fn with_status(status: Vec<u8>) -> Self {
        SingleSpec {
            status,
            ..Self::good()
        }
    }

    pub fn until(next_update: &str) -> Self {
        SingleSpec {
            next_update: Some(generalized_time(next_update)),
            ..Self::good()
        }
    }

    fn der(&self) -> Vec<u8> {
        let next_update = self
            .next_update
            .as_ref()
            .map_or_else(Vec::new, |time| der(0xa0, &[time]));
        let extensions = explicit_extensions(0xa1, &self.extensions);
        let parts = [
            self.cert_id.as_slice(),
            &self.status,
            &self.this_update,
            &next_update,
            &extensions,
        ];
        der(0x30, &parts)
    }
}

#[derive(Clone)]
pub struct ResponseSpec {
    pub kind: Vec<u8>,
    pub version: Vec<u8>,
    pub responder_id: Vec<u8>,
    pub produced_at: Vec<u8>,
    pub singles: Vec<SingleSpec>,
    pub extensions: Vec<Vec<u8>>,
    pub certificates: Vec<Vec<u8>>,
}

impl ResponseSpec {
    pub fn of(singles: &[SingleSpec]) -> Self {
        ResponseSpec {
            kind: OCSP_BASIC.to_vec(),
            version: Vec::new(),
            responder_id: der(0xa1, &[&common_name("Mint CA")]),
            produced_at: generalized_time("20260101000001Z"),
            singles: singles.to_vec(),
            extensions: Vec::new(),
            certificates: Vec::new(),
        }
    }

    pub fn der(&self) -> Vec<u8> {
        let singles: Vec<u8> = self.singles.iter().flat_map(SingleSpec::der).collect();
        let data = der(
            0x30,
            &[
                &self.version,
                &self.responder_id,
                &self.produced_at,
                &der(0x30, &[&singles]),
                &explicit_extensions(0xa1, &self.extensions),
            ],
        );
        let certificates = match self.certificates.concat() {
            none if none.is_empty() => Vec::new(),
            list => der(0xa0, &[&der(0x30, &[&list])]),
        };
        let algorithm = der(0x30, &[&oid(&[0x2a, 3])]);
        let signature = der(0x03, &[&[0], b"signature"]);
        let basic = der(0x30, &[&data, &algorithm, &signature, &certificates]);
        successful(&self.kind, &basic)
    }
}

/// An OCSPResponse with status successful around these response bytes.
pub fn successful(kind: &[u8], response: &[u8]) -> Vec<u8> {
    let response_bytes = der(0x30, &[&oid(kind), &der(0x04, &[response])]);
    der(0x30, &[&[0x0a, 1, 0], &der(0xa0, &[&response_bytes])])
}

pub fn good() -> Vec<u8> {
    ResponseSpec::of(&[SingleSpec::good()]).der()
}

fn explicit_extensions(tag: u8, extensions: &[Vec<u8>]) -> Vec<u8> {
    match extensions.concat() {
        none if none.is_empty() => Vec::new(),
        list => der(tag, &[&der(0x30, &[&list])]),
    }
}

/// Adds a NULL at the end of the element that `path` leads to, child by child,
/// and mends all lengths around it. A primitive element's children are what its
/// content holds.
pub fn with_extra(element: &[u8], path: &[usize]) -> Vec<u8> {
    let (tag, content) = (element[0], &element[header_len(element)..]);
    let mut children = elements(content);
    match path {
        [] => children.push(vec![5, 0]),
        [child, rest @ ..] => children[*child] = with_extra(&children[*child], rest),
    }
    der(tag, &[&children.concat()])
}

fn elements(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let header = header_len(bytes);
        let content = bytes[2..header]
            .iter()
            .fold(0, |length, octet| length << 8 | usize::from(*octet));
        let length = if header == 2 {
            bytes[1].into()
        } else {
            content
        };
        let (element, rest) = bytes.split_at(header + length);
        elements.push(element.to_vec());
        bytes = rest;
    }
    elements
}

fn header_len(element: &[u8]) -> usize {
    2 + usize::from(element[1].saturating_sub(0x80))
}
