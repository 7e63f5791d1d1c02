//! Real clients that say what a server staples: `openssl s_client -status`,
//! `curl --cert-status` and, of another TLS library, `gnutls-cli`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::directory::Directory;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS 1.2, with the staple in a CertificateStatus message.
    V1_2,
    /// TLS 1.3, with the staple in the Certificate message.
    V1_3,
}

impl Tls {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    fn option(self) -> &'static str {
        match self {
            Self::V1_2 => "-tls1_2",
            Self::V1_3 => "-tls1_3",
        }
    }
}

/// A client that asks for a staple, to be told whom and how.
#[derive(Clone, Debug)]
pub struct Client {
    port: u16,
    ca_file: PathBuf,
    options: Vec<String>,
}

impl Client {
    /// A client for the server on that loopback port, trusting the CA in the file.
    pub fn new(port: u16, ca_file: &Path) -> Self {
        Self {
            port,
            ca_file: ca_file.to_owned(),
            options: vec!["-status".to_owned()],
        }
    }

    /// Allows that protocol version only.
    pub fn tls(self, version: Tls) -> Self {
        self.options(&[version.option()])
    }

    /// Begins with another protocol, e.g. postgres.
    pub fn starttls(self, protocol: &str) -> Self {
        self.options(&["-starttls", protocol])
    }

    /// Adds options of `openssl s_client`.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|o| (*o).to_owned()));
        self
    }

    /// Does not ask for a staple.
    pub fn without_status_request(mut self) -> Self {
        self.options.retain(|option| option != "-status");
        self
    }

    /// Makes one handshake and hangs up.
    pub fn handshake(&self) -> Handshake {
        let output = Command::new("timeout")
            .args(["20", "openssl", "s_client", "-msg", "-verify_return_error"])
            .args(["-connect", &format!("127.0.0.1:{}", self.port)])
            .args(["-servername", "localhost", "-verify_hostname", "localhost"])
            .arg("-CAfile")
            .arg(&self.ca_file)
            .args(&self.options)
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("cannot run openssl s_client: {e}"));
        let text = [output.stdout, output.stderr].concat();
        Handshake::read(String::from_utf8_lossy(&text).into_owned())
    }

    /// What `curl --cert-status` says to the server: it fails, with 91, unless
    /// a good response is stapled.
    pub fn curl(&self) -> Verdict {
        let mut curl = Command::new("curl");
        curl.args(["--cert-status", "--silent", "--show-error", "--http1.1"])
            .args([
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--output",
                "/dev/null",
            ])
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", self.port)])
            .arg("--cacert")
            .arg(&self.ca_file)
            .arg(format!("https://localhost:{}/", self.port));
        Verdict::of(&mut curl)
    }

    /// What `gnutls-cli` says to the server: it fails if a response that is no
    /// good is stapled, or none for a must-staple certificate.
    pub fn gnutls(&self) -> Verdict {
        Verdict::of(self.gnutls_command().arg("127.0.0.1"))
    }

    fn gnutls_command(&self) -> Command {
        let mut gnutls = Command::new("timeout");
        gnutls
            .args(["20", "gnutls-cli", "--port", &self.port.to_string()])
            .args([
                "--sni-hostname",
                "localhost",
                "--verify-hostname",
                "localhost",
            ])
            .arg("--x509cafile")
            .arg(&self.ca_file);
        gnutls
    }

    /// As [`Client::gnutls`], in that protocol version, and the response that it
    /// received and saved, in DER; its words tell what it read there.
    pub fn gnutls_saving(&self, version: Tls) -> (Verdict, Option<Vec<u8>>) {
        let directory = Directory::new();
        let file = directory.path().join("received.der");
        let only = match version {
            Tls::V1_2 => "NORMAL:-VERS-ALL:+VERS-TLS1.2",
            Tls::V1_3 => "NORMAL:-VERS-ALL:+VERS-TLS1.3",
        };
        let mut gnutls = self.gnutls_command();
        gnutls.args(["--verbose", "--priority", only, "--save-ocsp"]);
        let verdict = Verdict::of(gnutls.arg(&file).arg("127.0.0.1"));
        // It makes the file at once, and writes into it what comes.
        let saved = std::fs::read(file).ok().filter(|der| !der.is_empty());
        (verdict, saved)
    }

    /// As [`Client::gnutls`], and then connects again and resumes the session.
    pub fn gnutls_twice(&self) -> Verdict {
        let mut again = self.gnutls_command();
        // Else it waits 60 ms for the session of TLS 1.3, and then does without.
        again.args(["--resume", "--waitresumption", "127.0.0.1"]);
        Verdict::of(&mut again)
    }
}

/// What a client said that checks the staple itself.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// 0: it accepted the server.
    pub exit_code: Option<i32>,
    /// Its words.
    pub message: String,
}

impl Verdict {
    fn of(client: &mut Command) -> Self {
        let output = client
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("cannot run {client:?}: {e}"));
        let message = [output.stdout, output.stderr].concat();
        Self {
            exit_code: output.status.code(),
            message: String::from_utf8_lossy(&message).into_owned(),
        }
    }

    /// Panics unless the client accepted the server.
    #[track_caller]
    pub fn assert_accepted(&self) {
        assert_eq!(self.exit_code, Some(0), "{}", self.message);
    }

    /// Panics unless the client refused the server with these words.
    #[track_caller]
    pub fn assert_refused(&self, words: &str) {
        assert_ne!(self.exit_code, Some(0), "{}", self.message);
        assert!(self.message.contains(words), "{}", self.message);
    }
}

/// What `openssl s_client` saw.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Whether the handshake was completed and the chain verified.
    pub completed: bool,
    /// The response stapled for the leaf, in DER.
    pub staple: Option<Vec<u8>>,
    /// The fatal alert, as s_client names it.
    pub alert: Option<String>,
    /// In TLS 1.3, what is stapled for each of the other certificates that were sent.
    pub chain: Vec<Option<Vec<u8>>>,
    /// What s_client wrote, without the dump of the messages.
    pub output: String,
}

/// How s_client says that nothing was stapled: up to OpenSSL 3.5, and from 3.6 on.
const NO_STAPLE: [&str; 2] = [
    "OCSP response: no response sent",
    "OCSP response: no OCSP response received",
];

impl Handshake {
    fn read(output: String) -> Self {
        let cipher_chosen = output.contains(", Cipher is ") && !output.contains("Cipher is (NONE)");
        let completed = cipher_chosen && output.contains("Verify return code: 0 (ok)");
        let alert = output
            .lines()
            .find_map(|line| {
                line.split_once(", fatal ")
                    .filter(|_| line.contains(" Alert "))
            })
            .map(|(_, name)| name.to_owned());
        let staple = messages(&output).find_map(|message| staple_in(&message));
        let chain = messages(&output).find_map(|message| chain_in(&message));
        let output: String = output
            .lines()
            .filter(|line| dumped_bytes(line).is_none())
            .flat_map(|line| [line, "\n"])
            .collect();
        if completed && output.contains("OCSP response: ") {
            // Two independent ways to see it must agree.
            let says_none = NO_STAPLE.iter().any(|words| output.contains(words));
            assert_eq!(staple.is_none(), says_none, "{output}");
        }
        Self {
            completed,
            staple,
            chain: chain.unwrap_or_default(),
            alert,
            output,
        }
    }

    /// What s_client prints after `label`, e.g. "Cert Status" or "Next Update",
    /// for the first response shown.
    pub fn shown(&self, label: &str) -> Option<&str> {
        self.output
            .lines()
            .find_map(|line| line.trim().strip_prefix(label)?.strip_prefix(": "))
    }

    /// Panics unless the handshake was completed with exactly this response.
    #[track_caller]
    pub fn assert_stapled(&self, der: &[u8]) {
        assert!(self.completed, "handshake failed: {}", self.output);
        match &self.staple {
            None => panic!("no response was stapled: {}", self.output),
            Some(staple) => assert!(staple == der, "another response: {}", self.output),
        }
    }

    /// Panics unless the handshake was completed without a response.
    #[track_caller]
    pub fn assert_no_staple(&self) {
        assert!(self.completed, "handshake failed: {}", self.output);
        assert!(
            self.staple.is_none(),
            "a response was stapled: {}",
            self.output
        );
    }
}

/// A handshake message that s_client received and dumped.
struct Message {
    /// e.g. "TLS 1.3, Handshake [length 0372], Certificate".
    title: String,
    bytes: Vec<u8>,
}

/// The messages in the dump that `-msg` writes: a title after `<<< `, then
/// lines of hexadecimal bytes, indented.
fn messages(output: &str) -> impl Iterator<Item = Message> {
    output.split("<<< ").skip(1).map(|part| {
        let mut lines = part.lines();
        let title = lines.next().unwrap_or_default().to_owned();
        let bytes = lines.map_while(dumped_bytes).flatten().collect();
        Message { title, bytes }
    })
}

/// The bytes in a line of the dump, if it is one.
fn dumped_bytes(line: &str) -> Option<Vec<u8>> {
    let words = line.strip_prefix("    ")?.split_whitespace();
    let bytes = words.map(|word| {
        u8::from_str_radix(word, 16)
            .ok()
            .filter(|_| word.len() == 2)
    });
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| !bytes.is_empty())
}

fn staple_in(message: &Message) -> Option<Vec<u8>> {
    if message.title.ends_with(", CertificateStatus") {
        return certificate_status(Reader(message.bytes.get(4..)?));
    }
    staple_of_entry(&mut entries(message)?)
}

fn chain_in(message: &Message) -> Option<Vec<Option<Vec<u8>>>> {
    let mut entries = entries(message)?;
    staple_of_entry(&mut entries);
    let mut chain = Vec::new();
    while !entries.0.is_empty() {
        chain.push(staple_of_entry(&mut entries));
    }
    Some(chain)
}

/// The certificates in a message of TLS 1.3, each with its extensions.
fn entries(message: &Message) -> Option<Reader<'_>> {
    if !(message.title.starts_with("TLS 1.3") && message.title.ends_with(", Certificate")) {
        return None;
    }
    let mut body = Reader(message.bytes.get(4..)?);
    body.vector(1)?; // certificate_request_context
    Some(Reader(body.vector(3)?))
}

/// What is stapled for the next certificate, which is taken.
fn staple_of_entry(entries: &mut Reader) -> Option<Vec<u8>> {
    entries.vector(3)?; // cert_data
    let mut extensions = Reader(entries.vector(2)?);
    while let Some(kind) = extensions.number(2) {
        let data = extensions.vector(2)?;
        const STATUS_REQUEST: usize = 5;
        if kind == STATUS_REQUEST {
            return certificate_status(Reader(data));
        }
    }
    None
}

/// CertificateStatus (RFC 6066, 8): a type, then for ocsp (1) the response.
fn certificate_status(mut body: Reader) -> Option<Vec<u8>> {
    (body.number(1)? == 1).then_some(())?;
    Some(body.vector(3)?.to_vec())
}

/// Reads the presentation language of TLS (RFC 8446, 3).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self, size: usize) -> Option<usize> {
        let (number, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    }

    /// A vector whose length is a number of `size` bytes.
    fn vector(&mut self, size: usize) -> Option<&'a [u8]> {
        let length = self.number(size)?;
        let (vector, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(vector)
    }
}
