//! What the operator says of responders: whom to ask instead of those in the
//! certificates, and how they want to be asked.

use serde::Deserialize;
use staplegun_ocsp::Certificate;

use super::address;

/// One entry. At least one of the conditions must be given; all that are given must
/// hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// How the certificate's responder begins.
    prefix: Option<String>,
    /// The SHA-256 of the issuer's certificate, in hexadecimal.
    pub issuer: Option<String>,
    /// The responder to ask instead.
    pub url: Option<String>,
    /// Ask by POST only.
    post: bool,
    /// Send a nonce (RFC 9654), which is always done by POST: no cache has an answer.
    nonce: bool,
}

/// A responder to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    /// Its address.
    pub url: String,
    /// It is asked by POST only.
    post: bool,
    /// It gets a nonce.
    pub nonce: bool,
}

impl Responder {
    /// Whether it is never asked by GET.
    pub fn by_post(&self) -> bool {
        self.post || self.nonce
    }
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
            url: Some(url.to_owned()),
            ..Self::default()
        };
        found.check().map(|()| found)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if let Some(url) = &self.url {
            address::parse(url)
                .map_err(|why| format!("the responder {url:?} cannot be asked: {why}"))?;
        }
        let named = self.url.as_deref().unwrap_or("in [[responder]]");
        match (&self.prefix, &self.issuer) {
            (None, None) => Err(format!(
                "the responder {named:?} needs a prefix or an issuer that it is for"
            )),
            (_, Some(hex)) if normal(hex).len() != 64 => Err(format!(
                "the issuer {hex:?} is not a SHA-256 in hexadecimal: take what \
                 openssl x509 -noout -fingerprint -sha256 prints"
            )),
            _ if self.url.is_none() && !self.post && !self.nonce => Err(format!(
                "{:?} in [[responder]] says nothing: it needs url, post or nonce",
                self.prefix.as_ref().or(self.issuer.as_ref())
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
/// certificate's what the first entry that covers it says, else itself. A certificate
/// that names none may still be covered by its issuer.
pub fn responders(
    leaf: &Certificate,
    issuer_sha256: Option<&str>,
    overrides: &[Override],
) -> Vec<Responder> {
    let said = |url: Option<&String>| {
        let mut all = overrides.iter();
        let said = all.find(|one| one.covers(url.map(String::as_str), issuer_sha256));
        Some(Responder {
            url: said.and_then(|said| said.url.as_ref()).or(url)?.clone(),
            post: said.is_some_and(|said| said.post),
            nonce: said.is_some_and(|said| said.nonce),
        })
    };
    let mut found: Vec<Responder> = Vec::new();
    for responder in leaf.responders().iter().filter_map(|url| said(Some(url))) {
        if found.iter().all(|known| known.url != responder.url) {
            found.push(responder);
        }
    }
    if leaf.responders().is_empty() {
        found.extend(said(None));
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

    fn urls_of(responders: Vec<Responder>) -> Vec<String> {
        let urls = responders.into_iter().map(|responder| responder.url);
        urls.collect()
    }

    #[test]
    fn an_entry_without_address_says_how_the_certificates_own_is_asked() {
        let entry = |prefix: &str| Override {
            prefix: Some(prefix.to_owned()),
            ..Override::default()
        };
        let overrides = [
            Override {
                nonce: true,
                ..entry("http://a/")
            },
            Override {
                post: true,
                ..entry("http")
            },
        ];
        let ways = |url| {
            let found = responders(&leaf(&[url]), None, &overrides);
            (found[0].url == url, found[0].nonce, found[0].post)
        };
        assert_eq!(ways("http://a/x"), (true, true, false));
        assert_eq!(ways("http://b/"), (true, false, true));
        assert_eq!(responders(&leaf(&[]), Some("ab"), &overrides), []);
        assert!(entry("http://a/").check().is_err());
    }

    #[test]
    fn the_first_override_that_covers_an_address_replaces_it() {
        let overrides = [
            Override::parse("http://a/x=http://one/").unwrap(),
            Override::parse("http://a/=http://two/?q=1").unwrap(),
        ];
        let asked = |urls: &[&str]| urls_of(responders(&leaf(urls), None, &overrides));
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
        let asked = |urls: &[&str], issuer| urls_of(responders(&leaf(urls), issuer, &overrides));
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
