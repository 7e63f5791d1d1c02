//! OCSP responses (RFC 6960) of every kind, right and wrong.

use der::asn1::{Any, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{DateTime, Encode};
use sha2::Digest;
use x509_cert::certificate::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

use crate::pki::{Identity, Spec, corrupt, from_now};

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// id-pkix-ocsp-nonce.
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

const HOUR: i64 = 3_600;

/// The hash in a certID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertIdHash {
    /// SHA-1, what everybody uses (RFC 5019, 2.1.1).
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A response about one certificate, to be changed step by step and then
/// encoded by [`Response::der`].
///
/// As it starts out it is one that every client accepts: status good, produced
/// an hour ago, valid for a day, certID by SHA-1, signed by the issuer.
pub struct Response<'a> {
    serial: Vec<u8>,
    before: Vec<Vec<u8>>,
    cert_id_issuer: &'a Certificate,
    hash: CertIdHash,
    status: CertStatus,
    this_update: i64,
    next_update: Option<i64>,
    signer: &'a Identity,
    certificates: Vec<Certificate>,
    responder_by_key: bool,
    corrupt_signature: bool,
    nonce: Option<Vec<u8>>,
}

impl<'a> Response<'a> {
    /// A good response for `leaf`, signed by `issuer`.
    pub fn good(leaf: &Identity, issuer: &'a Identity) -> Self {
        Self {
            serial: leaf.serial().to_vec(),
            before: Vec::new(),
            cert_id_issuer: &issuer.certificate,
            hash: CertIdHash::Sha1,
            status: CertStatus::good(),
            this_update: -HOUR,
            next_update: Some(24 * HOUR),
            signer: issuer,
            certificates: Vec::new(),
            responder_by_key: false,
            corrupt_signature: false,
            nonce: None,
        }
    }

    /// Makes the status revoked, an hour ago, by key compromise.
    pub fn revoked(mut self) -> Self {
        self.status = CertStatus::revoked(RevokedInfo {
            revocation_time: time(-HOUR),
            revocation_reason: Some(CrlReason::KeyCompromise),
        });
        self
    }

    /// Makes the status unknown.
    pub fn unknown(mut self) -> Self {
        self.status = CertStatus::Unknown(Null);
        self
    }

    /// Sets thisUpdate and producedAt, in seconds from now (negative: the past).
    pub fn this_update(mut self, seconds: i64) -> Self {
        self.this_update = seconds;
        self
    }

    /// Sets nextUpdate, in seconds from now; `None` leaves it out.
    pub fn next_update(mut self, seconds: impl Into<Option<i64>>) -> Self {
        self.next_update = seconds.into();
        self
    }

    /// Valid from two days ago until one day ago.
    pub fn expired(self) -> Self {
        self.this_update(-48 * HOUR).next_update(-24 * HOUR)
    }

    /// Valid from tomorrow on.
    pub fn not_yet_valid(self) -> Self {
        self.this_update(24 * HOUR).next_update(48 * HOUR)
    }

    /// Puts another serial number into the certID.
    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    /// Lets it say the same of another serial number first.
    pub fn after(mut self, serial: &[u8]) -> Self {
        self.before.push(serial.to_vec());
        self
    }

    /// Puts another issuer into the certID.
    pub fn cert_id_issuer(mut self, issuer: &'a Identity) -> Self {
        self.cert_id_issuer = &issuer.certificate;
        self
    }

    /// Sets the hash of the certID; SHA-1 by default.
    pub fn hash(mut self, hash: CertIdHash) -> Self {
        self.hash = hash;
        self
    }

    /// Lets another identity sign, whose certificate goes along: a delegated
    /// responder, or one who only claims to be.
    pub fn delegate(mut self, signer: &'a Identity) -> Self {
        self.signer = signer;
        self.certificates = vec![signer.certificate.clone()];
        self
    }

    /// Lets another identity sign, whose certificate does not go along.
    pub fn signed_by(mut self, signer: &'a Identity) -> Self {
        self.signer = signer;
        self.certificates = Vec::new();
        self
    }

    /// Sends another certificate along, before those that do already.
    pub fn along(mut self, other: &Identity) -> Self {
        self.certificates.insert(0, other.certificate.clone());
        self
    }

    /// Names the responder by the hash of its key instead of its name.
    pub fn responder_by_key(mut self) -> Self {
        self.responder_by_key = true;
        self
    }

    /// Repeats that nonce (RFC 9654).
    pub fn nonce(mut self, nonce: &[u8]) -> Self {
        self.nonce = Some(nonce.to_vec());
        self
    }

    /// Changes one bit of the signature.
    pub fn corrupt_signature(mut self) -> Self {
        self.corrupt_signature = true;
        self
    }

    /// The OCSPResponse in DER.
    pub fn der(&self) -> Vec<u8> {
        let tbs_response_data = ResponseData {
            version: Version::V1,
            responder_id: self.responder_id(),
            produced_at: time(self.this_update),
            responses: (self.before.iter().chain([&self.serial]))
                .map(|serial| SingleResponse {
                    cert_id: self.cert_id(serial),
                    cert_status: self.status,
                    this_update: time(self.this_update),
                    next_update: self.next_update.map(time),
                    single_extensions: None,
                })
                .collect(),
            response_extensions: self
                .nonce
                .as_deref()
                .map(|nonce| vec![nonce_extension(nonce)]),
        };
        let mut signature = self.signer.key.sign(&tbs_response_data);
        if self.corrupt_signature {
            signature = corrupt(&signature);
        }
        let basic = BasicOcspResponse {
            tbs_response_data,
            signature_algorithm: self.signer.key.signature_algorithm(),
            signature,
            certs: Some(self.certificates.clone()).filter(|list| !list.is_empty()),
        };
        OcspResponse::successful(basic)
            .and_then(|response| response.to_der())
            .expect("encodes")
    }

    fn responder_id(&self) -> ResponderId {
        if self.responder_by_key {
            let hash = OctetString::new(self.signer.key.identifier()).expect("fits");
            ResponderId::ByKey(hash)
        } else {
            ResponderId::ByName(self.signer.certificate.tbs_certificate.subject.clone())
        }
    }

    fn cert_id(&self, serial: &[u8]) -> CertId {
        let issuer = &self.cert_id_issuer.tbs_certificate;
        let oid = match self.hash {
            CertIdHash::Sha1 => SHA1,
            CertIdHash::Sha256 => SHA256,
        };
        let hash = |bytes: &[u8]| {
            let hash = match self.hash {
                CertIdHash::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
                CertIdHash::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            };
            OctetString::new(hash).expect("fits")
        };
        let key = &issuer.subject_public_key_info.subject_public_key;
        CertId {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid,
                parameters: Some(Any::null()),
            },
            issuer_name_hash: hash(&issuer.subject.to_der().expect("encodes")),
            issuer_key_hash: hash(key.raw_bytes()),
            serial_number: SerialNumber::new(serial).expect("at most 20 bytes"),
        }
    }
}

fn nonce_extension(nonce: &[u8]) -> Extension {
    let inner = OctetString::new(nonce).and_then(|nonce| nonce.to_der());
    Extension {
        extn_id: NONCE,
        critical: false,
        extn_value: OctetString::new(inner.expect("encodes")).expect("fits"),
    }
}

fn time(seconds: i64) -> OcspGeneralizedTime {
    let time = DateTime::from_system_time(from_now(seconds)).expect("after 1970");
    OcspGeneralizedTime(GeneralizedTime::from_date_time(time))
}

/// A response that is only an error status.
pub fn error_status(status: OcspResponseStatus) -> Vec<u8> {
    OcspResponse {
        response_status: status,
        response_bytes: None,
    }
    .to_der()
    .expect("encodes")
}

/// `der` in PEM's clothes: a frequent mistake of operators.
pub fn pem(der: &[u8]) -> Vec<u8> {
    der::pem::encode_string("OCSP RESPONSE", der::pem::LineEnding::LF, der)
        .expect("encodes")
        .into_bytes()
}

/// A file's contents that must never be stapled.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong with it, in few words; unique within the list.
    pub name: &'static str,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// Everything that must never be stapled for `leaf`, one of each kind.
pub fn faults(leaf: &Identity, issuer: &Identity) -> Vec<Fault> {
    let mut faults = content_faults(leaf, issuer);
    faults.extend(signer_faults(leaf, issuer));
    faults.extend(error_faults());
    faults.extend(garbage(&Response::good(leaf, issuer).der()));
    faults
}

/// Well-formed, rightly signed, and yet of no use to a client.
pub fn content_faults(leaf: &Identity, issuer: &Identity) -> Vec<Fault> {
    let good = || Response::good(leaf, issuer);
    let neighbour = issuer.issue(&Spec::server());
    let other_ca = Identity::self_signed(&Spec::ca("Another CA"));
    vec![
        fault("expired", good().expired().der()),
        fault("not yet valid", good().not_yet_valid().der()),
        fault("revoked", good().revoked().der()),
        fault("unknown", good().unknown().der()),
        fault("another serial", good().serial(neighbour.serial()).der()),
        fault("another issuer", good().cert_id_issuer(&other_ca).der()),
    ]
}

/// About the right certificate, but signed by somebody who may not.
pub fn signer_faults(leaf: &Identity, issuer: &Identity) -> Vec<Fault> {
    let good = || Response::good(leaf, issuer);
    let other_ca = Identity::self_signed(&Spec::ca("Another CA"));
    let foreign = other_ca.issue(&Spec::responder());
    let expired = issuer.issue(&Spec::responder().expired());
    let without_eku = issuer.issue(&Spec::responder().extended_key_usage(&[]));
    let wrong_eku = issuer.issue(&Spec::server());
    vec![
        fault("corrupt signature", good().corrupt_signature().der()),
        fault("signed by another CA", good().delegate(&other_ca).der()),
        fault("unknown signer", good().signed_by(&other_ca).der()),
        fault("delegate of another CA", good().delegate(&foreign).der()),
        fault("expired delegate", good().delegate(&expired).der()),
        fault("delegate without EKU", good().delegate(&without_eku).der()),
        fault("delegate with wrong EKU", good().delegate(&wrong_eku).der()),
        fault("signed by the leaf itself", good().delegate(leaf).der()),
    ]
}

/// The error statuses of RFC 6960, 4.2.1.
pub fn error_faults() -> Vec<Fault> {
    use OcspResponseStatus::{
        InternalError, MalformedRequest, SigRequired, TryLater, Unauthorized,
    };
    vec![
        fault("malformedRequest", error_status(MalformedRequest)),
        fault("internalError", error_status(InternalError)),
        fault("tryLater", error_status(TryLater)),
        fault("sigRequired", error_status(SigRequired)),
        fault("unauthorized", error_status(Unauthorized)),
    ]
}

/// What is no DER of a response at all, made from a `good` one.
pub fn garbage(good: &[u8]) -> Vec<Fault> {
    let mut trailing = good.to_vec();
    trailing.extend_from_slice(b"trailing");
    let mut huge = good.to_vec();
    huge.resize(10 << 20, 0);
    vec![
        fault("empty", Vec::new()),
        fault("one byte", vec![0x30]),
        fault("truncated", good[..good.len() / 2].to_vec()),
        fault("trailing bytes", trailing),
        fault("text", b"<html>Please log in</html>\n".to_vec()),
        fault("zeroes", vec![0; 1024]),
        fault("PEM", pem(good)),
        fault("10 MB", huge),
    ]
}

fn fault(name: &'static str, bytes: Vec<u8>) -> Fault {
    Fault { name, bytes }
}
