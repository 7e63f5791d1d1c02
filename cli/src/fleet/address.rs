//! Where the store is: `redis://HOST[:PORT][/DATABASE]`, `rediss://` with TLS, and
//! `redis+sentinel://HOST[:PORT],HOST[:PORT]/NAME`, `rediss+sentinel://`, where those are
//! Sentinels and NAME is what they watch.

use std::fmt;

/// The ports if none is given.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// By TLS.
    pub is_tls: bool,
    /// The store, or the Sentinels that tell where it is.
    pub hosts: Vec<Host>,
    /// What the Sentinels call it; None if there are none.
    pub watched: Option<String>,
    /// The database.
    pub database: u32,
}

impl Address {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(url: &str) -> Result<Self, String> {
        const FORM: &str = "it must be redis://HOST[:PORT], rediss://HOST[:PORT] or \
                            rediss+sentinel://HOST[:PORT],HOST[:PORT]/NAME";
        let (scheme, rest) = url.split_once("://").ok_or(FORM)?;
        let (is_tls, is_sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            "redis+cluster" | "rediss+cluster" | "redis-cluster" | "rediss-cluster" => {
                return Err(
                    "Redis Cluster is not supported: name a standalone Redis or Valkey, \
                            or Sentinels"
                        .to_owned(),
                );
            }
            _ => return Err(FORM.to_owned()),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.contains('@') {
            return Err(
                "user and password do not belong in the URL, which anybody may read: use \
                        user and password-file"
                    .to_owned(),
            );
        }
        let port = if is_sentinel { SENTINEL_PORT } else { PORT };
        let hosts: Vec<Host> = hosts
            .split(',')
            .map(|text| host(text, port))
            .collect::<Result<_, _>>()?;
        if !is_sentinel && hosts.len() > 1 {
            return Err(format!(
                "several hosts are Sentinels or a Cluster: use redis+sentinel:// for the former; \
                 Redis Cluster is not supported; else {FORM}"
            ));
        }
        let (watched, database) = match (is_sentinel, path) {
            (true, "") => {
                return Err("the name that the Sentinels watch is missing: .../NAME".to_owned());
            }
            (true, name) => (Some(name.to_owned()), 0),
            (false, "") => (None, 0),
            (false, number) => (None, number.parse().map_err(|_| FORM)?),
        };
        Ok(Self {
            is_tls,
            hosts,
            watched,
            database,
        })
    }
}

fn host(text: &str, port: u16) -> Result<Host, String> {
    let named = crate::fetch::port_of(text)?;
    let end = match named {
        Some(_) => text.rfind(':').unwrap_or(text.len()),
        None => text.trim_end_matches(':').len(),
    };
    let name = text[..end].trim_start_matches('[').trim_end_matches(']');
    Ok(Host {
        name: name.to_owned(),
        port: match named {
            Some(0) => return Err("port 0 is nobody's".to_owned()),
            named => named.unwrap_or(port),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        let address = Address::parse(url).expect(url);
        address.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_makes_sense_is_read() {
        assert_eq!(hosts("redis://a"), ["a:6379"]);
        assert_eq!(hosts("rediss://a:7/3"), ["a:7"]);
        assert_eq!(hosts("redis://[::1]"), ["[::1]:6379"]);
        assert_eq!(hosts("redis://[::1]:7"), ["[::1]:7"]);
        let both = Address::parse("rediss+sentinel://a,b:7/mine").unwrap();
        assert!(both.is_tls);
        assert_eq!(both.watched.as_deref(), Some("mine"));
        assert_eq!(hosts("redis+sentinel://a,b:7/mine"), ["a:26379", "b:7"]);
        assert_eq!(Address::parse("redis://a/3").unwrap().database, 3);
    }

    #[test]
    fn what_does_not_is_refused_and_a_cluster_by_name() {
        for (url, word) in [
            ("a", "redis://HOST"),
            ("http://a", "redis://HOST"),
            ("redis://", "host"),
            ("redis://a:99999", "port"),
            ("redis://a:0", "port 0"),
            ("redis://a/x", "redis://HOST"),
            ("redis://user:word@a", "password-file"),
            ("redis://a,b", "Cluster is not supported"),
            ("rediss+cluster://a,b", "Redis Cluster is not supported"),
            ("redis+sentinel://a", "NAME"),
        ] {
            let why = Address::parse(url).expect_err(url);
            assert!(why.contains(word), "{url}: {why}");
        }
    }
}
