//! Connections to responders: every address gets its own short time, and a proxy
//! for http is asked the way proxies expect it.
//!
//! ureq shares one time among all addresses, the first getting most of it, and
//! speaks to every proxy by CONNECT, which proxies commonly refuse for port 80.
//! Here each address gets the same time, and plain http through a proxy is asked
//! for by the absolute form of the address (RFC 9112, 3.2.2).

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport, time,
};
use ureq::{Error, Timeout};

use super::reach::is_global;

/// Where connections led that were opened: whether to an address that anybody can reach,
/// by the responder's scheme, host and port. One that was kept led where it led then.
#[derive(Debug, Default)]
pub struct Led(Mutex<HashMap<String, bool>>);

/// The most responders of which that is known: a client asks few.
const KNOWN: usize = 64;

impl Led {
    /// Whether the last connection for `uri` led to an address that anybody can reach;
    /// None if that is not known.
    pub fn to_global(&self, uri: &Uri) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&origin(uri)).copied()
    }

    fn note(&self, uri: &Uri, address: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(origin(uri), is_global(address));
    }
}

fn origin(uri: &Uri) -> String {
    format!("{:?} {:?}", uri.scheme(), uri.authority())
}

/// An address to which a redirect may not lead.
#[derive(Debug)]
pub struct Inward(pub IpAddr);

impl fmt::Display for Inward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not to be reached by anybody", self.0)
    }
}

impl std::error::Error for Inward {}

/// Opens TCP connections.
#[derive(Debug)]
pub struct Dialler {
    /// Only to addresses that anybody can reach: whoever says where to go is one whom
    /// anybody can reach. Not through a proxy, whose address tells nothing.
    pub only_global: bool,
    /// Where they led.
    pub led: Arc<Led>,
    /// How long one address may take to accept.
    pub per_address: Duration,
    /// Which of a name's addresses comes first: another one after each failure,
    /// so that one that accepts and then says nothing hides no other.
    pub first: Arc<AtomicUsize>,
    /// How many connections were asked for.
    pub dialled: Arc<AtomicUsize>,
}

impl<In: Transport> Connector<In> for Dialler {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        if let Some(connected) = chained {
            // ureq's own connector has asked a proxy for a tunnel.
            return Ok(Some(Box::new(connected)));
        }
        // Tunnels and SOCKS are ureq's own: to any other proxy plain http goes.
        let Some(proxy) = details.config.proxy() else {
            return self.connect_any(details, &details.addrs, false).map(Some);
        };
        let addresses = details
            .resolver
            .resolve(proxy.uri(), details.config, details.timeout)?;
        let connected = self.connect_any(details, &addresses, true)?;
        Ok(Some(Box::new(ByProxy::new(connected, details.uri, proxy))))
    }
}

impl Dialler {
    fn connect_any(
        &self,
        details: &ConnectionDetails,
        addresses: &ResolvedSocketAddrs,
        is_proxied: bool,
    ) -> Result<Box<dyn Transport>, Error> {
        let count = addresses.len();
        let first = self.first.load(Ordering::Relaxed);
        let started = std::time::Instant::now();
        let mut last = None;
        for turn in 0..count {
            let left = details.timeout.after.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(details.timeout.reason));
            }
            let address = addresses[(first.wrapping_add(turn)) % count];
            if self.only_global && !is_proxied && !is_global(address.ip()) {
                last = Some(Error::Other(Box::new(Inward(address.ip()))));
                continue;
            }
            match connect_one(details, address, left.min(self.per_address)) {
                Ok(connected) => {
                    if !is_proxied {
                        self.led.note(details.uri, address.ip());
                    }
                    return Ok(connected);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::HostNotFound))
    }
}

fn connect_one(
    details: &ConnectionDetails,
    address: std::net::SocketAddr,
    patience: Duration,
) -> Result<Box<dyn Transport>, Error> {
    let mut addrs = details.resolver.empty();
    addrs.push(address);
    let one = ConnectionDetails {
        uri: details.uri,
        addrs,
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: NextTimeout {
            after: time::Duration::Exact(patience),
            reason: Timeout::Connect,
            ..details.timeout
        },
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    };
    match TcpConnector::default().connect(&one, None::<()>)? {
        Some(connected) => Ok(Box::new(connected)),
        None => Err(Error::ConnectionFailed),
    }
}

/// A connection to a proxy for plain http. It completes the request line, which
/// is the first that is sent: `GET /path` becomes `GET http://host/path`.
#[derive(Debug)]
struct ByProxy {
    inner: Box<dyn Transport>,
    /// What belongs before the path, and the header for the proxy; taken with
    /// the first output.
    completion: Option<Completion>,
}

#[derive(Debug)]
struct Completion {
    origin: String,
    authorization: String,
}

impl ByProxy {
    fn new(inner: Box<dyn Transport>, target: &Uri, proxy: &ureq::Proxy) -> Self {
        let authority = target
            .authority()
            .map_or("", |authority| authority.as_str());
        let authorization = match (proxy.username(), proxy.password()) {
            (None, None) => String::new(),
            (user, password) => {
                let pair = format!(
                    "{}:{}",
                    user.unwrap_or_default(),
                    password.unwrap_or_default()
                );
                let encoded = openssl::base64::encode_block(pair.as_bytes());
                format!("Proxy-Authorization: Basic {encoded}\r\n")
            }
        };
        Self {
            inner,
            completion: Some(Completion {
                origin: format!("http://{authority}"),
                authorization,
            }),
        }
    }
}

impl Completion {
    /// The start of the request with what the proxy needs; None if it is none.
    fn apply(&self, request: &[u8]) -> Option<Vec<u8>> {
        let path = request.iter().position(|byte| *byte == b' ')? + 1;
        let line = request.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let (method, path_on) = request.split_at_checked(path)?;
        let (rest_of_line, fields) = path_on.split_at_checked(line.checked_sub(path)?)?;
        Some(
            [
                method,
                self.origin.as_bytes(),
                rest_of_line,
                self.authorization.as_bytes(),
                fields,
            ]
            .concat(),
        )
    }
}

impl Transport for ByProxy {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let Some(completion) = self.completion.take() else {
            return self.inner.transmit_output(amount, timeout);
        };
        let output = self.inner.buffers().output();
        let completed = output
            .get(..amount)
            .and_then(|request| completion.apply(request))
            .ok_or(Error::ConnectionFailed)?;
        output
            .get_mut(..completed.len())
            .ok_or(Error::ConnectionFailed)?
            .copy_from_slice(&completed);
        self.inner.transmit_output(completed.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    /// For one request only: the next one's line would have to be completed too.
    fn is_open(&mut self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_line_gets_the_absolute_form_and_nothing_else_changes() {
        let completion = Completion {
            origin: "http://ocsp.example:8080".to_owned(),
            authorization: "Proxy-Authorization: Basic eDp5\r\n".to_owned(),
        };
        let request = b"POST /a b HTTP/1.1\r\nhost: ocsp.example:8080\r\n\r\nbody";
        let completed = completion.apply(request).unwrap();
        assert_eq!(
            String::from_utf8(completed).unwrap(),
            "POST http://ocsp.example:8080/a b HTTP/1.1\r\n\
             Proxy-Authorization: Basic eDp5\r\nhost: ocsp.example:8080\r\n\r\nbody"
        );
        assert_eq!(completion.apply(b"GET"), None);
    }
}
