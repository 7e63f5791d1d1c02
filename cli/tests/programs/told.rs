//! What `staplegun run` says on its terminal of the certificates that it was given,
//! and of those that its store knows.

use std::time::{Duration, Instant};

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec};

use crate::support::{Said, staplegun};

/// Runs a program on the store of that directory, with these certificates.
fn run(directory: &Directory, certificates: &[&std::path::Path], wait: &str) -> Said {
    let mut command = staplegun(&["run", "--wait", wait, "--dir"]);
    command.arg(directory.join("store"));
    for certificate in certificates {
        command.arg("--cert").arg(certificate);
    }
    Said::by(command.args(["--", "sh", "-c", "exit 9"])).expect(9)
}

#[test]
fn a_revocation_is_told_and_again_when_the_store_knows_it() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let revoked = Response::good(&leaf, &ca).revoked();
    responder.set(Behaviour::Answer(revoked.der()));
    let directory = Directory::new();
    let file = directory.write("server.pem", leaf.pem() + &ca.pem());
    let said = run(&directory, &[&file], "30s");
    assert!(said.err.contains("server.pem: revoked since"), "{said:?}");
    assert!(said.err.contains("replace it"), "{said:?}");
    // It is not named this time, and still told.
    let said = run(&directory, &[], "1s");
    assert!(said.err.contains("localhost: revoked since"), "{said:?}");
}

#[test]
fn a_missing_issuer_is_told_at_once() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    let directory = Directory::new();
    let file = directory.write("server.pem", leaf.pem());
    let begun = Instant::now();
    let said = run(&directory, &[&file], "60s");
    assert!(begun.elapsed() < Duration::from_secs(50), "not waited for");
    assert!(
        said.err
            .contains("its issuer's certificate is not known: append it"),
        "{said:?}"
    );
    // Mended: nothing is said.
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    responder.set(Behaviour::Answer(Response::good(&leaf, &ca).der()));
    let directory = Directory::new();
    let file = directory.write("server.pem", leaf.pem() + &ca.pem());
    assert_eq!(run(&directory, &[&file], "60s").err, "");
}

#[test]
fn why_there_is_no_response_is_told_when_the_time_is_over() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(500, &[]));
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let directory = Directory::new();
    let file = directory.write("server.pem", leaf.pem() + &ca.pem());
    let said = run(&directory, &[&file], "2s");
    for words in [
        "no response for",
        "after 2 seconds",
        "HTTP status 500",
        "goes on trying",
    ] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn a_certificate_without_a_responder_is_not_waited_for() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let directory = Directory::new();
    let file = directory.write("server.pem", ca.issue(&Spec::server()).pem() + &ca.pem());
    let begun = Instant::now();
    let said = run(&directory, &[&file], "60s");
    assert!(begun.elapsed() < Duration::from_secs(50), "not waited for");
    assert!(said.err.contains("names no OCSP responder"), "{said:?}");
}
