//! What a port speaks before TLS, by the program that listens on it or else by its number.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::probe::Starttls;

/// How TLS begins on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// With the first byte.
    Tls,
    /// After words of that protocol.
    Starttls(Starttls),
}

/// Programs that speak one protocol wherever they listen, but on the ports of TLS; by how
/// their path ends.
const PROGRAMS: &[(&str, Starttls)] = &[
    ("postgres", Starttls::Postgres),
    ("pgbouncer", Starttls::Postgres),
    ("mariadbd", Starttls::Mysql),
    ("mysqld", Starttls::Mysql),
    ("vsftpd", Starttls::Ftp),
    ("proftpd", Starttls::Ftp),
    ("pure-ftpd", Starttls::Ftp),
    ("postfix/sbin/master", Starttls::Smtp),
    ("postfix/sbin/smtpd", Starttls::Smtp),
    ("exim4", Starttls::Smtp),
];

/// Ports that speak it whoever listens (IANA).
const PORTS: &[(u16, Starttls)] = &[
    (21, Starttls::Ftp),
    (25, Starttls::Smtp),
    (110, Starttls::Pop3),
    (143, Starttls::Imap),
    (389, Starttls::Ldap),
    (587, Starttls::Smtp),
    (2525, Starttls::Smtp),
    (3306, Starttls::Mysql),
    (5222, Starttls::Xmpp),
    (5432, Starttls::Postgres),
];

/// Ports of such protocols where TLS begins at once (IANA): smtps, ldaps, ftps, imaps, pop3s.
const IMPLICIT: &[u16] = &[465, 636, 990, 993, 995];

/// Programs that listen for others, which have the TLS library in their place; by how their
/// path ends.
const FOR_OTHERS: &[&str] = &["postfix/sbin/master", "sbin/dovecot"];

impl Protocol {
    /// What a program speaks on a port.
    pub fn of(program: Option<&Path>, port: u16) -> Self {
        if IMPLICIT.contains(&port) {
            return Self::Tls;
        }
        let is_it = |end: &str| program.is_some_and(|path| path.ends_with(end));
        let by_program = PROGRAMS.iter().find(|(end, _)| is_it(end));
        let by_port = PORTS.iter().find(|(number, _)| *number == port);
        let starttls = by_program.map(|(_, it)| it).or(by_port.map(|(_, it)| it));
        starttls.map_or(Self::Tls, |it| Self::Starttls(*it))
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Whether a program listens for others, so that it need not have a TLS library itself.
pub fn listens_for_others(program: &Path) -> bool {
    FOR_OTHERS.iter().any(|end| program.ends_with(end))
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls => f.write_str("tls"),
            Self::Starttls(protocol) => write!(f, "{}", format!("{protocol:?}").to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_says_more_than_the_port() {
        use Protocol::{Starttls as Plain, Tls};
        for (program, port, protocol) in [
            ("/usr/sbin/nginx", 443, Tls),
            ("/usr/sbin/nginx", 143, Plain(Starttls::Imap)),
            (
                "/usr/lib/postgresql/15/bin/postgres",
                40_000,
                Plain(Starttls::Postgres),
            ),
            (
                "/usr/lib/postfix/sbin/master",
                10_025,
                Plain(Starttls::Smtp),
            ),
            ("/usr/lib/postfix/sbin/master", 465, Tls),
            ("/opt/master", 10_025, Tls),
            ("/usr/sbin/vsftpd", 21, Plain(Starttls::Ftp)),
            ("/usr/sbin/vsftpd", 990, Tls),
        ] {
            let path = Some(Path::new(program));
            assert_eq!(Protocol::of(path, port), protocol, "{program} {port}");
        }
        assert_eq!(Protocol::of(None, 5432), Plain(Starttls::Postgres));
        assert_eq!(Protocol::of(None, 636), Tls);
    }
}
