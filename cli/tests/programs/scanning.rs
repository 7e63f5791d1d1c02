//! `staplegun scan` of one process, and what the tests of it ask of its report.

use std::process::Child;

use serde_json::Value;
use staplegun_testkit::directory::Directory;
use staplegun_testkit::pki::Spec;
use staplegun_testkit::site::Site;

use crate::support::{Said, staplegun};

/// Where nobody answers.
pub const RESPONDER: &str = "http://127.0.0.1:9/";

/// For a port that is to answer: on a busy machine that may take longer than an operator would
/// wait.
pub const PATIENT: [&str; 2] = ["--timeout", "60s"];

/// A program that is ended with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `staplegun scan` of a process, with an empty store.
pub fn scan(pid: u32, arguments: &[&str]) -> Said {
    let store = Directory::new();
    scan_with(&store, pid, arguments)
}

/// The same with that store.
pub fn scan_with(store: &Directory, pid: u32, arguments: &[&str]) -> Said {
    let mut command = staplegun(&["scan", &pid.to_string(), "--dir"]);
    command.arg(store.path()).args(arguments);
    if !arguments.contains(&PATIENT[0]) {
        command.args(PATIENT);
    }
    Said::by(&mut command)
}

/// The report of a process.
#[track_caller]
pub fn report(pid: u32, status: i32) -> Value {
    scan(pid, &["--json"]).expect(status).json()
}

/// The only row of a report.
#[track_caller]
pub fn only_row(report: &Value) -> &Value {
    match report["rows"].as_array().map(Vec::as_slice) {
        Some([row]) => row,
        _ => panic!("one row was expected: {report:#}"),
    }
}

/// A site whose certificate names [`RESPONDER`].
pub fn with_responder() -> Site {
    Site::with(&Spec::server().ocsp_url(RESPONDER))
}
