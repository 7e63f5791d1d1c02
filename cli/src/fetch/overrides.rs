//! Responders that the operator names instead of those in the certificates.

use serde::Deserialize;
use staplegun_ocsp::Certificate;

use super::address;

/// One replacement. At least one of the conditions must be given; all that are
/// given must hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// How the certificate's responder begins.
    pub prefix: Option<String>,
    /// The SHA-256 of the issuer's certificate, in hexadecimal.
    pub issuer: Option<String>,
    /// The responder to ask instead.
    pub url: String,
}

impl Override {
    /// Reads `PREFIX=URL` or `sha256:HEX=URL`, as the command line has it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A responder's own address may hold a "=": the last one before http counts.
        let at = text
            .rfind("=http://")
            .or_else(|| text.rfind("=https://"))
            .ok_or("it must be PREFIX=URL or sha256:ISSUER=URL, and URL be http or https")?;
        let (condition, url) = (&text[..at], &text[at + 1..]);
        let issuer = condition.strip_prefix("sha256:");
        let found = Self {
            prefix: issuer.is_none().then(|| condition.to_owned()),
            issuer: issuer.map(str::to_owned),
            url: url.to_owned(),
        };
        found.check().map(|()| found)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        address::parse(&self.url)
            .map_err(|why| format!("the responder {:?} cannot be asked: {why}", self.url))?;
        match (&self.prefix, &self.issuer) {
            (None, None) => Err(format!(
                "the responder {:?} needs a prefix or an issuer that it is for",
                self.url
            )),
            (_, Some(hex)) if normal(hex).len() != 64 => Err(format!(
                "the issuer {hex:?} is not a SHA-256 in hexadecimal: take what \
                 openssl x509 -noout -fingerprint -sha256 prints"
            )),
            _ => Ok(()),
        }
    }

    fn covers(&self, url: Option<&str>, issuer: Option<&str>) -> bool {
        let prefix_fits = match &self.prefix {
            Some(prefix) => url.is_some_and(|url| url.starts_with(prefix.as_str())),
            None => true,
        };
        let issuer_fits = match &self.issuer {
            Some(wanted) => issuer.is_some_and(|issuer| issuer == normal(wanted)),
            None => true,
        };
        prefix_fits && issuer_fits
    }
}

/// Lower case, and without the colons of a fingerprint.
fn normal(hex: &str) -> String {
    hex.chars()
        .filter(char::is_ascii_hexdigit)
        .map(|digit| digit.to_ascii_lowercase())
        .collect()
}

/// The responders to ask for `leaf`, in order and each once: for each of the
/// certificate's the first override that covers it, else itself. A certificate
/// that names none may still be covered by its issuer.
pub fn responders(
    leaf: &Certificate,
    issuer_sha256: Option<&str>,
    overrides: &[Override],
) -> Vec<String> {
    let instead_of = |url: Option<&str>| {
        overrides
            .iter()
            .find(|one| one.covers(url, issuer_sha256))
            .map(|one| one.url.clone())
    };
    let mut found: Vec<String> = Vec::new();
    let named = leaf
        .responders()
        .iter()
        .map(|url| instead_of(Some(url)).unwrap_or_else(|| url.clone()));
    for url in named {
        if !found.contains(&url) {
            found.push(url);
        }
    }
    if leaf.responders().is_empty() {
        found.extend(instead_of(None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_testkit::{Identity, Spec};

    fn leaf(urls: &[&str]) -> Certificate {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let spec = urls
            .iter()
            .fold(Spec::server(), |spec, url| spec.ocsp_url(url));
        Certificate::from_der(&ca.issue(&spec).der()).unwrap()
    }

    #[test]
    fn the_first_override_that_covers_an_address_replaces_it() {
        let overrides = [
            Override::parse("http://a/x=http://one/").unwrap(),
            Override::parse("http://a/=http://two/?q=1").unwrap(),
        ];
        let asked = |urls: &[&str]| responders(&leaf(urls), None, &overrides);
        assert_eq!(
            asked(&["http://a/xy", "http://b/"]),
            ["http://one/", "http://b/"]
        );
        assert_eq!(asked(&["http://a/y", "http://a/z"]), ["http://two/?q=1"]);
        assert_eq!(asked(&[]), [""; 0]);
    }

    #[test]
    fn an_override_by_issuer_serves_certificates_that_name_no_responder() {
        let hex = "ab".repeat(32);
        let fingerprint = vec!["AB"; 32].join(":");
        let overrides = [Override::parse(&format!("sha256:{fingerprint}=http://one/")).unwrap()];
        let asked = |urls: &[&str], issuer| responders(&leaf(urls), issuer, &overrides);
        assert_eq!(asked(&[], Some(hex.as_str())), ["http://one/"]);
        assert_eq!(asked(&["http://a/"], Some(hex.as_str())), ["http://one/"]);
        assert_eq!(asked(&["http://a/"], Some("cd")), ["http://a/"]);
        assert_eq!(asked(&["http://a/"], None), ["http://a/"]);
    }

    #[test]
    fn what_is_no_override_is_refused_with_a_reason() {
        for text in [
            "",
            "http://a/",
            "http://a/=ftp://b/",
            "http://a/=http://b:65536/",
            "sha256:abc=http://b/",
        ] {
            assert!(Override::parse(text).is_err(), "{text:?}");
        }
    }
}
