//! Why no response came of asking: one stable word for each cause, and a
//! sentence that says what to do.

use std::fmt;
use std::time::Duration;

use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{Fault, UnixTime};

use super::proxy::Via;
use super::staple::Staple;

/// What went wrong with one request, or with what came back.
#[derive(Debug)]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// Who was asked; empty if nobody was.
    pub responder: String,
    /// The proxy in between, and who named it.
    pub proxy: Option<Box<Via>>,
    /// For how long the responder asked to be left alone (Retry-After).
    pub retry_after: Option<Duration>,
}

/// The kinds of failure.
#[derive(Debug)]
pub enum Kind {
    /// Neither the certificate nor the configuration names a responder.
    NoResponder,
    /// The certificate that issued the leaf was not found, with what is to be added.
    NoIssuer(&'static str),
    /// The issuer's certificate ended then, and no renewed one is known.
    IssuerExpired(UnixTime),
    /// No answer in time.
    Timeout(&'static str),
    /// The responder's name has no address.
    Unresolved,
    /// No connection, or it broke.
    Connection(String),
    /// The address cannot be used.
    BadAddress(String),
    /// Too many redirects, or one that may not be followed.
    Redirect,
    /// A redirect from an address that anybody can reach to one that not everybody can.
    RedirectInward(std::net::IpAddr),
    /// A redirect to that other host, through a proxy: where it leads cannot be seen.
    RedirectByProxy(String),
    /// An answer that is no HTTP.
    Protocol(String),
    /// The proxy refused.
    Proxy(String),
    /// TLS to an https responder failed.
    Tls(String),
    /// A status other than 200.
    HttpStatus(u16),
    /// More than 64 KiB.
    TooLarge,
    /// The answer cannot be stapled, short of its signature.
    Response {
        /// What is wrong with it.
        fault: Fault,
        /// The Content-Type that came with it, if it was not OCSP's.
        content_type: Option<Box<str>>,
    },
    /// The answer can be stapled from a moment on that has not come.
    Early {
        /// The answer.
        staple: Box<Staple>,
        /// When, in words.
        fault: Fault,
    },
    /// The responder asked to be left alone, for so long yet; it was not asked.
    LeftAlone(Duration),
    /// The response repeats another nonce than was sent.
    OtherNonce,
    /// The signature, or the signer's right to sign, does not hold.
    Signer(super::verify::Unverified),
}

impl Failure {
    /// A failure at `responder` without Retry-After.
    pub fn at(responder: &str, kind: Kind) -> Self {
        Self {
            kind,
            responder: responder.to_owned(),
            proxy: None,
            retry_after: None,
        }
    }

    /// The same failure of asking `responder`, which was done through `via`.
    pub(super) fn through(mut self, responder: &str, via: Option<&Via>) -> Self {
        responder.clone_into(&mut self.responder);
        let Some(via) = via else {
            return self;
        };
        self.proxy = Some(Box::new(via.clone()));
        self.kind = match self.kind {
            Kind::Unresolved if via.looks_up_names() => {
                Kind::Proxy("its name has no address; check DNS".to_owned())
            }
            Kind::HttpStatus(407) => {
                Kind::Proxy("it wants a user and a password (407): write USER:PASSWORD@".to_owned())
            }
            kind => kind,
        };
        self
    }

    /// A stable word in snake_case, for logs, metrics and notes.
    pub fn cause(&self) -> &'static str {
        match &self.kind {
            Kind::NoResponder => "no_responder",
            Kind::NoIssuer(_) => "no_issuer",
            Kind::IssuerExpired(_) => "issuer_expired",
            Kind::Timeout(_) => "timeout",
            Kind::Unresolved => "unresolved",
            Kind::Connection(_) => "connection",
            Kind::BadAddress(_) => "bad_address",
            Kind::Redirect | Kind::RedirectInward(_) | Kind::RedirectByProxy(_) => "redirect",
            Kind::Protocol(_) => "protocol",
            Kind::Proxy(_) => "proxy",
            Kind::Tls(_) => "tls",
            Kind::HttpStatus(_) => "http_status",
            Kind::TooLarge => "too_large",
            Kind::Response { fault, .. } | Kind::Early { fault, .. } => fault.cause(),
            Kind::LeftAlone(_) => "retry_after",
            Kind::OtherNonce => "wrong_nonce",
            Kind::Signer(unverified) => unverified.cause(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.responder.is_empty() {
            write!(f, "{}: ", self.responder)?;
        }
        match &self.kind {
            Kind::NoResponder => write!(
                f,
                "the certificate names no OCSP responder; name one in the configuration \
                 if its CA has one"
            ),
            Kind::NoIssuer(why) => write!(
                f,
                "the certificate's issuer is not known: it is neither in the certificate's file, \
                 nor in trusted-issuers, nor among the machine's CA certificates{why}; append it \
                 to the certificate's file"
            ),
            Kind::IssuerExpired(end) => write!(
                f,
                "nothing counts that the issuer's certificate signs, which ended at {}: put the \
                 renewed one of the CA in its place in the certificate's file",
                Rfc3339(*end)
            ),
            Kind::Timeout(what) => write!(f, "{what} took too long"),
            Kind::Unresolved => write!(f, "the responder's name has no address; check DNS"),
            Kind::Connection(why) => write!(f, "no answer: {why}"),
            Kind::BadAddress(why) => write!(f, "the address cannot be used: {why}"),
            Kind::Redirect => write!(f, "redirected too often, or away from http and https"),
            Kind::RedirectInward(address) => write!(
                f,
                "redirected from a public address to {address}, which is none, and not followed: \
                 name it by [[responder]] if the responder does lie there"
            ),
            Kind::RedirectByProxy(host) => write!(
                f,
                "redirected to another host ({host:?}) behind the proxy, and not followed: allow \
                 it by redirects = true in [proxy], or name it by [[responder]]"
            ),
            Kind::Protocol(why) => write!(f, "the answer is not HTTP: {why}"),
            Kind::Proxy(why) => write!(f, "the proxy did not let us through: {why}"),
            Kind::Tls(why) => write!(f, "no TLS with the responder: {why}"),
            Kind::HttpStatus(status) => write!(f, "HTTP status {status} instead of 200"),
            Kind::TooLarge => write!(
                f,
                "the answer has more than {} bytes; check that the address is an OCSP responder's",
                staplegun_ocsp::MAX_RESPONSE
            ),
            Kind::Response {
                fault,
                content_type,
            } => {
                write!(f, "{fault}")?;
                match content_type {
                    Some(found) => write!(f, " (its Content-Type is {found:?})"),
                    None => Ok(()),
                }
            }
            Kind::Early { fault, .. } => write!(f, "{fault}"),
            Kind::LeftAlone(left) => write!(
                f,
                "not asked: the responder wants to be left alone for another {} s (Retry-After); \
                 a reload of the agent asks it now",
                left.as_secs().saturating_add(1)
            ),
            Kind::OtherNonce => write!(
                f,
                "the response answers somebody else's request: its nonce is not the one that was \
                 sent; something before the responder may keep its answers"
            ),
            Kind::Signer(unverified) => write!(f, "{unverified}"),
        }?;
        match &self.proxy {
            Some(proxy) => write!(f, " (asked through {proxy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::super::proxy::Proxies;
    use super::*;

    #[test]
    fn a_name_without_address_is_the_proxys_if_that_looks_up_names_and_else_the_responders() {
        let responder = "http://responder.invalid/";
        for (proxy, cause) in [
            ("http://p:1", "proxy"),
            ("https://p:1", "proxy"),
            ("socks4a://p:1", "proxy"),
            ("socks5h://p:1", "proxy"),
            ("socks4://p:1", "unresolved"),
            ("socks5://p:1", "unresolved"),
        ] {
            let settings = toml::from_str(&format!("http = '{proxy}'")).unwrap();
            let proxies = Proxies::new(&settings);
            let via = proxies.for_uri(&responder.parse().unwrap()).unwrap();
            let failure = Failure::at("", Kind::Unresolved).through(responder, via);
            assert_eq!(failure.cause(), cause, "{proxy}");
            let told = format!("(asked through the proxy {proxy} that proxy.http names)");
            assert!(failure.to_string().ends_with(&told), "{failure}");
        }
    }
}
