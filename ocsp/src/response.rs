//! Responses: what they are, whom they are about, who signed (RFC 6960, 4.2).

use crate::asn1::{Cursor, Element, NotDer, Tag, TagNumber, bits, generalized_time};
use crate::certificate::{Certificate, Signed};
use crate::fault::{ErrorStatus, Fault};
use crate::identity::{CertId, Difference, Identity};
use crate::limits::MAX_RESPONSE;
use crate::name;
use crate::single::{self, EXTENSION_NONCE, Single, Status, for_each_extension};
use crate::text::{hex, printable};
use crate::time::UnixTime;
use sha1::{Digest, Sha1};

/// id-pkix-ocsp-basic.
const TYPE_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];

/// A response of type basic, read but not verified. Borrows from its DER.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    der: &'a [u8],
    /// tbsResponseData, signatureAlgorithm and signature.
    signed: [Element<'a>; 3],
    responder_id: ResponderId<'a>,
    produced_at: UnixTime,
    singles: Vec<(CertId<'a>, Single)>,
    nonce: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
}

/// Who says that it signed the response (RFC 6960, 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponderId<'a> {
    /// The DER of the responder's Name.
    ByName(&'a [u8]),
    /// SHA-1 of the responder's public key.
    ByKey(&'a [u8]),
}

impl ResponderId<'_> {
    /// Whether it means this certificate.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::ByName(der) => name::same(der, certificate.subject_name()),
            Self::ByKey(hash) => *hash == Sha1::digest(certificate.public_key_bits()).as_slice(),
        }
    }
}

/// Which certificate signed a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer<'a> {
    /// The issuer's, which need not come along.
    Issuer,
    /// A delegated responder's, which came along.
    Delegate {
        /// The certificate.
        der: &'a [u8],
        /// What it says.
        certificate: Box<Certificate>,
    },
}

impl Signer<'_> {
    /// The certificate, given the issuer's.
    pub fn certificate<'s>(&'s self, issuer: &'s Certificate) -> &'s Certificate {
        match self {
            Self::Issuer => issuer,
            Self::Delegate { certificate, .. } => certificate,
        }
    }
}

impl<'a> Response<'a> {
    /// Reads a DER OCSPResponse of at most [`MAX_RESPONSE`] bytes.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if it is anything but exactly one successful response of
    /// type basic whose critical extensions are all known.
    pub fn parse(der: &'a [u8]) -> Result<Response<'a>, Fault> {
        if der.is_empty() {
            return Err(Fault::Empty);
        }
        if der.len() > MAX_RESPONSE {
            return Err(Fault::TooLarge { length: der.len() });
        }
        let mut input = Cursor::new(der);
        let mut outer = input
            .take(Tag::Sequence, "OCSPResponse")
            .map_err(|fault| looks_like(der).unwrap_or(fault.into()))?
            .inside();
        if !input.is_empty() {
            return Err(Fault::TrailingBytes {
                count: input.rest().len(),
            });
        }
        let status = outer.any("responseStatus")?;
        if status.tag == Tag::Sequence {
            return Err(Fault::NotResponse);
        }
        match (status.tag, status.content) {
            (Tag::Enumerated, [0]) => {}
            (Tag::Enumerated, [error]) => {
                return Err(Fault::ErrorStatus(ErrorStatus::from_number(*error)));
            }
            _ => return Err(NotDer("responseStatus").into()),
        }
        let mut response_bytes = outer
            .explicit(TagNumber::N0, Tag::Sequence, "responseBytes")?
            .ok_or(NotDer("responseBytes"))?
            .inside();
        outer.end("OCSPResponse")?;
        let kind = response_bytes.take(Tag::ObjectIdentifier, "responseType")?;
        let basic = response_bytes.take(Tag::OctetString, "response")?.content;
        response_bytes.end("responseBytes")?;
        if kind.content != TYPE_BASIC {
            return Err(Fault::NotBasic);
        }
        Self::basic(der, basic)
    }

    fn basic(der: &'a [u8], basic: &'a [u8]) -> Result<Response<'a>, Fault> {
        let mut input = Cursor::new(basic);
        let mut basic = input.take(Tag::Sequence, "BasicOCSPResponse")?.inside();
        input.end("BasicOCSPResponse")?;
        let data = basic.take(Tag::Sequence, "tbsResponseData")?;
        let algorithm = basic.take(Tag::Sequence, "signatureAlgorithm")?;
        let signature = basic.take(Tag::BitString, "signature")?;
        let mut certificates = Vec::new();
        if let Some(certs) = basic.explicit(TagNumber::N0, Tag::Sequence, "certs")? {
            let mut certs = certs.inside();
            while !certs.is_empty() {
                certificates.push(certs.take(Tag::Sequence, "certs")?.raw);
            }
        }
        basic.end("BasicOCSPResponse")?;

        let signed = [data, algorithm, signature];
        let mut data = data.inside();
        if let Some(version) = data.explicit(TagNumber::N0, Tag::Integer, "version")?
            && version.content != [0]
        {
            return Err(NotDer("version").into());
        }
        let responder_id = responder_id(&mut data)?;
        let produced_at = generalized_time(data.any("producedAt")?, "producedAt")?;
        let mut list = data.take(Tag::Sequence, "responses")?.inside();
        let mut singles = Vec::new();
        while !list.is_empty() {
            singles.push(single::read(&mut list, produced_at)?);
        }
        let mut nonce = None;
        if let Some(list) = data.explicit(TagNumber::N1, Tag::Sequence, "responseExtensions")? {
            for_each_extension(list, |extension| {
                if extension.id == EXTENSION_NONCE {
                    nonce = nonce.or(Some(nonce_value(extension.value)));
                }
            })?;
        }
        data.end("tbsResponseData")?;
        Ok(Response {
            der,
            signed,
            responder_id,
            produced_at,
            singles,
            nonce,
            certificates,
        })
    }

    /// The whole response, as it was given.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// What of it is signed, and how; None if that is not DER. Verifies nothing.
    pub fn signed(&self) -> Option<Signed<'a>> {
        let [data, algorithm, signature] = self.signed;
        let part = "signatureAlgorithm";
        let identifier = algorithm.inside().take(Tag::ObjectIdentifier, part).ok()?;
        Some(Signed {
            signed: data.raw,
            algorithm: identifier.content,
            signature: bits(signature, "signature").ok()?,
        })
    }

    /// Who says that it signed the response.
    pub fn responder_id(&self) -> ResponderId<'a> {
        self.responder_id
    }

    /// When the response was signed.
    pub fn produced_at(&self) -> UnixTime {
        self.produced_at
    }

    /// The nonce that the responder repeats, if any (RFC 9654).
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.nonce
    }

    /// The certIDs that the response answers for, in its order.
    pub fn cert_ids(&self) -> impl Iterator<Item = CertId<'a>> {
        self.singles.iter().map(|(cert_id, _)| *cert_id)
    }

    /// The DER of each certificate that came with the response, in its order.
    pub fn certificates(&self) -> &[&'a [u8]] {
        &self.certificates
    }

    /// Who signed the response, by its responder ID: the issuer, else the first of
    /// the certificates that came along which it means. That is the order in which
    /// OpenSSL looks, and so the certificate that clients hold the signature
    /// against. None if it means nobody; nothing is verified.
    pub fn signer(&self, issuer: &Certificate) -> Option<Signer<'a>> {
        if self.responder_id.matches(issuer) {
            return Some(Signer::Issuer);
        }
        self.certificates.iter().find_map(|der| {
            let certificate = Box::new(Certificate::from_der(der).ok()?);
            let is_meant = self.responder_id.matches(&certificate);
            is_meant.then_some(Signer::Delegate { der, certificate })
        })
    }

    /// What the response says about a certificate, be it good or not. If it
    /// speaks of it more than once the worst counts: revoked before unknown
    /// before good, then what ends first.
    ///
    /// # Errors
    ///
    /// [`Fault::NoStatus`] or [`Fault::WrongCertificate`].
    pub fn single_for(&self, identity: &Identity) -> Result<Single, Fault> {
        self.singles
            .iter()
            .filter(|(cert_id, _)| identity.matches(cert_id))
            .map(|(_, single)| *single)
            .min_by_key(|single| {
                let badness = match single.status {
                    Status::Revoked { .. } => 0,
                    Status::Unknown => 1,
                    Status::Good => 2,
                };
                let end = single.next_update.unwrap_or(single.this_update);
                (badness, end)
            })
            .ok_or_else(|| self.wrong_certificate(identity))
    }

    /// How the nearest certID differs from the one that was looked for.
    fn wrong_certificate(&self, identity: &Identity) -> Fault {
        self.singles
            .iter()
            .filter_map(|(cert_id, _)| Some((identity.difference(cert_id)?, cert_id)))
            .min_by_key(|(difference, _)| match difference {
                Difference::Issuer => 0,
                Difference::Serial => 1,
                Difference::Both => 2,
                Difference::HashAlgorithm => 3,
            })
            .map_or(Fault::NoStatus, |(difference, cert_id)| {
                Fault::WrongCertificate {
                    difference,
                    wanted: identity.serial_hex(),
                    found: hex(cert_id.serial.get(..32).unwrap_or(cert_id.serial)),
                }
            })
    }
}

fn responder_id<'a>(data: &mut Cursor<'a>) -> Result<ResponderId<'a>, NotDer> {
    const PART: &str = "responderID";
    if let Some(name) = data.explicit(TagNumber::N1, Tag::Sequence, PART)? {
        return Ok(ResponderId::ByName(name.raw));
    }
    match data.explicit(TagNumber::N2, Tag::OctetString, PART)? {
        Some(hash) => Ok(ResponderId::ByKey(hash.content)),
        None => Err(NotDer(PART)),
    }
}

/// A nonce is an OCTET STRING inside the extension's; some responders repeat
/// the bare octets of old clients (RFC 9654, 2.1 clarifies).
fn nonce_value(value: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(value);
    match cursor.take(Tag::OctetString, "nonce") {
        Ok(element) if cursor.is_empty() => element.content,
        _ => value,
    }
}

/// What bytes are that do not even begin like a response.
fn looks_like(bytes: &[u8]) -> Option<Fault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = bytes.trim_ascii();
    if text.starts_with(b"<") {
        return Some(Fault::Html);
    }
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
    // The base64 of a SEQUENCE of more than 127 bytes.
    let bare = text.starts_with(b"MI") && text.len() > 128 && text.iter().all(base64);
    if text.starts_with(b"-----BEGIN") || bare {
        return Some(Fault::Pem);
    }
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let beginning = text.get(..40).unwrap_or(text);
    (beginning.len() >= 4 && beginning.iter().all(is_text)).then(|| Fault::Text {
        beginning: printable(beginning, 40),
    })
}
