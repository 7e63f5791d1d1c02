//! A resumed session shows no certificate and no response: only one whose
//! handshake was checked may be resumed (CVE-2024-0853).

use staplegun_testkit::clients::{Visit, curl, limited};
use staplegun_testkit::{Client, Target, Tls};

use crate::stapled::{Policy, Scene, Server, Stapled};

/// curl connects twice in one process and offers its session the second time;
/// s_server's page says of each connection whether it was resumed.
fn curl_twice(scene: &Scene, tls: Tls, policy: Policy) -> Visit {
    let target = scene.target(tls);
    let url = format!("https://localhost:{}/", target.port);
    Visit::of(
        policy
            .shim()
            .apply(curl(limited(), &target).args([&url, &url])),
    )
}

fn count(visit: &Visit, words: &str) -> usize {
    visit.message.matches(words).count()
}

#[test]
fn curl_resumes_a_session_that_was_checked() {
    for tls in Tls::ALL {
        let scene = Stapled::Good.serve(Server::SServer);
        for policy in Policy::ALL {
            let twice = curl_twice(&scene, tls, policy);
            assert!(twice.accepted, "{}", twice.message);
            let seen = (count(&twice, "\nNew, "), count(&twice, "\nReused, "));
            assert_eq!(seen, (1, 1), "{tls:?} {policy:?}: {}", twice.message);
        }
    }
}

#[test]
fn curl_refuses_the_second_handshake_as_the_first() {
    for tls in Tls::ALL {
        let scene = Stapled::Revoked.serve(Server::SServer);
        let twice = curl_twice(&scene, tls, Policy::Verify);
        assert!(!twice.accepted, "{}", twice.message);
        assert_eq!(
            count(&twice, "OCSP status: revoked"),
            2,
            "{}",
            twice.message
        );
    }
}

/// Arguments: port, CA file, version of TLS. Python copies a session by writing
/// it out and reading it back, which loses our mark.
const PYTHON: &str = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.minimum_version = context.maximum_version = ssl.TLSVersion[sys.argv[3]]
session = None
for attempt in 'first', 'second':
    plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    with context.wrap_socket(plain, server_hostname='localhost', session=session) as tls:
        tls.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        while tls.recv(4096):
            pass
        session = tls.session
        print(attempt, 'resumed' if tls.session_reused else 'full')
";

fn python_twice(target: &Target, policy: Policy) -> Visit {
    let version = match target.tls {
        Tls::V1_2 => "TLSv1_2",
        Tls::V1_3 => "TLSv1_3",
    };
    let program = limited()
        .args(["/usr/bin/python3", "-c", PYTHON, &target.port.to_string()])
        .arg(&target.ca_file)
        .arg(version);
    Visit::of(policy.shim().apply(program))
}

#[test]
fn a_session_that_python_has_copied_is_not_offered_and_the_handshake_is_full() {
    for tls in Tls::ALL {
        let scene = Stapled::Good.serve(Server::SServer);
        for (policy, second) in [
            (Policy::Report, "second resumed"),
            (Policy::Verify, "second full"),
            (Policy::Require, "second full"),
        ] {
            let twice = python_twice(&scene.target(tls), policy);
            assert!(twice.accepted, "{tls:?} {policy:?}: {}", twice.message);
            let said: Vec<&str> = twice.message.lines().collect();
            assert_eq!(said, ["first full", second], "{tls:?} {policy:?}");
        }
    }
}

/// The session was made without the library, as before an operator turned the
/// policy on, and comes from a file.
#[test]
fn a_session_from_before_the_policy_is_not_offered_and_the_handshake_is_full() {
    let scene = Stapled::Revoked.serve(Server::SServer);
    let target = scene.target(Tls::V1_2);
    let session = scene.site.path("session.pem").display().to_string();
    let first = Client::new(target.port, &target.ca_file).tls(target.tls);
    let first = first.options(&["-sess_out", &session]).handshake();
    assert!(first.completed, "{}", first.output);
    let again = |policy: Policy| {
        let program = limited()
            .args(["openssl", "s_client", "-tls1_2", "-verify_return_error"])
            .args(["-connect", &format!("127.0.0.1:{}", target.port)])
            .args(["-sess_in", &session, "-CAfile"])
            .arg(&target.ca_file);
        Visit::of(policy.shim().apply(program))
    };
    let reported = again(Policy::Report);
    assert!(
        reported.message.contains("\nReused, "),
        "{}",
        reported.message
    );
    let verified = again(Policy::Verify);
    assert!(!verified.accepted, "{}", verified.message);
    assert!(
        verified.message.contains("OCSP status: revoked"),
        "{}",
        verified.message
    );
}
