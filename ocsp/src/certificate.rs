//! What a certificate says that matters for its status: who issued it, which
//! responders answer for it, whether it insists on a staple.

use crate::asn1::{
    Cursor, Element, Extension, NotDer, Tag, TagNumber, bits, context_primitive, default_false,
    integer, time,
};
use crate::text::{hex, printable};
use crate::time::UnixTime;
use crate::{MAX_RESPONSE, name};
use sha2::{Digest, Sha256};
use std::fmt;

const EXTENSION_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENSION_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const EXTENSION_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// id-pe-authorityInfoAccess (RFC 5280, 4.2.2.1).
const EXTENSION_AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
/// id-pe-tlsfeature (RFC 7633).
const EXTENSION_TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
/// id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1).
const EXTENSION_OCSP_NO_CHECK: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 5];

const ACCESS_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1];
const ACCESS_CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];

const USAGE_ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];
const USAGE_SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const USAGE_OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// The TLS feature status_request, as an INTEGER's content.
const FEATURE_STATUS_REQUEST: &[u8] = &[5];

/// The longest address that is taken from a certificate, in bytes.
const MAX_URI: usize = 2048;

/// The most addresses of one kind that are taken from a certificate.
const MAX_URIS: usize = 16;

/// The most characters that [`Certificate::display_subject`] returns.
const MAX_DISPLAY: usize = 64;

/// Why bytes are not a usable certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// No bytes at all.
    Empty,
    /// More than [`MAX_RESPONSE`] bytes.
    TooLarge {
        /// How many there are.
        length: usize,
    },
    /// It is text (PEM), not DER.
    Pem,
    /// Not the DER of a Certificate.
    Malformed {
        /// The first part that is wrong, by its name in RFC 5280.
        part: &'static str,
    },
    /// A certificate, then something else.
    TrailingBytes {
        /// How many bytes follow.
        count: usize,
    },
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the certificate is empty"),
            Self::TooLarge { length } => write!(
                f,
                "the certificate has {length} bytes, more than the {MAX_RESPONSE} allowed"
            ),
            Self::Pem => write!(
                f,
                "the certificate is in PEM where DER is needed; \
                 convert it with: openssl x509 -in FILE -outform DER -out FILE.der"
            ),
            Self::Malformed { part } => {
                write!(f, "not a DER certificate: {part} is missing or wrong")
            }
            Self::TrailingBytes { count } => {
                write!(f, "{count} bytes follow the certificate; remove them")
            }
        }
    }
}

impl std::error::Error for CertificateError {}

impl From<NotDer> for CertificateError {
    fn from(NotDer(part): NotDer) -> Self {
        Self::Malformed { part }
    }
}

/// The facts of one X.509 certificate. Owns what it holds; nothing in it was
/// verified, neither its signature nor its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    sha256: [u8; 32],
    serial: Vec<u8>,
    issuer_name: Vec<u8>,
    subject_name: Vec<u8>,
    public_key_bits: Vec<u8>,
    not_before: UnixTime,
    not_after: UnixTime,
    first_dns_name: Option<String>,
    extensions: Extensions,
}

/// What the extensions say; the default is what their absence means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extensions {
    responders: Vec<String>,
    ca_issuers: Vec<String>,
    must_staple: bool,
    is_ca: bool,
    usages: Option<Usages>,
    ocsp_no_check: bool,
}

/// The extended key usages that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usages {
    any: bool,
    server_auth: bool,
    ocsp_signing: bool,
}

impl Certificate {
    /// Reads a DER certificate of at most [`MAX_RESPONSE`] bytes.
    ///
    /// # Errors
    ///
    /// A [`CertificateError`] if the bytes are anything but exactly one
    /// certificate, or if one of the extensions that are read is malformed.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertificateError> {
        if der.is_empty() {
            return Err(CertificateError::Empty);
        }
        if der.len() > MAX_RESPONSE {
            return Err(CertificateError::TooLarge { length: der.len() });
        }
        if der.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(CertificateError::Pem);
        }
        let mut input = Cursor::new(der);
        let mut outer = input.take(Tag::Sequence, "Certificate")?.inside();
        if !input.is_empty() {
            return Err(CertificateError::TrailingBytes {
                count: input.rest().len(),
            });
        }
        let tbs = outer.take(Tag::Sequence, "tbsCertificate")?;
        outer.take(Tag::Sequence, "signatureAlgorithm")?;
        outer.take(Tag::BitString, "signatureValue")?;
        outer.end("Certificate")?;
        Ok(Self::from_tbs(der, tbs)?)
    }

    fn from_tbs(der: &[u8], tbs: Element<'_>) -> Result<Certificate, NotDer> {
        let mut tbs = tbs.inside();
        tbs.explicit(TagNumber::N0, Tag::Integer, "version")?;
        let serial = integer(tbs.take(Tag::Integer, "serialNumber")?, "serialNumber")?;
        tbs.take(Tag::Sequence, "signature")?;
        let issuer_name = tbs.take(Tag::Sequence, "issuer")?.raw;
        let mut validity = tbs.take(Tag::Sequence, "validity")?.inside();
        let not_before = time(validity.any("notBefore")?, "notBefore")?;
        let not_after = time(validity.any("notAfter")?, "notAfter")?;
        validity.end("validity")?;
        let subject_name = tbs.take(Tag::Sequence, "subject")?.raw;
        let mut key = tbs.take(Tag::Sequence, "subjectPublicKeyInfo")?.inside();
        key.take(Tag::Sequence, "algorithm")?;
        let key_bits = bits(
            key.take(Tag::BitString, "subjectPublicKey")?,
            "subjectPublicKey",
        )?;
        key.end("subjectPublicKeyInfo")?;
        tbs.optional(context_primitive(TagNumber::N1)); // issuerUniqueID
        tbs.optional(context_primitive(TagNumber::N2)); // subjectUniqueID
        let mut first_dns_name = None;
        let mut extensions = Extensions::default();
        if let Some(list) = tbs.explicit(TagNumber::N3, Tag::Sequence, "extensions")? {
            let mut list = list.inside();
            while !list.is_empty() {
                let extension = Extension::read(&mut list)?;
                if extension.id == EXTENSION_SUBJECT_ALT_NAME {
                    first_dns_name = first_dns_name.or_else(|| dns_name(extension.value));
                } else {
                    extensions.add(extension)?;
                }
            }
        }
        tbs.end("tbsCertificate")?;
        Ok(Certificate {
            sha256: Sha256::digest(der).into(),
            serial: serial.to_vec(),
            issuer_name: issuer_name.to_vec(),
            subject_name: subject_name.to_vec(),
            public_key_bits: key_bits.to_vec(),
            not_before,
            not_after,
            first_dns_name,
            extensions,
        })
    }

    /// SHA-256 of the whole DER: the certificate's key in every store.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The content octets of the serial number's DER, as certIDs compare them.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The serial number in lower-case hexadecimal, for logs.
    pub fn serial_hex(&self) -> String {
        hex(&self.serial)
    }

    /// The DER of the issuer's Name, as it stands in the certificate.
    pub fn issuer_name(&self) -> &[u8] {
        &self.issuer_name
    }

    /// The DER of the subject's Name, as it stands in the certificate.
    pub fn subject_name(&self) -> &[u8] {
        &self.subject_name
    }

    /// The content of the BIT STRING subjectPublicKey, without the number of
    /// unused bits: what issuerKeyHash hashes (RFC 6960, 4.1.1).
    pub fn public_key_bits(&self) -> &[u8] {
        &self.public_key_bits
    }

    /// The addresses of the OCSP responders (http and https only), in the
    /// certificate's order. They are printable ASCII without spaces.
    pub fn responders(&self) -> &[String] {
        &self.extensions.responders
    }

    /// The addresses of the issuer's certificate (http and https only).
    pub fn ca_issuers(&self) -> &[String] {
        &self.extensions.ca_issuers
    }

    /// Whether clients must refuse this certificate without a staple: the TLS
    /// feature status_request (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.extensions.must_staple
    }

    /// Whether basicConstraints says that this is a CA.
    pub fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// Whether a TLS server may use it: no extended key usage at all, or
    /// serverAuth or anyExtendedKeyUsage among them.
    pub fn fit_for_server(&self) -> bool {
        self.extensions
            .usages
            .is_none_or(|usages| usages.server_auth || usages.any)
    }

    /// Whether it names the extended key usage OCSPSigning, which a delegated
    /// responder must have (RFC 6960, 4.2.2.2).
    pub fn fit_for_ocsp_signing(&self) -> bool {
        self.extensions
            .usages
            .is_some_and(|usages| usages.ocsp_signing)
    }

    /// Whether it is exempt from revocation checks: id-pkix-ocsp-nocheck.
    pub fn ocsp_no_check(&self) -> bool {
        self.extensions.ocsp_no_check
    }

    /// The first second of its validity.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last second of its validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether issuer and subject are the same name, as in a root.
    pub fn is_self_issued(&self) -> bool {
        name::same(&self.issuer_name, &self.subject_name)
    }

    /// Whether `issuer` has the name that this certificate gives its issuer.
    /// Names are compared as RFC 5280, 7.1 wants for ASCII: whatever the string
    /// type, the case and the spacing.
    pub fn names_as_issuer(&self, issuer: &Certificate) -> bool {
        name::same(&self.issuer_name, &issuer.subject_name)
    }

    /// A short text for logs: the common name, else the first DNS name, else
    /// the last other part of the subject, else the serial number. At most 64
    /// characters on one line, without control characters.
    pub fn display_subject(&self) -> String {
        name::common_name(&self.subject_name)
            .map(|text| printable(&text, MAX_DISPLAY))
            .or_else(|| self.first_dns_name.clone())
            .or_else(|| {
                name::last_value(&self.subject_name).map(|text| printable(&text, MAX_DISPLAY))
            })
            .unwrap_or_else(|| {
                let serial = self.serial_hex();
                printable(format!("serial {serial}").as_bytes(), MAX_DISPLAY)
            })
    }
}

impl Extensions {
    fn add(&mut self, extension: Extension<'_>) -> Result<(), NotDer> {
        match extension.id {
            EXTENSION_BASIC_CONSTRAINTS => self.is_ca = is_ca(extension.value)?,
            EXTENSION_EXTENDED_KEY_USAGE => self.usages = Some(usages(extension.value)?),
            EXTENSION_TLS_FEATURE => self.must_staple = must_staple(extension.value)?,
            EXTENSION_OCSP_NO_CHECK => self.ocsp_no_check = true,
            EXTENSION_AUTHORITY_INFO_ACCESS => self.add_access(extension.value)?,
            _ => {}
        }
        Ok(())
    }

    fn add_access(&mut self, value: &[u8]) -> Result<(), NotDer> {
        const PART: &str = "authorityInfoAccess";
        let mut list = sequence(value, PART)?;
        while !list.is_empty() {
            let mut access = list.take(Tag::Sequence, PART)?.inside();
            let method = access.take(Tag::ObjectIdentifier, PART)?.content;
            let location = access.any(PART)?;
            access.end(PART)?;
            let addresses = match method {
                ACCESS_OCSP => &mut self.responders,
                ACCESS_CA_ISSUERS => &mut self.ca_issuers,
                _ => continue,
            };
            if let Some(uri) = http_uri(location)
                && addresses.len() < MAX_URIS
                && !addresses.contains(&uri)
            {
                addresses.push(uri);
            }
        }
        Ok(())
    }
}

/// The elements of the one SEQUENCE that an extension's value is.
fn sequence<'a>(value: &'a [u8], part: &'static str) -> Result<Cursor<'a>, NotDer> {
    let mut cursor = Cursor::new(value);
    let inside = cursor.take(Tag::Sequence, part)?.inside();
    cursor.end(part)?;
    Ok(inside)
}

fn is_ca(value: &[u8]) -> Result<bool, NotDer> {
    default_false(
        &mut sequence(value, "basicConstraints")?,
        "basicConstraints",
    )
}

fn usages(value: &[u8]) -> Result<Usages, NotDer> {
    let mut list = sequence(value, "extKeyUsage")?;
    let mut usages = Usages::default();
    while !list.is_empty() {
        match list.take(Tag::ObjectIdentifier, "extKeyUsage")?.content {
            USAGE_ANY => usages.any = true,
            USAGE_SERVER_AUTH => usages.server_auth = true,
            USAGE_OCSP_SIGNING => usages.ocsp_signing = true,
            _ => {}
        }
    }
    Ok(usages)
}

fn must_staple(value: &[u8]) -> Result<bool, NotDer> {
    let mut features = sequence(value, "tlsFeature")?;
    let mut found = false;
    while !features.is_empty() {
        let feature = integer(features.take(Tag::Integer, "tlsFeature")?, "tlsFeature")?;
        found |= feature == FEATURE_STATUS_REQUEST;
    }
    Ok(found)
}

/// The address in a GeneralName if it is one that can be fetched. It ends up in
/// an HTTP request: nothing but printable ASCII gets through.
fn http_uri(location: Element<'_>) -> Option<String> {
    if location.tag != context_primitive(TagNumber::N6) || location.content.len() > MAX_URI {
        return None;
    }
    let uri = std::str::from_utf8(location.content).ok()?;
    let scheme = uri.split_once("://")?.0;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let clean = uri.bytes().all(|byte| byte.is_ascii_graphic());
    (known && clean).then(|| uri.to_owned())
}

/// The first dNSName of a subjectAltName, for display only.
fn dns_name(value: &[u8]) -> Option<String> {
    let mut names = sequence(value, "subjectAltName").ok()?;
    while !names.is_empty() {
        let name = names.any("subjectAltName").ok()?;
        if name.tag == context_primitive(TagNumber::N2) {
            return Some(printable(name.content, MAX_DISPLAY));
        }
    }
    None
}
