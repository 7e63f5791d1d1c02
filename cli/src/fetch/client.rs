//! HTTP exchanges with responders, within limits: time, size, redirects.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use staplegun_ocsp::{MAX_RESPONSE, UnixTime, http, request};
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector, NativeTlsConnector, SocksConnector,
};
use ureq::{Body, Error};

use super::address;
use super::dial::{Dialler, Inward, Led};
use super::failure::{Failure, Kind};
use super::proxy::{Proxies, Via};
use super::resolve::Resolver;

/// The most redirects that are followed, to http and https only.
const MAX_REDIRECTS: u32 = 3;

/// The longest head of an answer, and of a request, in bytes. For each way a connection holds
/// about as much in memory: ureq's own limits would make that 256 KiB.
const LONGEST_HEAD: usize = 16 << 10;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// One address, to accept a connection.
    pub per_address: Duration,
    /// A whole fetch: every address of every responder, redirects, the answer's
    /// last byte.
    pub total: Duration,
}

impl Patience {
    /// The agent's defaults.
    pub const DEFAULT: Patience = Patience {
        per_address: Duration::from_secs(3),
        total: Duration::from_secs(15),
    };
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub enum Message {
    /// GET of the address as it is.
    Get,
    /// POST of an OCSP request.
    Post(Vec<u8>),
}

/// What came back with status 200.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body, at most [`MAX_RESPONSE`] bytes.
    pub body: Vec<u8>,
    /// The Content-Type, if it is not an OCSP response's.
    pub other_type: Option<Box<str>>,
    /// For how long caches will give out the same answer.
    pub max_age: Option<Duration>,
    /// For how long the responder asked to be left alone: with tryLater, say.
    pub retry_after: Option<Duration>,
    /// The proxy that it came through.
    pub via: Option<Via>,
    /// It is not from who was asked, but from where he sent us.
    pub redirected: bool,
}

/// How long a connection on which nothing was asked is still used.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// Asks, one thing after another. A responder that lets the connection stand is
/// asked again on it; it ends with the client.
#[derive(Debug)]
pub struct Client {
    patience: Patience,
    proxies: Arc<Proxies>,
    agent: ureq::Agent,
    /// Which of a name's addresses comes first.
    first: Arc<AtomicUsize>,
    /// Connections opened so far.
    dialled: Arc<AtomicUsize>,
    /// Where they led.
    led: Arc<Led>,
}

/// Who was asked first, and sends us elsewhere.
struct First {
    host: String,
    is_proxied: bool,
    /// Anybody can reach it.
    is_global: bool,
}

/// What one request came to.
enum Hop {
    Answer(Answer),
    /// Somebody else is to be asked the same.
    Elsewhere(String),
}

impl Client {
    /// Asks through `proxies`.
    pub fn new(patience: Patience, proxies: Arc<Proxies>) -> Self {
        let (first, dialled, led) = (Arc::default(), Arc::default(), Arc::default());
        let dialler = Dialler {
            only_global: false,
            led: Arc::clone(&led),
            per_address: patience.per_address,
            first: Arc::clone(&first),
            dialled: Arc::clone(&dialled),
        };
        Self {
            patience,
            proxies,
            agent: agent(dialler),
            first,
            dialled,
            led,
        }
    }

    /// Asks those to whom somebody redirects; only such that anybody can reach, if
    /// `only_global`. It has no connections yet: none leads elsewhere.
    fn beyond(&self, only_global: bool) -> ureq::Agent {
        agent(Dialler {
            only_global,
            led: Arc::default(),
            per_address: self.patience.per_address,
            first: Arc::clone(&self.first),
            dialled: Arc::clone(&self.dialled),
        })
    }

    /// How long it may take.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Through whom it asks.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Asks `url` and waits until `deadline` at most, which covers everything.
    /// `turn` says which of the name's addresses comes first.
    ///
    /// # Errors
    ///
    /// A [`Failure`] at `url`, with the Retry-After that came, if one did.
    pub fn exchange(
        &mut self,
        url: &str,
        message: &Message,
        deadline: Instant,
        turn: usize,
        now: UnixTime,
    ) -> Result<Answer, Failure> {
        self.first.store(turn, Ordering::Relaxed);
        let dialled = self.dialled.load(Ordering::Relaxed);
        let answer = self.follow(url, message, deadline, now);
        let Err(failure) = &answer else {
            return answer;
        };
        let is_kept = self.dialled.load(Ordering::Relaxed) == dialled;
        if is_kept && matches!(failure.kind, Kind::Connection(_) | Kind::Protocol(_)) {
            // It was asked on a connection that stood, and that the responder may
            // have closed meanwhile (RFC 9112, 9.3.1): that tells nothing.
            *self = Self::new(self.patience, Arc::clone(&self.proxies));
            self.first.store(turn, Ordering::Relaxed);
            return self.follow(url, message, deadline, now);
        }
        answer
    }

    /// Asks, and whoever it is told to ask instead.
    fn follow(
        &self,
        url: &str,
        message: &Message,
        deadline: Instant,
        now: UnixTime,
    ) -> Result<Answer, Failure> {
        let mut at = url.to_owned();
        let mut first: Option<First> = None;
        for _ in 0..=MAX_REDIRECTS {
            let failed = |kind| Failure::at(url, kind);
            let uri = address::parse(&at).map_err(|why| failed(Kind::BadAddress(why)))?;
            let via = self.proxies.for_uri(&uri);
            let via = via.map_err(|why| failed(Kind::Proxy(why)))?;
            let host = uri.host().unwrap_or_default().to_ascii_lowercase();
            let beyond = match &first {
                None => None,
                Some(first) => {
                    let is_proxied = first.is_proxied || via.is_some();
                    if is_proxied && first.host != host && !self.proxies.may_redirect() {
                        return Err(failed(Kind::RedirectByProxy(host)));
                    }
                    // A proxy's own address may be any.
                    Some(self.beyond(first.is_global && via.is_none()))
                }
            };
            let agent = beyond.as_ref().unwrap_or(&self.agent);
            let hop = hop(agent, &uri, via, message, deadline, now);
            match hop.map_err(|failure| failure.through(url, via))? {
                Hop::Answer(answer) => {
                    return Ok(Answer {
                        redirected: first.is_some(),
                        ..answer
                    });
                }
                Hop::Elsewhere(location) => at = location,
            }
            first.get_or_insert_with(|| First {
                host,
                is_proxied: via.is_some(),
                is_global: via.is_none() && self.led.to_global(&uri) != Some(false),
            });
        }
        Err(Failure::at(url, Kind::Redirect))
    }
}

/// What asks, by connections of `dialler`.
fn agent(dialler: Dialler) -> ureq::Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // They are followed here: ureq would drop what is posted.
        .max_redirects(0)
        // Each request has its own.
        .proxy(None)
        .max_idle_connections(1)
        .max_response_header_size(LONGEST_HEAD)
        // More than that, so that a longer one is told as such.
        .input_buffer_size(2 * LONGEST_HEAD)
        .output_buffer_size(LONGEST_HEAD)
        .max_idle_age(MAX_IDLE)
        .user_agent(concat!("staplegun/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    let connector =
        ().chain(TunnelOnly(ConnectProxyConnector::default()))
            .chain(SocksConnector::default())
            .chain(dialler)
            .chain(NativeTlsConnector::default());
    ureq::Agent::with_parts(config, connector, Resolver::default())
}

/// Sends one request.
fn hop(
    agent: &ureq::Agent,
    uri: &Uri,
    via: Option<&Via>,
    message: &Message,
    deadline: Instant,
    now: UnixTime,
) -> Result<Hop, Failure> {
    let failed = |kind| Failure::at("", kind);
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(failed(Kind::Timeout("the responders before it")));
    }
    let proxy = via.map(|via| via.proxy.clone());
    let sent = match message {
        Message::Get => agent
            .get(uri)
            .config()
            .timeout_global(Some(left))
            .proxy(proxy)
            .build()
            .header("Accept", request::RESPONSE_TYPE)
            .call(),
        Message::Post(body) => agent
            .post(uri)
            .config()
            .timeout_global(Some(left))
            .proxy(proxy)
            .build()
            .header("Accept", request::RESPONSE_TYPE)
            .content_type(request::REQUEST_TYPE)
            .send(body.as_slice()),
    };
    let mut response = sent.map_err(|error| failed(kind_of(error)))?;
    let field = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let retry_after = field("retry-after").and_then(|value| http::retry_after(&value, now));
    let status = response.status().as_u16();
    let elsewhere = |to: &str| Ok(Hop::Elsewhere(address::redirected(uri, to)));
    match (status, field("location")) {
        (200, _) => {}
        // The request goes along, whatever it was: without it nothing is asked
        // (RFC 9110, 15.4).
        (301 | 302 | 307 | 308, Some(to)) => return elsewhere(&to),
        // To look at, and not to ask again.
        (303, Some(to)) if matches!(message, Message::Get) => return elsewhere(&to),
        _ => {
            return Err(Failure {
                retry_after,
                ..failed(Kind::HttpStatus(status))
            });
        }
    }
    let other_type = field("content-type")
        .map(|value| value.chars().take(80).collect::<Box<str>>())
        .filter(|value| {
            !value
                .to_ascii_lowercase()
                .starts_with(request::RESPONSE_TYPE)
        });
    let max_age =
        field("cache-control").and_then(|control| http::max_age(&control, field("age").as_deref()));
    let body = read(response.body_mut()).map_err(failed)?;
    Ok(Hop::Answer(Answer {
        body,
        other_type,
        max_age,
        retry_after,
        via: via.cloned(),
        redirected: false,
    }))
}

/// Leaves plain http to the [`Dialler`]: tunnels are for https.
#[derive(Debug)]
struct TunnelOnly(ConnectProxyConnector);

impl Connector<()> for TunnelOnly {
    type Out = <ConnectProxyConnector as Connector<()>>::Out;

    fn connect(
        &self,
        details: &ureq::unversioned::transport::ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        // An https proxy is itself spoken to by TLS, which ureq's tunnel does.
        let secure_proxy = details
            .config
            .proxy()
            .is_some_and(|proxy| proxy.protocol() == ureq::ProxyProtocol::Https);
        if details.needs_tls() || secure_proxy {
            self.0.connect(details, chained)
        } else {
            Ok(None)
        }
    }
}

/// The body, and no more of it than is allowed.
fn read(body: &mut Body) -> Result<Vec<u8>, Kind> {
    let too_large = |length: u64| length > MAX_RESPONSE as u64;
    if body.content_length().is_some_and(too_large) {
        return Err(Kind::TooLarge);
    }
    let mut bytes = Vec::new();
    let limit = MAX_RESPONSE as u64 + 1;
    body.as_reader()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| kind_of(Error::from(error)))?;
    if too_large(bytes.len() as u64) {
        return Err(Kind::TooLarge);
    }
    Ok(bytes)
}

fn kind_of(error: Error) -> Kind {
    match error {
        Error::Timeout(ureq::Timeout::Resolve) => Kind::Timeout("looking up the name"),
        Error::Timeout(ureq::Timeout::Connect) => Kind::Timeout("connecting"),
        Error::Timeout(_) => Kind::Timeout("the answer"),
        Error::HostNotFound => Kind::Unresolved,
        Error::Other(why) => match why.downcast::<Inward>() {
            Ok(inward) => Kind::RedirectInward(inward.0),
            Err(other) => Kind::Connection(other.to_string()),
        },
        // The standard library tells getaddrinfo's errors apart by their text only.
        Error::Io(error) if error.to_string().starts_with("failed to lookup address") => {
            Kind::Unresolved
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Kind::Timeout("the answer")
        }
        Error::Io(error) => Kind::Connection(error.to_string()),
        Error::BadUri(why) => Kind::BadAddress(why),
        Error::Http(why) => Kind::BadAddress(why.to_string()),
        Error::Protocol(why) => Kind::Protocol(why.to_string()),
        why @ Error::LargeResponseHeader(..) => Kind::Protocol(why.to_string()),
        Error::InvalidProxyUrl => Kind::Proxy("its address in the environment is wrong".into()),
        Error::ConnectProxyFailed(why) => Kind::Proxy(why),
        Error::Tls(why) => Kind::Tls(why.to_owned()),
        Error::NativeTls(why) => Kind::Tls(why.to_string()),
        other => Kind::Connection(other.to_string()),
    }
}
