//! `openssl ocsp -index … -port …`, a real responder.

use std::time::SystemTime;

use der::DateTime;

use crate::directory::Directory;
use crate::pki::{Identity, from_now};
use crate::program::{Program, Server};

/// What the responder is to say of a certificate. One not in its index is
/// unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Good.
    Good,
    /// Revoked an hour ago.
    Revoked,
}

/// `openssl ocsp` as a child, on a port that the kernel chose.
///
/// It listens on every address, since it has no option for one; the URL is the
/// loopback's.
pub struct OpensslResponder {
    server: Server,
    directory: Directory,
}

impl OpensslResponder {
    /// Starts a responder for what `issuer` issued; `signer` signs: the issuer
    /// itself or a delegate. Its responses are valid for a day.
    pub fn start(issuer: &Identity, signer: &Identity, index: &[(&Identity, Status)]) -> Self {
        let directory = Directory::new();
        directory.write("index.txt", index_text(index));
        directory.write("ca.pem", issuer.pem());
        directory.write("signer.pem", signer.pem());
        directory.write("signer.key", signer.key.pem());
        let file = |name| directory.join(name).into_os_string();
        let server = Program::new("openssl")
            .args(["ocsp", "-port", "0", "-ndays", "1"])
            .args([
                "-index".into(),
                file("index.txt"),
                "-CA".into(),
                file("ca.pem"),
            ])
            .args(["-rsigner".into(), file("signer.pem")])
            .args(["-rkey".into(), file("signer.key")])
            .start();
        Self { server, directory }
    }

    /// Its address, as it may stand in a certificate.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.server.port())
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Replaces what it knows. It looks at its index again before the next
    /// request.
    pub fn set_index(&self, index: &[(&Identity, Status)]) {
        self.directory.write("index.txt", index_text(index));
    }
}

/// The index of `openssl ca`: status, expiry, revocation, serial, file, subject.
fn index_text(index: &[(&Identity, Status)]) -> String {
    let expiry = index_time(from_now(90 * 86_400));
    let an_hour_ago = index_time(from_now(-3_600));
    index
        .iter()
        .map(|(identity, status)| {
            let hex = |byte: &u8| format!("{byte:02X}");
            let serial: String = identity.serial().iter().map(hex).collect();
            let (letter, revoked) = match status {
                Status::Good => ('V', ""),
                Status::Revoked => ('R', an_hour_ago.as_str()),
            };
            format!("{letter}\t{expiry}\t{revoked}\t{serial}\tunknown\t/CN={serial}\n")
        })
        .collect()
}

/// YYMMDDHHMMSSZ, in UTC.
fn index_time(time: SystemTime) -> String {
    let time = DateTime::from_system_time(time).expect("after 1970");
    format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}Z",
        time.year() % 100,
        time.month(),
        time.day(),
        time.hour(),
        time.minutes(),
        time.seconds()
    )
}
