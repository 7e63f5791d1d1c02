//! What every server must do with the library in it, whichever it is. Each
//! function is one test; each panics with what s_client saw.

use std::collections::BTreeSet;

use crate::hosts::Host;
use crate::judge::Tls;
use crate::program::Server;
use crate::response::Response;
use crate::shim::Shim;
use crate::site::Site;
use crate::{Identity, Spec};

/// Plainly, and preloaded without any response, the server staples nothing.
pub fn staples_nothing_by_itself(host: &impl Host) {
    let site = Site::new();
    let plain = observe(host, &site, &Shim::absent(), &Tls::ALL, None);
    let preloaded = observe(host, &site, &Shim::preloaded(), &Tls::ALL, None);
    assert_no_new_complaint(&plain, &preloaded);
}

/// The response that STAPLEGUN_RESPONSE names is stapled, to the byte, from
/// the first handshake on, in either version of TLS, and nobody complains.
pub fn staples_a_response_file(host: &impl Host) {
    let site = Site::new();
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    let versions = [[Tls::V1_2, Tls::V1_3], [Tls::V1_3, Tls::V1_2]];
    for order in versions {
        let plain = observe(host, &site, &Shim::absent(), &order, None);
        let preloaded = observe(host, &site, &shim, &order, Some(&good));
        assert_no_new_complaint(&plain, &preloaded);
    }
}

/// The response in `chain.pem.ocsp` is stapled without any configuration, by
/// a server that loads `chain.pem` by its path.
pub fn staples_the_response_beside_its_certificate(host: &impl Host) {
    let site = Site::with_intermediate(&Spec::server());
    let good = site.good().der();
    site.write("chain.pem.ocsp", &good);
    let plain = observe(host, &site, &Shim::absent(), &Tls::ALL, None);
    let preloaded = observe(host, &site, &Shim::preloaded(), &Tls::ALL, Some(&good));
    assert_no_new_complaint(&plain, &preloaded);
}

/// A response that clients would refuse is not stapled, and no handshake
/// suffers.
pub fn staples_nothing_that_clients_refuse(host: &impl Host) {
    let site = Site::new();
    let neighbour = site.root.issue(&Spec::server());
    let refused = [
        site.good().expired().der(),
        site.good().revoked().der(),
        Response::good(&neighbour, &site.root).der(),
        site.good().signed_by(&stranger()).der(),
    ];
    let plain = observe(host, &site, &Shim::absent(), &Tls::ALL, None);
    for response in refused {
        let file = site.write("response.der", response);
        let shim = Shim::preloaded().responses(&[&file]);
        let preloaded = observe(host, &site, &shim, &Tls::ALL, None);
        assert_no_new_complaint(&plain, &preloaded);
    }
}

/// The response that the server staples by itself from `own_file` of the site
/// goes out unchanged, although we have another, and nobody complains.
pub fn the_programs_own_response_wins(host: &impl Host, own_file: &str) {
    let site = Site::new();
    let own = site.good().this_update(-7_200).der();
    site.write(own_file, &own);
    let ours = site.write("response.der", site.good().der());
    let shim = Shim::preloaded().responses(&[&ours]);
    let plain = observe(host, &site, &Shim::absent(), &Tls::ALL, Some(&own));
    let preloaded = observe(host, &site, &shim, &Tls::ALL, Some(&own));
    assert_no_new_complaint(&plain, &preloaded);
}

fn stranger() -> Identity {
    Identity::self_signed(&Spec::ca("Test root"))
}

/// Makes a handshake with each version, wants that staple in each, and returns
/// all that the server wrote until it was stopped.
fn observe(
    host: &impl Host,
    site: &Site,
    shim: &Shim,
    versions: &[Tls],
    staple: Option<&[u8]>,
) -> Server {
    let mut server = host.start(site, shim);
    for version in versions {
        let handshake = host.client(&server, site).tls(*version).handshake();
        match staple {
            Some(der) => handshake.assert_stapled(der),
            None => handshake.assert_no_staple(),
        }
    }
    server.stop();
    server
}

/// Every kind of line that the server wrote with us, it also wrote without us.
fn assert_no_new_complaint(plain: &Server, preloaded: &Server) {
    let before = kinds_of_lines(plain);
    let new: Vec<String> = kinds_of_lines(preloaded)
        .difference(&before)
        .cloned()
        .collect();
    assert!(new.is_empty(), "new lines in the server's log: {new:#?}");
}

/// The lines of both outputs, without what differs from run to run: numbers
/// (times, ports, process numbers) and what drawings surround them, digests.
fn kinds_of_lines(server: &Server) -> BTreeSet<String> {
    let output = server.stdout() + &server.stderr();
    output.lines().map(without_numbers).collect()
}

fn without_numbers(line: &str) -> String {
    let is_digest = |word: &str| word.len() > 20 && word.ends_with('=');
    let words: Vec<_> = line.split(' ').filter(|word| !is_digest(word)).collect();
    let shape = words.join(" ");
    let shape = shape.replace(|c: char| c.is_ascii_digit(), "0");
    // Numbers of other lengths are the same kind of line.
    let mut short = String::new();
    for c in shape.chars() {
        if c != '0' || !short.ends_with('0') {
            short.push(c);
        }
    }
    short
}
