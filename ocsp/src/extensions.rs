//! The extensions of a certificate that matter for its status.

use crate::asn1::{
    Cursor, Element, Extension, NotDer, Tag, TagNumber, context_primitive, default_false, integer,
};
use crate::text::printable;

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
        match extension.id {
            EXTENSION_BASIC_CONSTRAINTS => self.is_ca = is_ca(extension.value)?,
            EXTENSION_EXTENDED_KEY_USAGE => self.usages = Some(usages(extension.value)?),
            EXTENSION_TLS_FEATURE => self.must_staple = must_staple(extension.value)?,
            EXTENSION_OCSP_NO_CHECK => self.ocsp_no_check = true,
            EXTENSION_SUBJECT_ALT_NAME => self.first_dns_name = dns_name(extension.value),
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
            return Some(printable(name.content, MAX_NAME));
        }
    }
    None
}
