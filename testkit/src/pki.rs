//! Certificates: a specification of what stands in one, and an identity, which
//! is a certificate with its key and can issue others.

use std::time::{Duration, SystemTime};

use der::asn1::{BitString, Ia5String, ObjectIdentifier, OctetString, UtcTime};
use der::flagset::FlagSet;
use der::pem::LineEnding;
use der::{Encode, EncodePem};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::key::{Key, KeyKind};

/// id-kp-serverAuth.
pub const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// id-kp-clientAuth.
pub const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
/// id-kp-OCSPSigning (RFC 6960, 4.2.2.2).
pub const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
const OCSP_NOCHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
const AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const AD_CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");

const DAY: i64 = 86_400;

/// What stands in a certificate.
#[derive(Clone, Debug)]
pub struct Spec {
    common_name: String,
    key_kind: KeyKind,
    /// Seconds from now, negative for the past.
    validity: (i64, i64),
    is_ca: bool,
    dns_names: Vec<String>,
    addresses: Vec<[u8; 4]>,
    ocsp_urls: Vec<String>,
    ca_issuers_urls: Vec<String>,
    must_staple: bool,
    extended_key_usage: Vec<ObjectIdentifier>,
    ocsp_nocheck: bool,
    serial: Option<Vec<u8>>,
}

impl Spec {
    fn new(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            key_kind: KeyKind::P256,
            validity: (-DAY, 90 * DAY),
            is_ca: false,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
            must_staple: false,
            extended_key_usage: Vec::new(),
            ocsp_nocheck: false,
            serial: None,
        }
    }

    /// A certification authority.
    pub fn ca(common_name: &str) -> Self {
        Self {
            is_ca: true,
            ..Self::new(common_name)
        }
    }

    /// A server's certificate for localhost and 127.0.0.1.
    pub fn server() -> Self {
        Self {
            dns_names: vec!["localhost".to_owned()],
            addresses: vec![[127, 0, 0, 1]],
            extended_key_usage: vec![SERVER_AUTH],
            ..Self::new("localhost")
        }
    }

    /// A delegated responder's certificate with the OCSPSigning EKU and
    /// ocsp-nocheck.
    pub fn responder() -> Self {
        Self {
            extended_key_usage: vec![OCSP_SIGNING],
            ocsp_nocheck: true,
            ..Self::new("Test responder")
        }
    }

    /// Sets the subject's common name.
    pub fn common_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.common_name);
        self
    }

    /// Sets the kind of the key; P-256 by default.
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.key_kind = kind;
        self
    }

    /// Sets notBefore and notAfter, in seconds from now (negative: the past).
    pub fn validity(mut self, not_before: i64, not_after: i64) -> Self {
        self.validity = (not_before, not_after);
        self
    }

    /// Already expired.
    pub fn expired(self) -> Self {
        self.validity(-30 * DAY, -DAY)
    }

    /// Adds a DNS name to the subject's alternative names.
    pub fn dns_name(mut self, name: &str) -> Self {
        self.dns_names.push(name.to_owned());
        self
    }

    /// Adds a responder's address to the authority information access.
    pub fn ocsp_url(mut self, url: &str) -> Self {
        self.ocsp_urls.push(url.to_owned());
        self
    }

    /// Adds an address of the issuer's certificate to the authority
    /// information access.
    pub fn ca_issuers_url(mut self, url: &str) -> Self {
        self.ca_issuers_urls.push(url.to_owned());
        self
    }

    /// Adds the TLS feature status_request (RFC 7633): must-staple.
    pub fn must_staple(mut self) -> Self {
        self.must_staple = true;
        self
    }

    /// Replaces the extended key usages; an empty list leaves the extension out.
    pub fn extended_key_usage(mut self, usages: &[ObjectIdentifier]) -> Self {
        self.extended_key_usage = usages.to_vec();
        self
    }

    /// Sets the serial number, big-endian; random by default.
    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = Some(serial.to_vec());
        self
    }

    fn extensions(&self, subject: &Name, key: &Key, issuer_key: &Key) -> Vec<Extension> {
        let mut all = Extensions {
            subject,
            list: Vec::new(),
        };
        all.add(&BasicConstraints {
            ca: self.is_ca,
            path_len_constraint: None,
        });
        all.add(&KeyUsage(self.key_usages()));
        all.add(&SubjectKeyIdentifier(octets(&key.identifier())));
        all.add(&AuthorityKeyIdentifier {
            key_identifier: Some(octets(&issuer_key.identifier())),
            ..Default::default()
        });
        if !self.extended_key_usage.is_empty() {
            all.add(&ExtendedKeyUsage(self.extended_key_usage.clone()));
        }
        let names = self.alternative_names();
        if !names.is_empty() {
            all.add(&SubjectAltName(names));
        }
        let access = self.authority_information_access();
        if !access.is_empty() {
            all.add(&AuthorityInfoAccessSyntax(access));
        }
        if self.must_staple {
            // Features ::= SEQUENCE OF INTEGER, here status_request (5).
            all.add_raw(TLS_FEATURE, &[0x30, 0x03, 0x02, 0x01, 0x05]);
        }
        if self.ocsp_nocheck {
            all.add_raw(OCSP_NOCHECK, &[0x05, 0x00]);
        }
        all.list
    }

    fn key_usages(&self) -> FlagSet<KeyUsages> {
        if self.is_ca {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign | KeyUsages::DigitalSignature
        } else if self.key_kind == KeyKind::Rsa2048 {
            KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
        } else {
            KeyUsages::DigitalSignature.into()
        }
    }

    fn alternative_names(&self) -> Vec<GeneralName> {
        let dns_names = self.dns_names.iter().map(|n| GeneralName::DnsName(ia5(n)));
        let addresses = self
            .addresses
            .iter()
            .map(|a| GeneralName::IpAddress(octets(a)));
        dns_names.chain(addresses).collect()
    }

    fn authority_information_access(&self) -> Vec<AccessDescription> {
        let describe = |method, urls: &[String]| {
            urls.iter()
                .map(|url| AccessDescription {
                    access_method: method,
                    access_location: GeneralName::UniformResourceIdentifier(ia5(url)),
                })
                .collect::<Vec<_>>()
        };
        let mut access = describe(AD_OCSP, &self.ocsp_urls);
        access.extend(describe(AD_CA_ISSUERS, &self.ca_issuers_urls));
        access
    }
}

struct Extensions<'a> {
    subject: &'a Name,
    list: Vec<Extension>,
}

impl Extensions<'_> {
    fn add(&mut self, extension: &impl AsExtension) {
        let extension = extension
            .to_extension(self.subject, &self.list)
            .expect("encodes");
        self.list.push(extension);
    }

    fn add_raw(&mut self, id: ObjectIdentifier, value: &[u8]) {
        self.list.push(Extension {
            extn_id: id,
            critical: false,
            extn_value: octets(value),
        });
    }
}

/// A certificate with its key.
pub struct Identity {
    /// The certificate.
    pub certificate: Certificate,
    /// Its private key.
    pub key: Key,
}

impl Identity {
    /// Makes a certificate signed by its own key.
    pub fn self_signed(spec: &Spec) -> Self {
        let key = Key::generate(spec.key_kind);
        let certificate = sign(spec, &key, &name(&spec.common_name), &key);
        Self { certificate, key }
    }

    /// Makes a certificate signed by this one's key.
    pub fn issue(&self, spec: &Spec) -> Self {
        let key = Key::generate(spec.key_kind);
        let issuer_name = &self.certificate.tbs_certificate.subject;
        let certificate = sign(spec, &key, issuer_name, &self.key);
        Self { certificate, key }
    }

    /// Makes another certificate for the same key, signed by it: a root that was
    /// renewed, if the specification gives it the same name.
    pub fn again(&self, spec: &Spec) -> Self {
        let key = self.key.clone();
        let certificate = sign(spec, &key, &name(&spec.common_name), &key);
        Self { certificate, key }
    }

    /// The same certificate for other times, in seconds from now, signed by its own
    /// key: what a root was before it was renewed.
    pub fn before_renewal(&self, not_before: i64, not_after: i64) -> Self {
        let key = self.key.clone();
        let mut tbs_certificate = self.certificate.tbs_certificate.clone();
        tbs_certificate.serial_number =
            SerialNumber::new(&random_serial()).expect("at most 20 bytes");
        tbs_certificate.validity = Validity {
            not_before: utc_time(not_before),
            not_after: utc_time(not_after),
        };
        let certificate = Certificate {
            signature_algorithm: key.signature_algorithm(),
            signature: key.sign(&tbs_certificate),
            tbs_certificate,
        };
        Self { certificate, key }
    }

    /// The certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("encodes")
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.to_pem(LineEnding::LF).expect("encodes")
    }

    /// The certificate's serial number, big-endian as in its DER.
    pub fn serial(&self) -> &[u8] {
        self.certificate.tbs_certificate.serial_number.as_bytes()
    }

    /// SHA-256 of the certificate's DER, in lower-case hexadecimal.
    pub fn sha256_hex(&self) -> String {
        use sha2::Digest;
        sha2::Sha256::digest(self.der())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn sign(spec: &Spec, key: &Key, issuer_name: &Name, issuer_key: &Key) -> Certificate {
    let subject = name(&spec.common_name);
    let extensions = spec.extensions(&subject, key, issuer_key);
    let serial = spec.serial.clone().unwrap_or_else(random_serial);
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial).expect("at most 20 bytes"),
        signature: issuer_key.signature_algorithm(),
        issuer: issuer_name.clone(),
        validity: Validity {
            not_before: utc_time(spec.validity.0),
            not_after: utc_time(spec.validity.1),
        },
        subject,
        subject_public_key_info: key.public().clone(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    Certificate {
        signature_algorithm: issuer_key.signature_algorithm(),
        signature: issuer_key.sign(&tbs_certificate),
        tbs_certificate,
    }
}

/// The time that many seconds from now.
pub(crate) fn from_now(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    if seconds < 0 {
        now - distance
    } else {
        now + distance
    }
}

fn utc_time(seconds: i64) -> Time {
    UtcTime::from_system_time(from_now(seconds))
        .expect("between 1970 and 2049")
        .into()
}

fn random_serial() -> Vec<u8> {
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    // Positive, and of the full length.
    serial[0] = serial[0] & 0x7f | 0x40;
    serial.to_vec()
}

fn name(common_name: &str) -> Name {
    format!("CN={common_name},O=staplegun tests")
        .parse()
        .expect("a valid name")
}

fn ia5(text: &str) -> Ia5String {
    Ia5String::new(text).expect("ASCII")
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("fits")
}

/// Changes one bit, so that the signature verifies no more.
pub(crate) fn corrupt(signature: &BitString) -> BitString {
    let mut bytes = signature.raw_bytes().to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    BitString::from_bytes(&bytes).expect("fits")
}
