//! gnutls-cli, a client of another TLS library: it refuses a must-staple
//! certificate without a good staple.

use staplegun_testkit::program::Program;
use staplegun_testkit::{Host, Server, Site, Tls};

/// What it said, and whether it accepted the server.
pub struct Verdict {
    pub accepted: bool,
    pub words: String,
}

/// The protocols before TLS that it does not speak.
const UNKNOWN: [&str; 1] = ["mysql"];

/// Whether it can talk to the server at all.
pub fn can_visit(host: &impl Host) -> bool {
    !host.starttls().is_some_and(|name| UNKNOWN.contains(&name))
}

/// Makes one handshake of that version.
pub fn visit(host: &impl Host, server: &Server, site: &Site, tls: Tls) -> Verdict {
    let version = match tls {
        Tls::V1_2 => "VERS-TLS1.2",
        Tls::V1_3 => "VERS-TLS1.3",
    };
    let mut program = Program::new("timeout")
        .args(["20", "gnutls-cli", "--port", &server.port().to_string()])
        .args(["--priority", &format!("NORMAL:-VERS-ALL:+{version}")])
        .args(["--sni-hostname", "localhost"])
        .args(["--verify-hostname", "localhost"])
        .arg("--x509cafile")
        .arg(site.path("ca.pem"));
    if let Some(protocol) = host.starttls() {
        program = program.arg(format!("--starttls-proto={protocol}"));
    }
    let output = program.arg("127.0.0.1").run();
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).into_owned();
    Verdict {
        // Some servers end without a word of farewell, which it calls an error.
        accepted: words.contains("- Handshake was completed"),
        words,
    }
}
