//! The extensions of a certificate that matter for its status.
//!
//! Two readers share the work. Object identifiers and general names (addresses of
//! responders and issuers, the DNS name) are x509-cert's, decoded one by one. The
//! lists around them are read with the cursor, because x509-cert decodes a list
//! whole or not at all and so refuses certificates that TLS libraries accept: its
//! `AuthorityInfoAccessSyntax` one location of a kind that it does not know, its
//! `ExtendedKeyUsage` a purpose with an arc of more than 32 bits (2.25 and a
//! UUID), its `BasicConstraints` a pathLenConstraint above 255. It has no type for
//! TLS features.

use crate::asn1::{Cursor, Element, Extension, NotDer, Tag, default_false, integer};
use crate::text::printable;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5280::{
    ANY_EXTENDED_KEY_USAGE, ID_AD_CA_ISSUERS, ID_AD_OCSP, ID_CE_BASIC_CONSTRAINTS,
    ID_CE_EXT_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_KP_OCSP_SIGNING, ID_KP_SERVER_AUTH,
    ID_PE_AUTHORITY_INFO_ACCESS,
};
use x509_cert::der::oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK;
use x509_cert::ext::pkix::name::GeneralName;

/// id-pe-tlsfeature (RFC 7633).
const ID_PE_TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");

/// The TLS feature status_request, as an INTEGER's content.
const FEATURE_STATUS_REQUEST: &[u8] = &[5];

/// The longest address that is taken from a certificate, in bytes.
const MAX_URI: usize = 2048;

/// The most characters of a DNS name that are kept for display.
const MAX_NAME: usize = 64;

/// The most addresses of one kind that are taken from a certificate.
const MAX_URIS: usize = 16;

/// What the extensions say; the default is what their absence means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub responders: Vec<String>,
    pub ca_issuers: Vec<String>,
    pub must_staple: bool,
    pub is_ca: bool,
    pub usages: Option<Usages>,
    pub ocsp_no_check: bool,
    /// For display only.
    pub first_dns_name: Option<String>,
}

/// The extended key usages that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usages {
    pub any: bool,
    pub server_auth: bool,
    pub ocsp_signing: bool,
}

impl Extensions {
    /// Reads the Extensions of a certificate. One that matters here and is
    /// malformed makes the certificate malformed.
    pub fn read(list: Element<'_>) -> Result<Self, NotDer> {
        let mut extensions = Extensions::default();
        let mut list = list.inside();
        while !list.is_empty() {
            extensions.add(Extension::read(&mut list)?)?;
        }
        Ok(extensions)
    }

    fn add(&mut self, extension: Extension<'_>) -> Result<(), NotDer> {
        // An identifier that x509-cert cannot hold is none of these.
        let Ok(id) = ObjectIdentifier::from_bytes(extension.id) else {
            return Ok(());
        };
        match id {
            ID_CE_BASIC_CONSTRAINTS => self.is_ca = is_ca(extension.value)?,
            ID_CE_EXT_KEY_USAGE => self.usages = Some(usages(extension.value)?),
            ID_PE_TLS_FEATURE => self.must_staple = must_staple(extension.value)?,
            ID_PKIX_OCSP_NOCHECK => self.ocsp_no_check = true,
            ID_CE_SUBJECT_ALT_NAME => self.first_dns_name = dns_name(extension.value),
            ID_PE_AUTHORITY_INFO_ACCESS => self.add_access(extension.value)?,
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
            let addresses = match ObjectIdentifier::from_bytes(method) {
                Ok(ID_AD_OCSP) => &mut self.responders,
                Ok(ID_AD_CA_ISSUERS) => &mut self.ca_issuers,
                _ => continue,
            };
            if let Some(name) = general_name(location)
                && let Some(uri) = http_uri(&name)
                && addresses.len() < MAX_URIS
                && !addresses.iter().any(|known| known == uri)
            {
                // One is usual: certificates are kept by the hundred thousand.
                addresses.reserve_exact(1);
                addresses.push(uri.to_owned());
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
        let purpose = list.take(Tag::ObjectIdentifier, "extKeyUsage")?.content;
        match ObjectIdentifier::from_bytes(purpose) {
            Ok(ANY_EXTENDED_KEY_USAGE) => usages.any = true,
            Ok(ID_KP_SERVER_AUTH) => usages.server_auth = true,
            Ok(ID_KP_OCSP_SIGNING) => usages.ocsp_signing = true,
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

/// A GeneralName, if it is of a kind that x509-cert knows. In one place, because
/// its decoder is inlined wherever it is used, and large.
#[inline(never)]
fn general_name(element: Element<'_>) -> Option<GeneralName> {
    GeneralName::from_der(element.raw).ok()
}

/// The address in a GeneralName if it is one that can be fetched. It ends up in
/// an HTTP request: nothing but printable ASCII gets through.
fn http_uri(location: &GeneralName) -> Option<&str> {
    let GeneralName::UniformResourceIdentifier(uri) = location else {
        return None;
    };
    let uri = uri.as_str();
    let scheme = uri.split_once("://")?.0;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let clean = uri.len() <= MAX_URI && uri.bytes().all(|byte| byte.is_ascii_graphic());
    (known && clean).then_some(uri)
}

/// The first dNSName of a subjectAltName, for display only.
fn dns_name(value: &[u8]) -> Option<String> {
    let mut names = sequence(value, "subjectAltName").ok()?;
    while !names.is_empty() {
        let name = names.any("subjectAltName").ok()?;
        if let Some(GeneralName::DnsName(name)) = general_name(name) {
            return Some(printable(name.as_str().as_bytes(), MAX_NAME));
        }
    }
    None
}
