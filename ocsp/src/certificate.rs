//! What a certificate says that matters for its status: who issued it, which
//! responders answer for it, whether it insists on a staple.

use crate::asn1::{
    Cursor, Element, NotDer, Tag, TagNumber, bits, context_primitive, integer, time,
};
use crate::extensions::Extensions;
use crate::limits::MAX_RESPONSE;
use crate::name;
use crate::text::{hex, printable};
use crate::time::UnixTime;
use sha2::{Digest, Sha256};
use std::fmt;

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

/// What of a certificate or response is signed, and how (RFC 5280, 4.1.1; RFC 6960, 4.2.1).
/// Borrows from its DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The DER of tbsCertificate or tbsResponseData: what is signed.
    pub signed: &'a [u8],
    /// The content octets of the signature algorithm's object identifier.
    pub algorithm: &'a [u8],
    /// The signature, the BIT STRING's content without the number of unused bits.
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes a DER certificate of at most [`MAX_RESPONSE`] bytes apart. Verifies
    /// nothing, but that the algorithm outside is the one that is signed, as RFC
    /// 5280, 4.1.1.2 wants it.
    ///
    /// # Errors
    ///
    /// As [`Certificate::from_der`].
    pub fn from_der(der: &'a [u8]) -> Result<Signed<'a>, CertificateError> {
        let [tbs, algorithm, signature] = outer(der)?;
        let mut inside = tbs.inside();
        inside.explicit(TagNumber::N0, Tag::Integer, "version")?;
        inside.take(Tag::Integer, "serialNumber")?;
        if inside.take(Tag::Sequence, "signature")?.raw != algorithm.raw {
            return Err(NotDer("signatureAlgorithm").into());
        }
        let identifier = algorithm
            .inside()
            .take(Tag::ObjectIdentifier, "signatureAlgorithm")?;
        Ok(Signed {
            signed: tbs.raw,
            algorithm: identifier.content,
            signature: bits(signature, "signatureValue")?,
        })
    }
}

/// The three parts of a Certificate.
pub(crate) fn outer(der: &[u8]) -> Result<[Element<'_>; 3], CertificateError> {
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
    let algorithm = outer.take(Tag::Sequence, "signatureAlgorithm")?;
    let signature = outer.take(Tag::BitString, "signatureValue")?;
    outer.end("Certificate")?;
    Ok([tbs, algorithm, signature])
}

/// The facts of one X.509 certificate. Owns what it holds; nothing in it was
/// verified, neither its signature nor its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    sha256: [u8; 32],
    parts: Parts,
    not_before: UnixTime,
    not_after: UnixTime,
    extensions: Extensions,
}

/// Octets of a certificate, side by side: there may be very many, and each would have a
/// place of its own in memory else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    octets: Box<[u8]>,
    /// The lengths of all but the last one.
    lengths: [usize; 3],
}

impl Parts {
    fn new(serial: &[u8], issuer_name: &[u8], subject_name: &[u8], public_key_bits: &[u8]) -> Self {
        let octets = [serial, issuer_name, subject_name, public_key_bits].concat();
        Self {
            octets: octets.into_boxed_slice(),
            lengths: [serial, issuer_name, subject_name].map(<[u8]>::len),
        }
    }

    /// In the order of [`Parts::new`].
    fn all(&self) -> [&[u8]; 4] {
        let mut rest: &[u8] = &self.octets;
        let [serial, issuer_name, subject_name] = self.lengths.map(|length| {
            let (part, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            part
        });
        [serial, issuer_name, subject_name, rest]
    }
}

impl Certificate {
    /// Reads a DER certificate of at most [`MAX_RESPONSE`] bytes.
    ///
    /// # Errors
    ///
    /// A [`CertificateError`] if the bytes are anything but exactly one
    /// certificate, or if one of the extensions that are read is malformed.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertificateError> {
        let [tbs, ..] = outer(der)?;
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
        let extensions = tbs
            .explicit(TagNumber::N3, Tag::Sequence, "extensions")?
            .map(Extensions::read)
            .transpose()?
            .unwrap_or_default();
        tbs.end("tbsCertificate")?;
        Ok(Certificate {
            sha256: Sha256::digest(der).into(),
            parts: Parts::new(serial, issuer_name, subject_name, key_bits),
            not_before,
            not_after,
            extensions,
        })
    }

    /// SHA-256 of the whole DER: the certificate's key in every store.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The content octets of the serial number's DER, as certIDs compare them.
    pub fn serial(&self) -> &[u8] {
        let [serial, ..] = self.parts.all();
        serial
    }

    /// The serial number in lower-case hexadecimal, for logs.
    pub fn serial_hex(&self) -> String {
        hex(self.serial())
    }

    /// The DER of the issuer's Name, as it stands in the certificate.
    pub fn issuer_name(&self) -> &[u8] {
        let [_, issuer_name, ..] = self.parts.all();
        issuer_name
    }

    /// The DER of the subject's Name, as it stands in the certificate.
    pub fn subject_name(&self) -> &[u8] {
        let [.., subject_name, _] = self.parts.all();
        subject_name
    }

    /// The content of the BIT STRING subjectPublicKey, without the number of
    /// unused bits: what issuerKeyHash hashes (RFC 6960, 4.1.1).
    pub fn public_key_bits(&self) -> &[u8] {
        let [.., public_key_bits] = self.parts.all();
        public_key_bits
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
        name::same(self.issuer_name(), self.subject_name())
    }

    /// Whether `issuer` has the name that this certificate gives its issuer.
    /// Names are compared as RFC 5280, 7.1 wants for ASCII: whatever the string
    /// type, the case and the spacing.
    pub fn names_as_issuer(&self, issuer: &Certificate) -> bool {
        name::same(self.issuer_name(), issuer.subject_name())
    }

    /// A short text for logs: the common name, else the first DNS name, else
    /// the last other part of the subject, else the serial number. At most 64
    /// characters on one line, without control characters.
    pub fn display_subject(&self) -> String {
        name::common_name(self.subject_name())
            .map(|text| printable(&text, MAX_DISPLAY))
            .or_else(|| self.extensions.first_dns_name.clone())
            .or_else(|| {
                name::last_value(self.subject_name()).map(|text| printable(&text, MAX_DISPLAY))
            })
            .unwrap_or_else(|| {
                let serial = self.serial_hex();
                printable(format!("serial {serial}").as_bytes(), MAX_DISPLAY)
            })
    }
}
