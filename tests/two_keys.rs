//! An RSA and an ECDSA certificate in one context: each handshake gets the
//! response for the certificate that it chose.

use std::path::Path;

use staplegun_testkit::hosts::{Nginx, Python};
use staplegun_testkit::{Host, Identity, KeyKind, Response, Shim, Site, Spec, Tls};

/// A site whose `rsa.pem` and `rsa.key` are a second certificate for it.
fn site_with_rsa() -> (Site, Identity) {
    let site = Site::new();
    let rsa = site.root.issue(&Spec::server().key(KeyKind::Rsa2048));
    site.write("rsa.pem", rsa.pem() + &site.root.pem());
    site.write("rsa.key", rsa.key.pem());
    (site, rsa)
}

fn assert_each_gets_its_own(
    host: &impl Host,
    site: &Site,
    shim: &Shim,
    of_ecdsa: &[u8],
    of_rsa: &[u8],
) {
    let server = host.start(site, shim);
    for version in Tls::ALL {
        let client = host.client(&server, site).tls(version);
        let ecdsa = client.clone().options(&["-sigalgs", "ECDSA+SHA256"]);
        let rsa = client.options(&["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]);
        ecdsa.handshake().assert_stapled(of_ecdsa);
        rsa.handshake().assert_stapled(of_rsa);
    }
}

#[test]
fn each_key_gets_its_own_response_from_a_list_and_from_a_directory() {
    let (site, rsa) = site_with_rsa();
    let of_ecdsa = site.good().der();
    let of_rsa = Response::good(&rsa, &site.root).der();
    std::fs::create_dir(site.path("responses")).expect("it is new");
    let files = [
        ("responses/ecdsa.der", &of_ecdsa),
        ("responses/rsa.der", &of_rsa),
    ];
    for (name, der) in files {
        std::fs::write(site.path(name), der).expect("the directory is ours");
    }
    let list = files.map(|(name, _)| site.path(name));
    let list: Vec<&Path> = list.iter().map(AsRef::as_ref).collect();
    let host = Nginx::new().and("rsa.pem", "rsa.key");
    for paths in [list.as_slice(), &[&site.path("responses")]] {
        let shim = Shim::preloaded().responses(paths);
        assert_each_gets_its_own(&host, &site, &shim, &of_ecdsa, &of_rsa);
    }
}

#[test]
fn each_key_gets_the_response_beside_its_certificate() {
    let (site, rsa) = site_with_rsa();
    let of_ecdsa = site.good().der();
    let of_rsa = Response::good(&rsa, &site.root).der();
    site.write("chain.pem.ocsp", &of_ecdsa);
    site.write("rsa.pem.ocsp", &of_rsa);
    let host = Python::new().and("rsa.pem", "rsa.key");
    assert_each_gets_its_own(&host, &site, &Shim::preloaded(), &of_ecdsa, &of_rsa);
}

#[test]
fn a_key_without_a_response_gets_none() {
    let (site, rsa) = site_with_rsa();
    let of_rsa = Response::good(&rsa, &site.root).der();
    let file = site.write("rsa.der", &of_rsa);
    let host = Nginx::new().and("rsa.pem", "rsa.key");
    let server = host.start(&site, &Shim::preloaded().responses(&[&file]));
    let client = host.client(&server, &site);
    let ecdsa = client.clone().options(&["-sigalgs", "ECDSA+SHA256"]);
    ecdsa.handshake().assert_no_staple();
    let rsa = client.options(&["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]);
    rsa.handshake().assert_stapled(&of_rsa);
}
