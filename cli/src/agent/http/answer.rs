//! What the HTTP server says. Nothing of it may be framed, cached or read by pages of other
//! sites: there are no CORS fields.

use std::sync::{Arc, LazyLock};

use openssl::sha::sha256;

use super::request::Wrong;

/// The page, whole: its style and its script stand in it.
const PAGE: &str = include_str!("page.html");

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sentence.
    Text,
    /// Prometheus' text format.
    Metrics,
    /// JSON.
    Json,
    /// The page.
    Html,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    status: &'static str,
    kind: Kind,
    /// Content-Security-Policy.
    policy: Arc<str>,
    body: Arc<str>,
}

/// What lets the page's own script and style run, and nothing else.
static OF_THE_PAGE: LazyLock<Arc<str>> = LazyLock::new(|| {
    let policy = format!(
        "{NOTHING}; base-uri 'none'; form-action 'none'; connect-src 'self'; img-src data:; \
         script-src 'sha256-{}'; style-src 'sha256-{}'",
        hash(between("<script>", "</script>")),
        hash(between("<style>", "</style>")),
    );
    policy.into()
});

/// What nothing may be loaded by.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// What stands in the page between two tags.
fn between(begin: &str, end: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(begin).unwrap_or_default();
    rest.split_once(end).unwrap_or_default().0
}

fn hash(text: &str) -> String {
    openssl::base64::encode_block(&sha256(text.as_bytes()))
}

impl Answer {
    /// What was asked for.
    pub fn of(kind: Kind, body: Arc<str>) -> Self {
        Self {
            status: "200 OK",
            kind,
            policy: NOTHING.into(),
            body,
        }
    }

    /// The page.
    pub fn page() -> Self {
        Self {
            policy: Arc::clone(&OF_THE_PAGE),
            ..Self::of(Kind::Html, PAGE.into())
        }
    }

    fn sentence(status: &'static str, sentence: &str) -> Self {
        Self {
            status,
            ..Self::of(Kind::Text, format!("{sentence}\n").into())
        }
    }

    /// It cannot be told now.
    pub fn unavailable(why: &str) -> Self {
        Self::sentence("503 Service Unavailable", why)
    }

    /// There is nothing at that path.
    pub fn not_found() -> Self {
        let sentence = "the page is at /, its data at /status.json, the metrics at /metrics";
        Self::sentence("404 Not Found", sentence)
    }

    /// It was asked for by a name that is not its own.
    pub fn misdirected() -> Self {
        let sentence = "asked for by a name that is not of the loopback: name it in hosts, in \
                        [http] of the agent's configuration";
        Self::sentence("421 Misdirected Request", sentence)
    }

    /// It cannot be answered.
    pub fn refused(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Malformed => Self::sentence("400 Bad Request", "not a request that can be read"),
            Wrong::Method => Self::sentence("405 Method Not Allowed", "only GET"),
        }
    }

    /// Status line and header fields.
    pub fn head(&self) -> String {
        let kind = match self.kind {
            Kind::Text => "text/plain; charset=utf-8",
            Kind::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Kind::Json => "application/json",
            Kind::Html => "text/html; charset=utf-8",
        };
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Content-Security-Policy: {}\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.body.len(),
            self.policy,
        )
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
}
