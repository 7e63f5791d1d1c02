//! The tables of docs/clients.md are what the programs did.
//!
//! STAPLEGUN_WRITE_CLIENTS=1 writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use staplegun_testkit::clients::curl_cert_status;
use staplegun_testkit::{ClientProgram, Tls};

use crate::stapled::{Policy, Server, Stapled};

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";
/// Versions differ from machine to machine, and make no table stale.
const VERSIONS: &str = "Measured with ";

/// What each policy makes of each staple (verdicts.rs holds every client to
/// it), and what `curl --cert-status` makes of it without the library.
fn verdicts() -> String {
    let mut table = "| the server staples | report | verify | require | \
         curl --cert-status, alone |\n|---|---|---|---|---|\n"
        .to_owned();
    for stapled in Stapled::ALL {
        let scene = stapled.serve(Server::SServer);
        let by_itself = curl_cert_status(&scene.target(Tls::V1_3)).accepted;
        let cell = |policy| match stapled.refusal(policy) {
            Some(reason) => format!("`{reason}`"),
            None if stapled.outcome(policy) == "accepted" => "accepted".to_owned(),
            None => "accepted, logged".to_owned(),
        };
        let cells = Policy::ALL.map(cell).join(" | ");
        let curl = if by_itself { "accepted" } else { "refused" };
        writeln!(table, "| {} | {cells} | {curl} |", stapled.words()).expect("fits");
    }
    table
}

/// The line in which each client says why it refused a revoked certificate.
fn words_of_clients() -> String {
    let scene = Stapled::Revoked.serve(Server::SServer);
    let target = scene.target(Tls::V1_3);
    let mut table = "| client | says of a revoked certificate |\n|---|---|\n".to_owned();
    for client in ClientProgram::ALL {
        let visit = client.connect(&target, &Policy::Verify.shim());
        assert!(!visit.accepted, "{}: {}", client.name(), visit.message);
        let line = visit
            .message
            .lines()
            .find(|line| line.contains("OCSP status") || line.contains("status response"))
            .unwrap_or_else(|| panic!("{} does not say why: {}", client.name(), visit.message));
        let words = essence(line);
        writeln!(table, "| {} | `{words}` |", client.name()).expect("fits");
    }
    table
}

/// From where the words about the error begin, without the numbers that differ
/// from one version, port or thread to another.
fn essence(line: &str) -> String {
    let beginnings = ["curl: ", "psql: ", "ssl.SSLError", "SSL_connect", "error:"];
    let begins = beginnings.iter().find_map(|words| line.find(words));
    let mut text = String::new();
    let mut number = String::new();
    for c in line[begins.unwrap_or(0)..].trim().chars().chain(['\n']) {
        if c.is_ascii_digit() || (c == '.' && !number.is_empty()) {
            number.push(c);
            continue;
        }
        let number = std::mem::take(&mut number);
        let same_everywhere = number.len() < 3 || number.len() == 8 || number == "127.0.0.1";
        text += if same_everywhere { &number } else { "N" };
        text.push(c);
    }
    text.trim_end().to_owned()
}

fn versions() -> String {
    let short = |client: &ClientProgram| {
        let version = client.version();
        let digit = version.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let end = version[digit..].find(" (").map(|end| digit + end);
        version[..end.unwrap_or(version.len())].to_owned()
    };
    let all: Vec<String> = ClientProgram::ALL.iter().map(short).collect();
    format!("{VERSIONS}{}.\n", all.join("; "))
}

fn without_versions(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with(VERSIONS))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn the_tables_in_the_documentation_are_what_was_measured() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let document = fs::read_to_string(&path).expect("docs/clients.md can be read");
    let (before, rest) = document.split_once(BEGIN).expect("the begin is marked");
    let (shown, after) = rest.split_once(END).expect("the end is marked");
    let measured = format!("\n{}\n{}\n{}\n", verdicts(), words_of_clients(), versions());
    if std::env::var_os("STAPLEGUN_WRITE_CLIENTS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{measured}{END}{after}")).expect("it is ours");
        return;
    }
    assert_eq!(
        without_versions(shown),
        without_versions(&measured),
        "the tables are stale; write them with: \
         STAPLEGUN_WRITE_CLIENTS=1 cargo test --test clients documentation"
    );
}
