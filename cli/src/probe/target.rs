//! HOST:PORT as operators write it.

use std::fmt;
use std::str::FromStr;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, if one was given.
    pub port: Option<u16>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST, HOST:PORT or [ADDRESS]:PORT");
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            match rest.strip_prefix(':') {
                None if rest.is_empty() => (host, None),
                None => return Err(wrong()),
                port => (host, port),
            }
        } else {
            match text.split_once(':') {
                // More than one colon: an IPv6 address without a port.
                Some((_, rest)) if rest.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = port
            .map(|port| port.parse::<u16>().map_err(|_| wrong()))
            .transpose()?;
        let unfit =
            |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || byte == b'/';
        if host.is_empty() || host.bytes().any(unfit) || port == Some(0) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("example.org", "example.org", None),
            ("example.org:8443", "example.org", Some(8443)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:443", "::1", Some(443)),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
            // As it is told, it may be given again.
            let again: Target = target.to_string().parse().expect(text);
            assert_eq!((again.host, again.port), (target.host, target.port));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            ":443",
            "a:b",
            "a:0",
            "a:65536",
            "[::1",
            "[::1]x",
            "https://a/",
            "a b",
            "a\u{7}",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
