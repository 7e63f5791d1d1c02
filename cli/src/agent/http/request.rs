//! What a client asks for, and by which name.

use std::net::IpAddr;

/// More header fields than a browser or Prometheus sends.
const FIELDS: usize = 64;

/// A request that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'h> {
    /// The path, without a query.
    pub path: &'h str,
    /// The name by which the server was asked for (Host), without a port.
    host: Option<&'h str>,
}

/// Why a request cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not HTTP, or longer than is read.
    Malformed,
    /// It would change something.
    Method,
}

impl<'h> Request<'h> {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(head: &'h [u8]) -> Result<Self, Wrong> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
            return Err(Wrong::Malformed);
        }
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(Wrong::Malformed);
        };
        if method != "GET" {
            return Err(Wrong::Method);
        }
        let mut hosts = request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case("host"));
        let host = match (hosts.next(), hosts.next()) {
            (Some(field), None) => {
                Some(std::str::from_utf8(field.value).map_err(|_| Wrong::Malformed)?)
            }
            // HTTP/1.0 need not say it.
            (None, _) if request.version == Some(0) => None,
            _ => return Err(Wrong::Malformed),
        };
        Ok(Self {
            path: target.split('?').next().unwrap_or_default(),
            host: host.map(without_port),
        })
    }

    /// Whether it is for a name of the loopback or one of `hosts`. A page of another site whose
    /// name leads here would have its own name in it (DNS rebinding).
    pub fn is_for(&self, hosts: &[String]) -> bool {
        let Some(host) = self.host else {
            return true;
        };
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback())
            || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Result<Request<'_>, Wrong> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn a_request_has_a_path_and_a_name() {
        let request = of("GET /status.json?x=1 HTTP/1.1\r\nHost: localhost:9919\r\n\r\n").unwrap();
        assert_eq!(request.path, "/status.json");
        assert_eq!(request.host, Some("localhost"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (head, wrong) in [
            ("", Wrong::Malformed),
            ("GET / HTTP/1.1\r\n", Wrong::Malformed),
            ("GET / HTTP/1.1\r\n\r\n", Wrong::Malformed),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
                Wrong::Malformed,
            ),
            ("\u{16}\u{3}\u{1}", Wrong::Malformed),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", Wrong::Method),
        ] {
            assert_eq!(of(head), Err(wrong), "{head:?}");
        }
        let many = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "A: b\r\n".repeat(FIELDS)
        );
        assert_eq!(of(&many), Err(Wrong::Malformed));
    }

    #[test]
    fn only_names_of_the_loopback_and_those_of_the_configuration_are_answered() {
        let hosts = vec!["status.example".to_owned(), "10.0.0.5".to_owned()];
        for (host, is_ours) in [
            ("localhost", true),
            ("LOCALHOST:9919", true),
            ("127.0.0.1:9919", true),
            ("127.9.9.9", true),
            ("[::1]:9919", true),
            ("[::1]", true),
            ("Status.Example:80", true),
            ("10.0.0.5", true),
            ("10.0.0.6", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost:x", false),
            ("", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(of(&head).unwrap().is_for(&hosts), is_ours, "{host:?}");
        }
        assert!(of("GET / HTTP/1.0\r\n\r\n").unwrap().is_for(&hosts));
    }
}
