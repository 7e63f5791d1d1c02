//! What `staplegun scan` writes: in which form, of what names, and for whom.

use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::Value;
use staplegun_testkit::hosts::{Host, Redis};
use staplegun_testkit::pki::Spec;
use staplegun_testkit::program::Program;
use staplegun_testkit::shim::{self, Shim};
use staplegun_testkit::site::Site;

use crate::ports::silent;
use crate::scanning::{only_row, report, scan, with_responder};
use crate::support::{STAPLEGUN, Said, staplegun};

#[test]
fn what_a_program_or_a_certificate_is_called_is_fit_to_be_shown() {
    let site = Site::with(&Spec::server().common_name("evil\x1b[31m\u{202e}"));
    // No text at all, besides.
    let name = std::ffi::OsStr::from_bytes(b"red\x1b[31m\nroot\xff");
    let program = site.directory.path().join(name);
    std::fs::copy("/usr/bin/openssl", &program).expect("it can be copied");
    let server = Program::new(&program)
        .args(["s_server", "-accept", "127.0.0.1:0", "-quiet", "-cert"])
        .arg(site.path("cert.pem"))
        .arg("-key")
        .arg(site.path("key.pem"))
        .start();
    // And its file is gone.
    std::fs::remove_file(&program).expect("it is ours");
    let text = scan(server.pid(), &[]).expect(0).out;
    let is_hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(is_hostile), "{text:?}");
    assert!(text.contains("red?[31m?root"), "{text}");
    let report_ = report(server.pid(), 0);
    assert_eq!(only_row(&report_)["status"], "nothing-to-staple");
    assert!(text.contains("evil?[31m?"), "{text}");
    assert!(!text.contains("deleted"), "{text}");
}

#[test]
fn the_fields_of_the_json_stay_as_they_are() {
    let site = with_responder();
    let server = Redis.start(&site, &Shim::absent());
    let report_ = report(server.pid(), 1);
    let fields = |value: &Value| -> Vec<String> {
        let fields = value.as_object().expect("an object").keys();
        fields.cloned().collect()
    };
    assert_eq!(
        fields(&report_),
        [
            "agent_running",
            "hidden",
            "needs_operator",
            "not_found",
            "other_ports",
            "rows",
            "store",
            "store_error"
        ]
    );
    let row = only_row(&report_);
    assert_eq!(
        fields(row),
        [
            "cause",
            "certificate",
            "chain_stapled",
            "client_policy",
            "library",
            "name",
            "needs_operator",
            "next",
            "pids",
            "ports",
            "program",
            "reason",
            "responder",
            "sha256",
            "status",
            "tls",
            "unit",
            "until",
            "user"
        ]
    );
    assert_eq!(fields(&row["ports"][0]), ["address", "protocol"]);
    assert_eq!(fields(&row["tls"][0]), ["make", "origin", "path"]);
}

#[test]
fn progress_is_for_terminals_and_a_reader_that_leaves_is_no_failure() {
    let hanging = silent("import ssl\ntime.sleep(999)");
    let pid = hanging.pid().to_string();
    let words = ["scan", &pid, "--timeout", "200ms", "--dir", "/nowhere"];
    let piped = Said::by(&mut staplegun(&words)).expect(0);
    assert_eq!(piped.err, "");
    assert!(!piped.out.contains('\x1b'), "{piped:?}");
    let line = format!("{STAPLEGUN} {}", words.join(" "));
    let mut typed = Command::new("script");
    typed
        .env("STAPLEGUN_LIB", shim::library())
        .env("TERM", "xterm");
    let typed = Said::by(typed.args(["-qec", &line, "/dev/null"])).expect(0);
    assert!(typed.out.contains("looking at ports: 1 of 1"), "{typed:?}");
    let gone = format!(
        "{STAPLEGUN} {} 2>&1 | true; echo ${{PIPESTATUS[0]}}",
        words.join(" ")
    );
    let mut bash = Command::new("bash");
    bash.env("STAPLEGUN_LIB", shim::library());
    let gone = Said::by(bash.args(["-c", &gone])).expect(0);
    assert!(["0", "2"].contains(&gone.out.trim()), "{gone:?}");
}
