//! `staplegun probe` against servers that staple well, badly or not at all.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use staplegun_testkit::OcspResponseStatus;
use staplegun_testkit::hosts::{Host, Postgres};
use staplegun_testkit::pki::Spec;
use staplegun_testkit::program::{Program, Server};
use staplegun_testkit::responder::Refused;
use staplegun_testkit::response::{Response, error_status};
use staplegun_testkit::shim::Shim;
use staplegun_testkit::site::Site;

use crate::support::{Said, staplegun};

/// In seconds.
const HOUR: i64 = 3_600;

/// A server with the site's certificate that staples these bytes, whatever they are.
fn server(site: &Site, staple: Option<&[u8]>) -> Server {
    let path = |name: &str| site.path(name).into_os_string();
    let mut program = Program::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-quiet"])
        .args([
            "-cert".into(),
            path("cert.pem"),
            "-key".into(),
            path("key.pem"),
        ]);
    if site.intermediate.is_some() {
        program = program.args(["-cert_chain".into(), path("chain.pem")]);
    }
    if let Some(der) = staple {
        site.write("staple.der", der);
        program = program.args(["-status_file".into(), path("staple.der")]);
    }
    program.start()
}

/// `staplegun probe` of a loopback port, trusting the site's root.
fn probe(port: u16, site: &Site, arguments: &[&str]) -> Said {
    let mut command = staplegun(&["probe", &format!("127.0.0.1:{port}")]);
    command.args(["--servername", "localhost", "--json", "--cafile"]);
    command.arg(site.path("ca.pem")).args(arguments);
    Said::by(&mut command)
}

fn probed(site: &Site, staple: &Response<'_>) -> Said {
    let server = server(site, Some(&staple.der()));
    probe(server.port(), site, &[])
}

#[test]
fn a_good_staple_is_good_in_both_versions_of_tls() {
    for site in [
        Site::new(),
        Site::rsa(),
        Site::with_intermediate(&Spec::server()),
    ] {
        let server = server(&site, Some(&site.good().der()));
        for (version, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
            let report = probe(server.port(), &site, &["--tls", version])
                .expect(0)
                .json();
            assert_eq!(report["answer"], "good", "{report}");
            assert_eq!(report["status"], "good");
            assert_eq!(report["tls"], name);
            assert_eq!(report["trusted"], true);
            assert_eq!(report["must_staple"], false);
            assert!(
                report["next_update"]
                    .as_str()
                    .is_some_and(|t| t.ends_with('Z')),
                "{report}"
            );
        }
    }
}

#[test]
fn no_staple_is_told_and_must_staple_makes_it_worse() {
    let site = Site::new();
    let plain = server(&site, None);
    let report = probe(plain.port(), &site, &[]).expect(1).json();
    assert_eq!(report["answer"], "not_stapled");
    let reason = report["reason"].to_string();
    assert!(reason.contains("names no OCSP responder"), "{report}");
    let site = Site::with(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    let named = server(&site, None);
    let report = probe(named.port(), &site, &[]).expect(1).json();
    assert_eq!(report["reason"], "no response is stapled");
    let site = Site::with(&Spec::server().must_staple());
    let demanding = server(&site, None);
    let report = probe(demanding.port(), &site, &[]).expect(1).json();
    assert_eq!(report["must_staple"], true);
    assert!(
        report["reason"].to_string().contains("must-staple"),
        "{report}"
    );
}

#[test]
fn staples_that_clients_refuse_are_bad_and_the_cause_is_named() {
    let site = Site::new();
    let stranger = Site::new();
    let cause = |response: &Response<'_>| {
        let report = probed(&site, response).expect(2).json();
        assert_eq!(report["answer"], "bad");
        report["cause"].as_str().expect("a word").to_owned()
    };
    assert_eq!(cause(&site.good().expired()), "expired");
    assert_eq!(cause(&site.good().not_yet_valid()), "not_yet_valid");
    assert_eq!(cause(&site.good().revoked()), "revoked");
    assert_eq!(cause(&site.good().serial(&[1, 2, 3])), "wrong_serial");
    let not_delegated = site.root.issue(&Spec::server());
    assert_eq!(
        cause(&site.good().delegate(&not_delegated)),
        "signer_not_authorised"
    );
    let unknown_signer = stranger.root.issue(&Spec::responder());
    assert_eq!(
        cause(&site.good().signed_by(&unknown_signer)),
        "signer_not_found"
    );
    assert_eq!(cause(&site.good().corrupt_signature()), "bad_signature");
    let server = server(&site, Some(&error_status(OcspResponseStatus::TryLater)));
    let report = probe(server.port(), &site, &[]).expect(2).json();
    assert_eq!(report["cause"], "try_later", "{report}");
}

#[test]
fn a_response_that_ends_soon_is_a_warning_only_if_asked_for() {
    let site = Site::new();
    let server = server(&site, Some(&site.good().next_update(2 * HOUR).der()));
    probe(server.port(), &site, &["--warn-before", "1h"]).expect(0);
    let report = probe(server.port(), &site, &["--warn-before", "3h"])
        .expect(4)
        .json();
    assert_eq!(report["answer"], "ends_soon");
}

#[test]
fn how_long_a_response_without_next_update_lives_is_what_the_agents_configuration_says() {
    let site = Site::new();
    let old = site.good().this_update(-2 * HOUR).next_update(None);
    let server = server(&site, Some(&old.der()));
    let report = probe(server.port(), &site, &[]).expect(2).json();
    assert_eq!(report["cause"], "expired");
    let day = "[timing]\nlife-without-next-update = 86400\n";
    let config = site.write("agent.toml", day);
    let config = config.to_str().expect("UTF-8");
    probe(server.port(), &site, &["--config", config]).expect(0);
}

#[test]
fn a_certificate_that_is_not_trusted_is_said_so_first() {
    let site = Site::new();
    let server = server(&site, Some(&site.good().der()));
    let target = format!("127.0.0.1:{}", server.port());
    let said = Said::by(&mut staplegun(&["probe", &target])).expect(3);
    assert!(said.out.contains("--cafile"), "{said:?}");
    let other = |arguments: &[&str]| {
        let mut command = staplegun(&["probe", &target, "--json", "--servername", "other.example"]);
        command
            .arg("--cafile")
            .arg(site.path("ca.pem"))
            .args(arguments);
        Said::by(&mut command)
    };
    let report = other(&[]).expect(3).json();
    assert!(
        report["reason"].to_string().contains("ostname mismatch"),
        "{report}"
    );
    other(&["--insecure"]).expect(0);
}

#[test]
fn without_a_connection_or_tls_the_status_is_3() {
    let site = Site::new();
    let refused = Refused::new();
    let port = refused.url();
    let port = port
        .trim_start_matches("http://127.0.0.1:")
        .trim_end_matches("/ocsp");
    let said = probe(port.parse().expect("a port"), &site, &[]).expect(3);
    assert!(said.err.contains("cannot connect to 127.0.0.1"), "{said:?}");

    let front = Front::start(vec![Step::Send(b"220 hello\r\n")], None);
    let said = probe(front, &site, &[]).expect(3);
    assert!(said.err.contains("--starttls"), "{said:?}");
}

#[test]
fn a_server_that_says_nothing_is_left_in_time() {
    let site = Site::new();
    let silent = Front::start(vec![Step::Expect(b"never sent")], None);
    let start = Instant::now();
    for arguments in [
        &["--timeout", "300ms"][..],
        &["--timeout", "300ms", "--starttls", "smtp"],
    ] {
        let said = probe(silent, &site, arguments).expect(3);
        assert!(said.err.contains("--timeout"), "{said:?}");
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_server_that_talks_for_ever_is_left() {
    let site = Site::new();
    let endless = Front::start(vec![Step::Endlessly(b"x")], None);
    for protocol in ["smtp", "imap", "pop3", "ftp", "mysql", "ldap", "xmpp"] {
        let said = probe(endless, &site, &["--starttls", protocol]).expect(3);
        assert!(!said.err.contains("--timeout"), "{said:?}");
    }
    let endless = Front::start(vec![Step::Endlessly(b"220-hello\r\n")], None);
    let said = probe(endless, &site, &["--starttls", "smtp"]).expect(3);
    assert!(said.err.contains("more than 100 lines"), "{said:?}");
}

#[test]
fn postgres_is_asked_for_tls() {
    let site = Site::new();
    let staple = site.write("good.der", site.good().der());
    let server = Postgres::new().start(&site, &Shim::preloaded().responses(&[&staple]));
    probe(server.port(), &site, &["--starttls", "postgres"]).expect(0);
}

#[test]
fn every_protocol_gets_to_tls_and_takes_a_no() {
    let site = Site::new();
    let tls = server(&site, Some(&site.good().der()));
    for (protocol, accepts, refuses) in conversations() {
        let front = Front::start(accepts, Some(tls.port()));
        probe(front, &site, &["--starttls", protocol]).expect(0);
        let front = Front::start(refuses, None);
        let said = probe(front, &site, &["--starttls", protocol]).expect(3);
        assert!(
            said.err
                .to_lowercase()
                .contains(&format!("no tls by {protocol}")),
            "{said:?}"
        );
    }
}

/// For each protocol what a server says that begins TLS, and one that does not.
fn conversations() -> Vec<(&'static str, Vec<Step>, Vec<Step>)> {
    use Step::{Expect, Send};
    let smtp = vec![
        Send(b"220-mail.example ESMTP\r\n220 ready\r\n"),
        Expect(b"EHLO localhost\r\n"),
        Send(b"250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n"),
        Expect(b"STARTTLS\r\n"),
        Send(b"220 go ahead\r\n"),
    ];
    let smtp_without = vec![
        Send(b"220 ready\r\n"),
        Expect(b"EHLO localhost\r\n"),
        Send(b"250-mail.example\r\n250 HELP\r\n"),
    ];
    let imap = |answer| {
        vec![
            Send(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
            Expect(b"a STARTTLS\r\n"),
            Send(b"* CAPABILITY IMAP4rev1\r\n"),
            Send(answer),
        ]
    };
    let pop3 = |answer| vec![Send(b"+OK ready\r\n"), Expect(b"STLS\r\n"), Send(answer)];
    let ftp = |answer| {
        vec![
            Send(b"120 soon\r\n220-Welcome\r\n 220 is not the end\r\n220 ready\r\n"),
            Expect(b"AUTH TLS\r\n"),
            Send(answer),
        ]
    };
    let postgres = |answer| vec![Expect(b"\0\0\0\x08\x04\xd2\x16\x2f"), Send(answer)];
    // Protocol 10, version, thread, data, filler, capabilities, and the rest.
    let mysql = |capabilities: [u8; 2]| {
        let mut greeting = vec![10];
        greeting.extend(b"8.0.0\0");
        greeting.extend([7; 4]);
        greeting.extend(b"saltsalt\0");
        greeting.extend(capabilities);
        greeting.extend([33, 2, 0, 0, 0, 0]);
        let header = [greeting.len() as u8, 0, 0, 0];
        Step::SendOwned([&header[..], &greeting].concat())
    };
    let mysql_request =
        b"\x20\0\0\x01\0\x8a\0\0\0\0\0\x01\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let ldap = |answer| {
        vec![
            Expect(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"),
            Send(answer),
        ]
    };
    let xmpp = |answer| {
        vec![
            Expect(b"to='localhost' version='1.0'>"),
            Send(b"<?xml version='1.0'?><stream:stream id='1' version='1.0'><stream:features>"),
            Send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"),
            Expect(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            Send(answer),
        ]
    };
    vec![
        ("smtp", smtp, smtp_without),
        ("imap", imap(b"a OK begin\r\n"), imap(b"a BAD no\r\n")),
        ("pop3", pop3(b"+OK begin\r\n"), pop3(b"-ERR no\r\n")),
        ("ftp", ftp(b"234 begin\r\n"), ftp(b"530 no\r\n")),
        ("postgres", postgres(b"S"), postgres(b"N")),
        (
            "mysql",
            vec![mysql([0xff, 0xff]), Expect(mysql_request)],
            vec![mysql([0xff, 0xf7])],
        ),
        (
            "ldap",
            ldap(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
            ldap(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"),
        ),
        (
            "xmpp",
            xmpp(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            xmpp(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ),
    ]
}

/// One step of a server's part of a conversation.
#[derive(Clone)]
enum Step {
    Send(&'static [u8]),
    SendOwned(Vec<u8>),
    /// Reads until these bytes are the last ones.
    Expect(&'static [u8]),
    /// Sends these bytes again and again until the client is gone.
    Endlessly(&'static [u8]),
}

/// A server that says its part and then hands the connection on, or ends it.
struct Front;

impl Front {
    /// Returns its port. The thread ends with the test's process.
    fn start(steps: Vec<Step>, behind: Option<u16>) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may leave at any time.
                if steps.iter().all(|step| step.take(&stream))
                    && let Some(behind) = behind
                {
                    relay(stream, behind);
                }
            }
        });
        port
    }
}

impl Step {
    /// Whether the conversation can go on.
    fn take(&self, mut stream: &TcpStream) -> bool {
        match self {
            Self::Send(bytes) => stream.write_all(bytes).is_ok(),
            Self::SendOwned(bytes) => stream.write_all(bytes).is_ok(),
            Self::Expect(end) => {
                let mut read = Vec::new();
                let mut byte = [0];
                while !read.ends_with(end) {
                    match stream.read(&mut byte) {
                        Ok(1) => read.extend(byte),
                        _ => return false,
                    }
                }
                true
            }
            Self::Endlessly(bytes) => {
                while stream.write_all(bytes).is_ok() {}
                false
            }
        }
    }
}

fn relay(mut client: TcpStream, port: u16) {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let mut client_reads = client.try_clone().expect("a descriptor is free");
    let mut server_writes = server.try_clone().expect("a descriptor is free");
    let upwards = std::thread::spawn(move || {
        let _ = std::io::copy(&mut client_reads, &mut server_writes);
        let _ = server_writes.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
}
