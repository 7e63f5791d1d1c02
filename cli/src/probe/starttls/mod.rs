//! What is said before TLS begins, protocol by protocol. Every answer is read no
//! further than its end and no longer than a limit; nothing is sent but what asks
//! for TLS.

mod binary;
mod text;
mod xmpp;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::connection::Connection;

/// A protocol that begins without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// RFC 3207
    Smtp,
    /// RFC 9051
    Imap,
    /// RFC 2595
    Pop3,
    /// RFC 4217
    Ftp,
    /// PostgreSQL's SSLRequest
    Postgres,
    /// MySQL's and MariaDB's SSLRequest
    Mysql,
    /// RFC 4511
    Ldap,
    /// RFC 6120, as a client
    Xmpp,
}

impl Protocol {
    /// The port that it usually has (IANA).
    pub fn port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Imap => 143,
            Self::Pop3 => 110,
            Self::Ftp => 21,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
            Self::Ldap => 389,
            Self::Xmpp => 5222,
        }
    }

    /// Asks the server to begin TLS; `name` is what it is called.
    pub fn start(self, connection: &mut Connection, name: &str) -> Result<()> {
        let started = match self {
            Self::Smtp => text::smtp(connection),
            Self::Imap => text::imap(connection),
            Self::Pop3 => text::pop3(connection),
            Self::Ftp => text::ftp(connection),
            Self::Postgres => binary::postgres(connection),
            Self::Mysql => binary::mysql(connection),
            Self::Ldap => binary::ldap(connection),
            Self::Xmpp => xmpp::start(connection, name),
        };
        started.with_context(|| format!("no TLS by {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_looked_for_at_the_port_that_iana_gave_it() {
        let ports = Protocol::value_variants().iter().map(|one| one.port());
        let assigned = [25, 143, 110, 21, 5_432, 3_306, 389, 5_222];
        assert_eq!(ports.collect::<Vec<_>>(), assigned);
    }
}
