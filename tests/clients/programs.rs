//! Programs that verify less than they should, or that look at the staple
//! themselves.

use std::fs;

use staplegun_testkit::clients::{Visit, curl, curl_cert_status, limited};
use staplegun_testkit::hosts::Nginx;
use staplegun_testkit::{ClientProgram, Host, Shim, Site, Spec, Tls};

use crate::stapled::{Policy, Scene, Server, Stapled};

/// curl under a policy, with more options; and what the log says.
fn curl_with(scene: &Scene, options: &[&str], policy: Policy) -> (Visit, String) {
    let log = scene.site.write("log", "");
    let target = scene.target(Tls::V1_3);
    let url = format!("https://localhost:{}/", target.port);
    let program = curl(limited(), &target).args(options).arg(&url);
    let visit = Visit::of(policy.shim().log(&log).apply(program));
    (visit, fs::read_to_string(log).expect("the log can be read"))
}

/// s_client under a policy. It goes on with a certificate that it cannot verify.
fn s_client(scene: &Scene, tls: Tls, options: &[&str], policy: Policy) -> Visit {
    let target = scene.target(tls);
    let version = match tls {
        Tls::V1_2 => "-tls1_2",
        Tls::V1_3 => "-tls1_3",
    };
    let program = limited()
        .args(["openssl", "s_client", version, "-connect"])
        .args([&format!("127.0.0.1:{}", target.port), "-CAfile"])
        .arg(&target.ca_file)
        .args(options);
    Visit::of(policy.shim().apply(program))
}

/// Nobody vouches for the certificate, so that a response says nothing.
#[test]
fn where_the_certificate_was_not_verified_a_staple_counts_as_none() {
    for stapled in [Stapled::Good, Stapled::Revoked] {
        let scene = stapled.serve(Server::SServer);
        let options = ["--insecure"];
        let (visit, log) = curl_with(&scene, &options, Policy::Verify);
        assert!(visit.accepted, "{}", visit.message);
        assert!(log.contains("warn: accepted: localhost ("), "{log}");
        assert!(
            log.contains("the program did not verify the certificate"),
            "{log}"
        );
        let (visit, log) = curl_with(&scene, &options, Policy::Require);
        assert!(!visit.accepted, "{}", visit.message);
        let reason = "OCSP response: certificate not verified";
        assert!(visit.message.contains(reason), "{}", visit.message);
        assert!(log.contains("warn: refused: localhost ("), "{log}");
    }
}

/// s_client takes any certificate unless told otherwise, yet libssl found a good
/// chain.
#[test]
fn where_libssl_verified_the_certificate_the_verify_mode_does_not_matter() {
    let scene = Stapled::Revoked.serve(Server::SServer);
    let visit = s_client(&scene, Tls::V1_3, &[], Policy::Verify);
    assert!(!visit.accepted, "{}", visit.message);
    let reason = "OCSP status: revoked";
    assert!(visit.message.contains(reason), "{}", visit.message);
}

#[test]
fn switched_off_nothing_is_refused_and_nothing_is_logged() {
    let scene = Stapled::Revoked.serve(Server::SServer);
    let log = scene.site.write("log", "");
    let shim = Shim::preloaded()
        .log(&log)
        .env("STAPLEGUN_LOG_LEVEL", "debug");
    for tls in Tls::ALL {
        let visit = ClientProgram::Curl.connect(&scene.target(tls), &shim);
        assert!(visit.accepted, "{}", visit.message);
    }
    let log = fs::read_to_string(log).expect("the log can be read");
    assert!(
        !log.contains("accepted") && !log.contains("refused"),
        "{log}"
    );
}

/// curl --cert-status looks after its handshake: the policy is the first to see a
/// bad response, and curl still insists where the policy does not.
#[test]
fn a_program_that_checks_by_itself_still_does() {
    let own = ["--cert-status"];
    let good = Stapled::Good.serve(Server::SServer);
    let nothing = Stapled::Nothing.serve(Server::SServer);
    let revoked = Stapled::Revoked.serve(Server::SServer);
    assert!(curl_cert_status(&good.target(Tls::V1_3)).accepted);
    for policy in Policy::ALL {
        let (visit, _) = curl_with(&good, &own, policy);
        assert!(visit.accepted, "{policy:?}: {}", visit.message);
    }
    let (visit, _) = curl_with(&nothing, &own, Policy::Verify);
    assert!(visit.message.contains("curl: (91) "), "{}", visit.message);
    let (visit, _) = curl_with(&revoked, &own, Policy::Verify);
    assert!(visit.message.contains("curl: (35) "), "{}", visit.message);
    let (visit, _) = curl_with(&revoked, &own, Policy::Report);
    assert!(visit.message.contains("curl: (91) "), "{}", visit.message);
}

/// s_client -status has a callback, which prints the response.
#[test]
fn the_programs_callback_is_called_before_the_policy_refuses() {
    let scene = Stapled::Revoked.serve(Server::SServer);
    for tls in Tls::ALL {
        let visit = s_client(&scene, tls, &["-status"], Policy::Verify);
        for words in ["Cert Status: revoked", "OCSP status: revoked"] {
            assert!(visit.message.contains(words), "{}", visit.message);
        }
        assert!(!visit.accepted, "{}", visit.message);
    }
}

/// Arguments: URL and a certificate that is trusted by itself, whatever it is.
const PINNING: &str = "
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
urllib.request.urlopen(sys.argv[1], context=context).read()
";

/// Python with a certificate of the site as its anchor, and what the log says.
fn pinning(scene: &Scene, anchor: &str, policy: Policy) -> (Visit, String) {
    let log = scene.site.write("log", "");
    let url = format!("https://localhost:{}/", scene.server.port());
    let program = limited()
        .args(["/usr/bin/python3", "-c", PINNING, &url])
        .arg(scene.site.path(anchor));
    let visit = Visit::of(policy.shim().log(&log).apply(program));
    (visit, fs::read_to_string(log).expect("the log can be read"))
}

#[test]
fn an_intermediate_as_anchor_vouches_for_the_response() {
    let good = Stapled::Good.serve(Server::SServer);
    let (visit, log) = pinning(&good, "issuer.pem", Policy::Require);
    assert!(visit.accepted, "{log}{}", visit.message);
    let revoked = Stapled::Revoked.serve(Server::SServer);
    let (visit, log) = pinning(&revoked, "issuer.pem", Policy::Verify);
    assert!(!visit.accepted, "{log}{}", visit.message);
}

/// Nobody vouches for a response whose issuer neither side has.
#[test]
fn where_the_servers_own_certificate_is_the_anchor_a_staple_counts_as_none() {
    let site = Site::with_intermediate(&Spec::server());
    site.write("response.der", site.good().der());
    site.write("chain.pem", site.leaf.pem());
    let nginx = Nginx::new().own_response("response.der");
    let server = nginx.start(&site, &Shim::absent());
    let alone = Scene { server, site };
    let (visit, log) = pinning(&alone, "cert.pem", Policy::Verify);
    assert!(visit.accepted, "{log}{}", visit.message);
    assert!(log.contains("its issuer is not in the chain"), "{log}");
    let (visit, log) = pinning(&alone, "cert.pem", Policy::Require);
    assert!(!visit.accepted, "{}", visit.message);
    assert!(log.contains("refused: localhost ("), "{log}");
}
