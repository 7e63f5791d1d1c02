//! In which lane a responder is asked: that of its address, since many names may stand for
//! one. Its address is looked up in the thread that asks; until it is known, and behind a
//! proxy, the lane is the name's.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fetch::Proxies;

/// How long an address counts that was looked up.
const LIFE: Duration = Duration::from_secs(300);
/// The most names whose addresses are remembered.
const NAMES: usize = 1024;
/// What a lane's name begins with whose responder's address is not known yet.
const UNKNOWN: char = '?';

/// The addresses of names.
#[derive(Debug, Default)]
pub struct Addresses(Mutex<HashMap<String, (SocketAddr, Instant)>>);

impl Addresses {
    /// The lane of the responder at `url`. Looks nothing up.
    pub fn lane(&self, url: &str, proxies: &Proxies) -> String {
        let name = host_and_port(url);
        let uri = url.parse();
        // A proxy looks up the name itself, and has one address for all.
        if uri.is_ok_and(|uri| !matches!(proxies.for_uri(&uri), Ok(None))) {
            return name;
        }
        match self.known(&name) {
            Some(address) => address.to_string(),
            None => format!("{UNKNOWN}{name}"),
        }
    }

    /// The lane of the address, if `lane` is that of a name whose address was not known,
    /// and can be looked up.
    pub fn look_up(&self, lane: &str) -> Option<String> {
        let name = lane.strip_prefix(UNKNOWN)?;
        let address = self.known(name).or_else(|| {
            // The least: it is the same for all names of the same addresses.
            let address = name.to_socket_addrs().ok()?.min()?;
            let mut known = self.lock();
            if known.len() >= NAMES {
                known.clear();
            }
            known.insert(name.to_owned(), (address, Instant::now()));
            Some(address)
        })?;
        Some(address.to_string())
    }

    fn known(&self, name: &str) -> Option<SocketAddr> {
        if let Ok(address) = name.parse() {
            return Some(address);
        }
        let known = self.lock();
        let (address, since) = known.get(name)?;
        (since.elapsed() < LIFE).then_some(*address)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (SocketAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `HOST:PORT`, where the port may follow from the scheme.
pub fn host_and_port(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest[..end].rsplit('@').next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, port)| {
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
            if is_port { host } else { authority }
        });
    let port = &authority[host.len()..];
    let usual = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    let port = if port.len() > 1 { port } else { usual };
    let bare = host.trim_matches(['[', ']']);
    match bare.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]{port}"),
        _ => format!("{}{port}", host.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responder_is_told_by_host_and_port() {
        for (url, told) in [
            ("http://a:8080/x/y", "a:8080"),
            ("http://A/", "a:80"),
            ("https://a?q", "a:443"),
            ("HTTPS://u:p@a:/", "a:443"),
            ("http://127.0.0.1:1/", "127.0.0.1:1"),
            ("http://[::0:1]/", "[::1]:80"),
            ("http://[::1]:81/", "[::1]:81"),
        ] {
            assert_eq!(host_and_port(url), told, "{url}");
        }
    }

    #[test]
    fn names_of_one_address_share_its_lane_once_it_is_known() {
        let addresses = Addresses::default();
        let proxies = Proxies::default();
        let lane = |url| addresses.lane(url, &proxies);
        assert_eq!(lane("http://127.0.0.1:81/x"), "127.0.0.1:81");
        let name = lane("http://localhost:81/y");
        assert_eq!(name, "?localhost:81");
        let known = addresses.look_up(&name).expect("it is in /etc/hosts");
        assert_eq!(lane("http://localhost:81/z"), known);
        assert_eq!(addresses.look_up("?nobody.invalid:80"), None);
        assert_eq!(addresses.look_up(&known), None, "it is known");
    }
}
