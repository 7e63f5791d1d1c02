//! Clients of three makes see the same staple: `openssl s_client`, `gnutls-cli`,
//! which is another TLS library, and `curl --cert-status`.

use staplegun_testkit::hosts::Nginx;
use staplegun_testkit::{Host, Server, Shim, Site, Tls};

/// A time as s_client or gnutls-cli writes it, without what only one of them adds:
/// "Dec  1 13:26:36 2026 GMT", "Tue Dec 01 13:26:36 UTC 2026".
fn bare(time: &str) -> String {
    let words = time.split_whitespace();
    let dropped = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "UTC", "GMT",
    ];
    let kept = words.filter(|word| !dropped.contains(word));
    let kept: Vec<&str> = kept.map(|word| word.trim_start_matches('0')).collect();
    kept.join(" ")
}

/// What gnutls-cli prints after `label`.
fn shown<'t>(words: &'t str, label: &str) -> Option<&'t str> {
    words
        .lines()
        .find_map(|line| line.trim().strip_prefix(label)?.strip_prefix(": "))
}

/// The bytes, the status and the times that s_client and gnutls-cli saw.
fn two_agree(host: &impl Host, server: &Server, site: &Site, good: &[u8]) {
    for version in Tls::ALL {
        let client = host.client(server, site);
        let handshake = client.clone().tls(version).handshake();
        handshake.assert_stapled(good);
        let (verdict, saved) = client.gnutls_saving(version);
        verdict.assert_accepted();
        assert_eq!(saved.as_deref(), Some(good), "{}", verdict.message);
        assert_eq!(handshake.shown("Cert Status"), Some("good"));
        let status = shown(&verdict.message, "Certificate Status");
        assert_eq!(status, Some("good"), "{}", verdict.message);
        for label in ["This Update", "Next Update"] {
            let (ours, theirs) = (handshake.shown(label), shown(&verdict.message, label));
            assert!(ours.is_some(), "{}", handshake.output);
            assert_eq!(ours.map(bare), theirs.map(bare), "{label}");
        }
    }
}

#[test]
fn s_client_gnutls_and_curl_agree_on_what_is_stapled() {
    let (host, site) = (Nginx::new(), Site::new());
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    let server = host.start(&site, &shim);
    two_agree(&host, &server, &site, &good);
    host.client(&server, &site).curl().assert_accepted();
}

#[test]
fn s_client_gnutls_and_curl_agree_that_nothing_is_stapled() {
    let (host, site) = (Nginx::new(), Site::new());
    let server = host.start(&site, &Shim::preloaded());
    for version in Tls::ALL {
        let client = host.client(&server, &site);
        let (verdict, saved) = client.gnutls_saving(version);
        verdict.assert_accepted();
        assert_eq!(saved, None, "{}", verdict.message);
        client.tls(version).handshake().assert_no_staple();
    }
    let curl = host.client(&server, &site).curl();
    curl.assert_refused("No OCSP response received");
}
