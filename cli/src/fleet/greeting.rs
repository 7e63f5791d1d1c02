//! A connection's beginning: who answers there, whether it may be used, and that it tells
//! us of what is new. One question after the other, within one deadline.

use std::time::{Duration, Instant};

use openssl::ssl::SslConnector;

use super::address::{Address, Host};
use super::keys::Keys;
use super::resp::{self, Received, Value};
use super::secret::Secret;
use super::sentinel;
use super::settings::{FleetSettings, Mode};
use super::socket::Socket;
use super::tls;
use super::trouble::Trouble;

/// How long a connection may take, from its first packet to the last reply.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How much is read at once.
pub const CHUNK: usize = 16 << 10;
/// What reads scripts' `sha1hex`, RESP3 and `SET ... NX PX` all alike.
const OLDEST: (u32, u32) = (6, 2);

/// Where the store is, and how to get in.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where it is.
    address: Address,
    /// Its names.
    pub keys: Keys,
    /// Whether anything is written.
    writes: bool,
    tls: Option<SslConnector>,
    user: Option<String>,
    password: Secret,
    sentinel_password: Secret,
}

/// A connection of which nothing has been said yet, or one reply after the other.
#[derive(Debug)]
pub struct Talk {
    /// The connection.
    pub socket: Socket,
    /// What came and was not yet read.
    pub received: Received,
    /// Until when all of it may take.
    pub deadline: Instant,
}

impl Way {
    /// By the settings. Reads the files that they name.
    ///
    /// # Errors
    ///
    /// If a file cannot be used.
    pub fn new(address: Address, settings: &FleetSettings) -> anyhow::Result<Self> {
        let password = Secret::new(settings.password_file.as_deref());
        let sentinel_password = Secret::new(settings.sentinel_password_file.as_deref());
        for secret in [&password, &sentinel_password] {
            secret.read().map_err(anyhow::Error::msg)?;
        }
        Ok(Self {
            tls: address
                .is_tls
                .then(|| tls::connector(settings))
                .transpose()?,
            address,
            keys: Keys::new(&settings.prefix),
            writes: settings.mode == Mode::Share,
            user: settings.user.clone(),
            password,
            sentinel_password,
        })
    }

    /// A connection that is ready, and what answers there.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with it.
    pub fn connect(&self, listens: bool) -> Result<(Talk, String), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        if self.address.watched.is_none() {
            return self.connect_to(&self.address.hosts[0], listens, deadline);
        }
        for (asked, sentinel) in self.address.hosts.iter().enumerate() {
            let rest = u32::try_from(self.address.hosts.len() - asked).unwrap_or(1);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.find(sentinel, Instant::now() + left / rest) {
                Ok(host) => return self.connect_to(&host, listens, deadline),
                Err(trouble) => last = Some(trouble),
            }
        }
        Err(last.unwrap_or_else(|| Trouble::new("sentinel", "no Sentinel is named")))
    }

    fn find(&self, sentinel: &Host, deadline: Instant) -> Result<Host, Trouble> {
        let mut talk = Talk::open(sentinel, self.tls.as_ref(), deadline)?;
        if let Some(password) = password(&self.sentinel_password)? {
            talk.ok([b"AUTH".as_slice(), &password])?;
        }
        let name = self.address.watched.as_deref().unwrap_or_default();
        let reply = talk.exchange(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])?;
        sentinel::host(reply, name, sentinel)
    }

    fn connect_to(
        &self,
        host: &Host,
        listens: bool,
        deadline: Instant,
    ) -> Result<(Talk, String), Trouble> {
        let mut talk = Talk::open(host, self.tls.as_ref(), deadline)?;
        let password = password(&self.password)?;
        let user = self.user.as_deref().unwrap_or("default");
        let hello = match &password {
            None => talk.exchange(["HELLO", "3"])?,
            Some(password) => talk.exchange([
                b"HELLO".as_slice(),
                b"3",
                b"AUTH",
                user.as_bytes(),
                password.as_slice(),
            ])?,
        };
        let about = about(&hello, host, self.writes)?;
        if self.address.database != 0 {
            talk.ok(["SELECT", &self.address.database.to_string()])?;
        }
        if self.writes {
            // Full, read-only or forbidden: known before anybody waits for it.
            talk.ok(["SET", &self.keys.probe(), "1", "PX", "1000"])?;
        }
        if listens {
            talk.exchange(["SUBSCRIBE", &self.keys.channel()])?;
        }
        Ok((talk, about))
    }
}

fn password(secret: &Secret) -> Result<Option<Vec<u8>>, Trouble> {
    secret.read().map_err(|why| Trouble::new("password", why))
}

impl Talk {
    fn open(host: &Host, tls: Option<&SslConnector>, deadline: Instant) -> Result<Self, Trouble> {
        Ok(Self {
            socket: Socket::connect(host, tls, deadline)?,
            received: Received::default(),
            deadline,
        })
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// If none comes in time, and if it is an error.
    pub fn exchange<A: AsRef<[u8]>>(
        &mut self,
        words: impl IntoIterator<Item = A>,
    ) -> Result<Value, Trouble> {
        self.send(resp::command(words))
    }

    /// The same for a command that is ready to be sent.
    ///
    /// # Errors
    ///
    /// As [`Talk::exchange`].
    pub fn send(&mut self, mut command: Vec<u8>) -> Result<Value, Trouble> {
        let ended =
            |error| Trouble::new("connection", format_args!("the connection ended: {error}"));
        let mut buffer = vec![0; CHUNK];
        loop {
            if !command.is_empty() {
                let written = self.socket.write(&command).map_err(ended)?;
                command.drain(..written);
            }
            let read = self.socket.read(&mut buffer).map_err(ended)?;
            self.received.add(&buffer[..read]);
            match self.received.next() {
                Ok(Some(Value::Error(text))) => return Err(Trouble::of_error(&text)),
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(malformed) => return Err(Trouble::new("protocol", malformed)),
            }
            if read == 0 && !self.socket.wait(!command.is_empty(), self.deadline) {
                return Err(Trouble::new("timeout", "it takes too long to answer"));
            }
        }
    }

    fn ok<A: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = A>) -> Result<(), Trouble> {
        self.exchange(words).map(|_| ())
    }
}

/// What answers, from HELLO's reply; whether it is something that can be used.
fn about(hello: &Value, host: &Host, writes: bool) -> Result<String, Trouble> {
    let Value::List(fields) = hello else {
        return Err(Trouble::new("protocol", resp::Malformed::Garbage));
    };
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| pair[0].text() == Some(name));
        pair.and_then(|pair| pair[1].text()).unwrap_or_default()
    };
    let (server, version) = (field("server"), field("version"));
    let about: String = format!("{server} {version} at {host}")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    if field("mode") == "cluster" {
        return Err(Trouble::new(
            "cluster",
            format_args!(
                "{about} is a node of a Redis Cluster, which is not supported: name a standalone \
                 Redis or Valkey, or Sentinels"
            ),
        ));
    }
    if field("mode") == "sentinel" {
        return Err(Trouble::new(
            "sentinel",
            format_args!("{about} is a Sentinel: use redis+sentinel://.../NAME"),
        ));
    }
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if number < OLDEST {
        return Err(Trouble::new(
            "too_old",
            format_args!("{about} is too old: it must be Redis 6.2 or later, or Valkey"),
        ));
    }
    if writes && matches!(field("role"), "replica" | "slave") {
        return Err(Trouble::new(
            "read_only",
            format_args!(
                "{about} is a replica, which is not written: name the one that is, or Sentinels"
            ),
        ));
    }
    Ok(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(mode: &str, version: &str, role: &str) -> Value {
        let pairs = [
            ("server", "redis"),
            ("version", version),
            ("mode", mode),
            ("role", role),
        ];
        let words = pairs.into_iter().flat_map(|(name, value)| [name, value]);
        Value::List(words.map(|word| Value::Bytes(word.into())).collect())
    }

    #[test]
    fn who_answers_is_refused_by_name_where_it_cannot_be_used() {
        let host = Host {
            name: "h".to_owned(),
            port: 1,
        };
        let told = |mode, version, role, writes| about(&hello(mode, version, role), &host, writes);
        assert_eq!(
            told("standalone", "7.0.15", "master", true).as_deref(),
            Ok("redis 7.0.15 at h:1")
        );
        assert!(told("standalone", "10.1", "replica", false).is_ok());
        for (mode, version, role, cause, word) in [
            ("cluster", "7.0", "master", "cluster", "Redis Cluster"),
            ("sentinel", "7.0", "sentinel", "sentinel", "redis+sentinel"),
            ("standalone", "6.0.16", "master", "too_old", "6.2"),
            ("standalone", "7.0", "replica", "read_only", "replica"),
        ] {
            let trouble = told(mode, version, role, true).expect_err(mode);
            assert_eq!(trouble.cause, cause);
            assert!(trouble.why.contains(word), "{trouble}");
        }
    }
}
