//! Servers that fetch by themselves: what clients get as long as they have nothing.

use staplegun_testkit::hosts::{Apache, Mpm, Nginx};
use staplegun_testkit::responder::{Behaviour, FaultyResponder, Refused};
use staplegun_testkit::{Host, Shim, Site, Spec, wait};

use crate::live_map::LiveMap;

/// A site whose responder has that address, and a map with a response for it.
fn scene(url: &str) -> (Site, LiveMap, Vec<u8>) {
    let site = Site::with(&Spec::server().ocsp_url(url));
    let mut map = LiveMap::new();
    let ours = site.good().der();
    map.publish(&site, &ours);
    (site, map, ours)
}

/// nginx asks its responder when a worker makes its first handshake, and does not
/// wait for the answer.
#[test]
fn nginx_staples_ours_until_it_has_its_own() {
    let responder = FaultyResponder::start(Behaviour::Close);
    let (site, map, ours) = scene(&responder.url());
    let own = site.good().this_update(-7_200).der();
    responder.set(Behaviour::Answer(own.clone()));
    let host = Nginx::new().fetches();
    let handshake = |shim: &Shim| {
        let server = host.start(&site, shim);
        let client = host.client(&server, &site);
        (client.handshake(), client, server)
    };
    let (alone, _, server) = handshake(&Shim::absent());
    alone.assert_no_staple();
    drop(server);

    let (first, client, _server) = handshake(&map.shim());
    first.assert_stapled(&ours);
    wait::until("nginx staples its own", || {
        let staple = client.handshake().staple;
        assert!(staple.is_some(), "a handshake without a staple");
        (staple.as_ref() == Some(&own)).then_some(())
    });
}

/// Whether ours goes out while nobody listens where Apache's responder should be.
fn apache_without_its_responder(directives: &'static str, more: fn(Shim) -> Shim) -> bool {
    let refused = Refused::new();
    let (site, map, ours) = scene(&refused.url());
    let host = Apache::new(Mpm::Event).own_stapling(directives);
    let server = host.start(&site, &more(map.shim()));
    let handshake = host.client(&server, &site).handshake();
    assert!(handshake.completed, "{}", handshake.output);
    handshake.staple == Some(ours)
}

/// By default it then staples a response that says tryLater: its own, so it wins.
#[test]
fn apache_staples_its_try_later_when_its_responder_is_away() {
    assert!(!apache_without_its_responder("", |shim| shim));
}

#[test]
fn apache_staples_ours_when_it_makes_up_no_try_later() {
    let quiet = "SSLStaplingFakeTryLater off";
    assert!(apache_without_its_responder(quiet, |shim| shim));
}

#[test]
fn apache_staples_ours_instead_of_try_later_where_repair_is_on() {
    let repair = |shim: Shim| shim.env("STAPLEGUN_SERVER", "repair");
    assert!(apache_without_its_responder("", repair));
}
