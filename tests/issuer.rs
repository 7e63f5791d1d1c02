//! Where the issuer is found when the chain file holds only the leaf. Without
//! it there is no certID and no verification, so nothing is stapled.

use staplegun_testkit::hosts::Python;
use staplegun_testkit::{Host, Identity, Shim, Site, Spec};

/// Python with a file that holds the leaf alone.
fn leaf_only() -> Python {
    Python::with("cert.pem", "key.pem")
}

/// A site with a response for its leaf, and a shim that knows it.
fn site_with_response() -> (Site, Vec<u8>, Shim) {
    let site = Site::new();
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    (site, good, shim)
}

fn assert_stapled(host: &Python, site: &Site, shim: &Shim, der: &[u8]) {
    let server = host.start(site, shim);
    host.client(&server, site).handshake().assert_stapled(der);
}

#[test]
fn it_is_found_in_the_contexts_store() {
    let (site, good, shim) = site_with_response();
    let host = leaf_only().verify_locations("ca.pem");
    assert_stapled(&host, &site, &shim, &good);
}

#[test]
fn it_is_found_beside_the_certificate() {
    let (site, good, shim) = site_with_response();
    site.write("cert.pem.issuer", site.root.pem());
    assert_stapled(&leaf_only(), &site, &shim, &good);
}

#[test]
fn it_is_found_in_the_file_of_issuers_behind_others() {
    let (site, good, shim) = site_with_response();
    let other = Identity::self_signed(&Spec::ca("Another CA"));
    let file = site.write("issuers.pem", other.pem() + &site.root.pem());
    let shim = shim.env("STAPLEGUN_ISSUERS", file);
    assert_stapled(&leaf_only(), &site, &shim, &good);
}

#[test]
fn it_is_found_in_the_directory_of_issuers() {
    let (site, good, shim) = site_with_response();
    let other = Identity::self_signed(&Spec::ca("Another CA"));
    let directory = site.path("issuers");
    std::fs::create_dir(&directory).expect("it is new");
    for (name, identity) in [("a.pem", &other), ("b.pem", &site.root)] {
        std::fs::write(directory.join(name), identity.pem()).expect("it is ours");
    }
    let shim = shim.env("STAPLEGUN_ISSUERS", directory);
    assert_stapled(&leaf_only(), &site, &shim, &good);
}

#[test]
fn an_intermediate_issuer_is_found_in_the_chain_file() {
    let site = Site::with_intermediate(&Spec::server());
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    assert_stapled(&Python::new(), &site, &shim, &good);
}

#[test]
fn without_it_nothing_is_stapled_and_the_log_says_so() {
    let (site, _, shim) = site_with_response();
    let log = site.write_with_mode("log", "", 0o666);
    // No agent is there to be told of it, for whose sake alone it would be looked for.
    let shim = shim.env("STAPLEGUN_DIR", site.path("no store"));
    let host = leaf_only();
    let server = host.start(&site, &shim.log(&log));
    host.client(&server, &site).handshake().assert_no_staple();
    let log = std::fs::read_to_string(log).expect("the log can be read");
    let complaints = log.lines().filter(|line| line.contains("issuer"));
    assert_eq!(complaints.count(), 1, "{log}");
}

#[test]
fn one_of_the_same_name_that_did_not_sign_the_leaf_is_not_taken() {
    let (site, _, shim) = site_with_response();
    let namesake = Identity::self_signed(&Spec::ca("Test root"));
    site.write("cert.pem.issuer", namesake.pem());
    let host = leaf_only();
    let server = host.start(&site, &shim);
    host.client(&server, &site).handshake().assert_no_staple();
}

#[test]
fn one_of_the_same_name_does_not_hide_the_real_one() {
    let (site, good, shim) = site_with_response();
    let namesake = Identity::self_signed(&Spec::ca("Test root"));
    let file = site.write("issuers.pem", namesake.pem() + &site.root.pem());
    let shim = shim.env("STAPLEGUN_ISSUERS", file);
    assert_stapled(&leaf_only(), &site, &shim, &good);
}
