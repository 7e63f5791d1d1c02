//! Real programs as TLS clients, to see what they do under a client policy. Each
//! is run as its users run it, verifies the server's certificate, and knows
//! nothing of OCSP.

mod front;
mod s_server;

pub use s_server::SServer;

use std::path::PathBuf;

use crate::hosts::postgres;
use crate::judge::Tls;
use crate::program::Program;
use crate::shim::Shim;
use front::PostgresFront;

/// A program that connects to a TLS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientProgram {
    /// curl, over libcurl's OpenSSL backend.
    Curl,
    /// Python's urllib over its ssl module: libssl arrives by dlopen.
    Python,
    /// psql with sslmode=verify-full, over libpq.
    Psql,
    /// PHP's streams.
    Php,
    /// Ruby's Net::HTTP: libssl arrives by dlopen.
    Ruby,
    /// `openssl s_client` with -verify_return_error.
    SClient,
}

/// The server to connect to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its port on 127.0.0.1. It speaks HTTP, also to psql.
    pub port: u16,
    /// The CA that the client trusts.
    pub ca_file: PathBuf,
    /// The only protocol version that the client allows.
    pub tls: Tls,
}

/// How a client's connection went.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Whether the handshake was completed and the server's answer read.
    pub accepted: bool,
    /// What the program wrote to both outputs.
    pub message: String,
}

impl Visit {
    /// Runs a program that ends well if it was served, and only then.
    pub fn of(program: Program) -> Self {
        let output = program.run();
        Self {
            accepted: output.status.success(),
            message: text_of(&output),
        }
    }
}

/// Arguments: URL, CA file, version of TLS.
const PYTHON: &str = "
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
context.minimum_version = context.maximum_version = ssl.TLSVersion[sys.argv[3]]
urllib.request.urlopen(sys.argv[1], context=context).read()
";

const PHP: &str = r#"
$method = constant("STREAM_CRYPTO_METHOD_{$argv[3]}_CLIENT");
$context = stream_context_create(["ssl" => ["cafile" => $argv[2], "crypto_method" => $method]]);
exit(file_get_contents($argv[1], false, $context) === false ? 1 : 0);
"#;

const RUBY: &str = r#"
require "net/http"
url = URI(ARGV[0])
version = OpenSSL::SSL.const_get(ARGV[2])
Net::HTTP.start(url.host, url.port, use_ssl: true, ca_file: ARGV[1],
                min_version: version, max_version: version) { |http| http.get("/") }
"#;

impl ClientProgram {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Curl,
        Self::Python,
        Self::Psql,
        Self::Php,
        Self::Ruby,
        Self::SClient,
    ];

    /// What its users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Python => "Python (urllib)",
            Self::Psql => "psql",
            Self::Php => "PHP",
            Self::Ruby => "Ruby (Net::HTTP)",
            Self::SClient => "openssl s_client",
        }
    }

    /// The first line of what it says of its version.
    pub fn version(self) -> String {
        let program = match self {
            Self::Curl => Program::new("curl").arg("--version"),
            Self::Python => Program::new("/usr/bin/python3").arg("--version"),
            Self::Psql => Program::new(postgres::executable("psql")).arg("--version"),
            Self::Php => Program::new("php").arg("--version"),
            Self::Ruby => Program::new("ruby").arg("--version"),
            Self::SClient => Program::new("openssl").arg("version"),
        };
        let output = program.run();
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Runs it once.
    pub fn connect(self, target: &Target, shim: &Shim) -> Visit {
        if self == Self::Psql {
            return connect_psql(target, shim);
        }
        Visit::of(shim.apply(self.program(target)))
    }

    /// The command that asks for `/`.
    fn program(self, target: &Target) -> Program {
        let url = format!("https://localhost:{}/", target.port);
        let program = limited();
        let ca_file = &target.ca_file;
        match self {
            Self::Curl => curl(program, target).args(["--output", "/dev/null", &url]),
            Self::Python => program
                .args(["/usr/bin/python3", "-c", PYTHON, &url])
                .arg(ca_file)
                .arg(spelled(target.tls, "TLSv1_2", "TLSv1_3")),
            Self::Php => program
                .args(["php", "-r", PHP, "--", &url])
                .arg(ca_file)
                .arg(spelled(target.tls, "TLSv1_2", "TLSv1_3")),
            Self::Ruby => program
                .args(["ruby", "-e", RUBY, &url])
                .arg(ca_file)
                .arg(spelled(target.tls, "TLS1_2_VERSION", "TLS1_3_VERSION")),
            Self::SClient => program
                .args(["openssl", "s_client", "-verify_return_error"])
                .args(["-connect", &format!("127.0.0.1:{}", target.port)])
                .args(["-servername", "localhost", "-verify_hostname", "localhost"])
                .arg("-CAfile")
                .arg(ca_file)
                .arg(spelled(target.tls, "-tls1_2", "-tls1_3")),
            Self::Psql => unreachable!("psql needs a front"),
        }
    }
}

/// `curl --cert-status`, which checks a staple by itself, without us.
pub fn curl_cert_status(target: &Target) -> Visit {
    let url = format!("https://localhost:{}/", target.port);
    Visit::of(curl(limited(), target).args(["--cert-status", "--output", "/dev/null", &url]))
}

/// The options of curl, without a URL.
pub fn curl(program: Program, target: &Target) -> Program {
    let version = spelled(target.tls, "1.2", "1.3");
    program
        .args(["curl", "--silent", "--show-error", "--http1.1"])
        .args([&format!("--tlsv{version}"), "--tls-max", version])
        .args(["--resolve", &format!("localhost:{}:127.0.0.1", target.port)])
        .arg("--cacert")
        .arg(&target.ca_file)
}

/// A command that ends by itself, so that no test waits for ever.
pub fn limited() -> Program {
    Program::new("timeout").arg("30")
}

/// psql speaks first in the clear and then sends its startup packet, which no
/// HTTP server understands: its answer shows that the handshake was completed.
fn connect_psql(target: &Target, shim: &Shim) -> Visit {
    let front = PostgresFront::before(target.port);
    let version = spelled(target.tls, "TLSv1.2", "TLSv1.3");
    let parameters = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user=test dbname=test sslmode=verify-full \
         sslrootcert={} ssl_min_protocol_version={version} ssl_max_protocol_version={version}",
        front.port(),
        target.ca_file.display(),
    );
    // The name makes s_server answer: it reads lines until it has seen a GET.
    let program = limited()
        .arg(postgres::executable("psql"))
        .args(["--no-psqlrc", &parameters])
        .env("PGAPPNAME", "\nGET / HTTP/1.0\n\n");
    let output = shim.apply(program).run();
    let message = text_of(&output);
    Visit {
        accepted: message.contains("expected authentication request from server, but received H"),
        message,
    }
}

/// A version of TLS as the program spells it.
fn spelled(tls: Tls, v1_2: &'static str, v1_3: &'static str) -> &'static str {
    match tls {
        Tls::V1_2 => v1_2,
        Tls::V1_3 => v1_3,
    }
}

fn text_of(output: &std::process::Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}
