//! Which ports `staplegun scan` connects to, in which protocol, and what it leaves alone.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use staplegun_testkit::directory::Directory;
use staplegun_testkit::hosts::{Dovecot, Host, Login, Postfix, Postgres};
use staplegun_testkit::program::{Program, Server};
use staplegun_testkit::responder::{OpensslResponder, Status};
use staplegun_testkit::shim::Shim;
use staplegun_testkit::{Identity, Spec, wait};

use crate::scanning::{Running, only_row, report, scan, with_responder};
use crate::support::{PYTHON, Said, staplegun};

#[test]
fn postgresql_is_asked_for_tls_in_its_own_way() {
    let site = with_responder();
    let server = Postgres::new().start(&site, &Shim::absent());
    let report_ = report(server.pid(), 1);
    let row = only_row(&report_);
    assert_eq!(row["status"], "not-stapled");
    assert_eq!(row["ports"][0]["protocol"], "postgres");
}

#[test]
fn a_program_that_listens_for_others_is_known_by_what_answers() {
    let site = with_responder();
    // Its master has no TLS library, and smtpd runs only once somebody came.
    let postfix = Postfix::chroot(true);
    let server = postfix.start(&site, &Shim::absent());
    let report_ = scan(server.pid(), &["--json"]);
    let report_ = report_.expect(1).json();
    let row = only_row(&report_);
    assert_eq!(row["name"], "master");
    assert_eq!(row["status"], "not-stapled");
    assert_eq!(row["ports"][0]["protocol"], "smtp");
    assert_eq!(row["cause"], "not_loaded", "{row}");
    assert_eq!(row["tls"][0]["origin"], "system");
    drop(server);

    // Its login has one only as long as somebody is there.
    let server = Dovecot::new(Login::Chroot).start(&site, &Shim::absent());
    let report_ = scan(server.pid(), &["--json"]);
    let report_ = report_.expect(1).json();
    let row = only_row(&report_);
    assert_eq!(row["name"], "dovecot");
    assert_eq!(row["cause"], "not_loaded", "{row}");
}

/// Listens on a port, perhaps with a TLS library, and answers with a text or not at all.
pub fn silent(script: &str) -> Server {
    let start = "import socket, time\nlistener = socket.create_server(('127.0.0.1', 0))\n";
    Program::new(PYTHON)
        .args(["-c", &format!("{start}{script}")])
        .start()
}

#[test]
fn ports_that_hang_or_say_something_else_are_told_and_nothing_is_to_be_done() {
    let hanging = silent("import ssl\ntime.sleep(999)");
    let begun = Instant::now();
    let report_ = scan(hanging.pid(), &["--json", "--timeout", "300ms"]);
    let report_ = report_.expect(0).json();
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(only_row(&report_)["status"], "no-tls");
    let port = &report_["other_ports"][0];
    assert_eq!(port["why"], "no-answer", "{report_}");
    let address = format!("127.0.0.1:{}", hanging.port());
    assert_eq!(port["address"], address.as_str());

    let chatty = silent(
        "import ssl\nwhile True:\n    other = listener.accept()[0]\n    other.send(b'hello\\x1b[31m\\n' * 99)\n    other.close()",
    );
    let report_ = report(chatty.pid(), 0);
    assert_eq!(report_["other_ports"][0]["why"], "no-tls", "{report_}");
    let text = scan(chatty.pid(), &[]).expect(0).out;
    assert!(
        text.contains(&format!("no TLS on: {} (python3", chatty.port())),
        "{text}"
    );
}

#[test]
fn a_port_without_a_tls_library_is_left_alone_unless_it_is_asked_for() {
    let counting = silent(
        "import sys\nwhile True:\n    other = listener.accept()[0]\n    print('came', flush=True)\n    other.close()",
    );
    let report_ = report(counting.pid(), 0);
    assert_eq!(report_["rows"], Value::Array(Vec::new()));
    assert_eq!(report_["other_ports"][0]["why"], "not-probed", "{report_}");
    assert_eq!(counting.stdout(), "");
    let port = counting.port().to_string();
    for protocol in ["", ":smtp"] {
        let probe = format!("{port}{protocol}");
        let report_ = scan(counting.pid(), &["--json", "--probe", &probe]);
        let report_ = report_.expect(0).json();
        assert_eq!(report_["other_ports"][0]["why"], "no-tls", "{report_}");
    }
    assert_eq!(counting.stdout(), "came\ncame\n");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let deserted = free.local_addr().expect("bound").port().to_string();
    drop(free);
    let report_ = scan(counting.pid(), &["--json", "--probe", &deserted]);
    let reason = report_.expect(0).json()["other_ports"].to_string();
    assert!(reason.contains("nobody listens on it"), "{reason}");
    // What is to be watched and is not there is no success.
    let said = Said::by(&mut staplegun(&["scan", "no-such-server"])).expect(1);
    assert!(said.out.contains("nothing of that name runs"), "{said:?}");
    for wrong in ["0", "70000", "25:gopher", "x"] {
        Said::by(&mut staplegun(&["scan", "--probe", wrong])).expect(64);
    }
}

#[test]
fn the_ports_of_another_network_are_not_taken_for_ours() {
    let child = Command::new("unshare")
        .args(["--net", PYTHON, "-c"])
        .arg("import socket, ssl, time\nlistener = socket.create_server(('', 4433))\ntime.sleep(999)")
        .spawn();
    let child = Running(child.expect("unshare runs"));
    let row = wait::until("it has its TLS library", || {
        // Before that there is nothing of it to be told, and it says so.
        let report_ = scan(child.0.id(), &["--json"]).json();
        let row = report_["rows"].get(0)?.clone();
        (row["status"] == "other-network").then_some(row)
    });
    let next = format!("nsenter --target {} --net staplegun scan", child.0.id());
    assert_eq!(row["next"], next.as_str());
}

#[test]
fn openssl_ocsp_is_left_alone_since_it_answers_nobody_after_a_client_that_speaks_tls() {
    let root = Identity::self_signed(&Spec::ca("Test root"));
    let leaf = root.issue(&Spec::server());
    let responder = OpensslResponder::start(&root, &root, &[(&leaf, Status::Good)]);
    let report_ = report(responder.pid(), 0);
    assert_eq!(only_row(&report_)["status"], "no-tls", "{report_}");
    let left = &report_["other_ports"][0];
    assert_eq!(left["why"], "not-probed", "{report_}");
    let directory = Directory::new();
    directory.write("ca.pem", root.pem());
    directory.write("leaf.pem", leaf.pem());
    let mut client = Command::new("openssl");
    client.args(["ocsp", "-timeout", "20", "-url", &responder.url()]);
    client.arg("-issuer").arg(directory.join("ca.pem"));
    client.arg("-CAfile").arg(directory.join("ca.pem"));
    client.arg("-cert").arg(directory.join("leaf.pem"));
    let said = Said::by(&mut client).expect(0);
    assert!(said.out.contains(": good"), "{said:?}");
}
