//! What is held of each server, and the row that it earns.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Host, Shim, Site, Spec, Tls, contract, shim, wait};

use crate::confinement::{self, Confinement};
use crate::document::{self, Row};
use crate::gnutls;
use crate::live_map::LiveMap;

/// A server, and what is known of it.
pub struct Case<H> {
    /// What its users call it; the first column of the table.
    pub name: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// Without stapling of its own.
    pub host: H,
    /// What its processes are seen as while a connection stands open.
    pub confined: Confinement,
    /// Whether it can read a response file.
    pub from_file: bool,
    /// Its own stapling.
    pub own: Own<H>,
}

/// What a server staples by itself.
pub enum Own<H> {
    /// It cannot.
    Nothing,
    /// So set up it staples this file of the site.
    File(H, &'static str),
    /// So set up it fetches from the certificate's responder by itself, in the
    /// first handshake.
    Fetched(H),
}

/// Panics unless the servers can be started as their packages start them.
fn needs_root() {
    let uid = fs::metadata("/proc/self").expect("/proc is there").uid();
    assert_eq!(
        uid, 0,
        "these servers start as root and then confine themselves; run this test as root"
    );
}

/// Whether all is to be tried.
fn full() -> bool {
    std::env::var("STAPLEGUN_PROGRAMS").is_ok_and(|value| value == "full")
}

/// Holds the server to everything, and compares or writes its row.
pub fn hold<H: Host>(case: Case<H>) {
    needs_root();
    if !full() {
        live_map(&case, &[Tls::V1_3]);
        return;
    }
    judges_can_tell(&case.host);
    let live = live_map(&case, &[Tls::V1_3, Tls::V1_2]);
    contract::staples_nothing_by_itself(&case.host);
    if case.from_file {
        contract::staples_a_response_file(&case.host);
    }
    let own = match case.own {
        Own::Nothing => "has none",
        Own::File(host, file) => {
            contract::the_programs_own_response_wins(&host, file);
            "wins"
        }
        Own::Fetched(host) => {
            what_it_fetches_wins(&host);
            "wins"
        }
    };
    document::hold(&Row {
        name: case.name,
        package: case.package,
        cells: vec![
            case.confined.words(),
            "yes".to_owned(),
            "yes".to_owned(),
            live.reload.unwrap_or("cannot").to_owned(),
            live.told.to_owned(),
            if case.from_file { "yes" } else { "no" }.to_owned(),
            own.to_owned(),
        ],
    });
}

/// Holds that a server which cannot be reached staples nothing, from the live
/// map or from a file, and serves as it does without the library. Where this
/// fails because it staples, `hold` is what it has earned.
pub fn hold_unreached(
    name: &'static str,
    package: &'static str,
    host: &impl Host,
    why: &'static str,
) {
    needs_root();
    let (site, mut map) = (Site::new(), LiveMap::new());
    let good = site.good().der();
    map.publish(&site, &good);
    let file = site.write("response.der", &good);
    let server = host.start(&site, &map.shim().responses(&[&file]));
    for tls in Tls::ALL {
        host.client(&server, &site)
            .tls(tls)
            .handshake()
            .assert_no_staple();
    }
    drop(server);
    if full() {
        let nothing = std::iter::repeat_n("-".to_owned(), 5);
        let cells = ["-".to_owned(), format!("no: {why}")];
        document::hold(&Row {
            name,
            package,
            cells: cells.into_iter().chain(nothing).collect(),
        });
    }
}

/// Holds one that the library does not reach to what a script of ours does in it, from the
/// agent's files.
pub fn hold_by_script<H: Host>(case: &Case<H>) {
    needs_root();
    let host = &case.host;
    let (site, map) = (Site::with(&leaf()), LiveMap::new());
    let server = host.start(&site, &map.shim());
    host.client(&server, &site).handshake().assert_no_staple();
    assert!(map.was_told_of(&site));
    drop(server);

    let first = site.good().der();
    map.show(&site, &first);
    let server = host.start(&site, &map.shim());
    for tls in Tls::ALL {
        let client = host.client(&server, &site).tls(tls);
        client.handshake().assert_stapled(&first);
        if full() {
            let verdict = gnutls::visit(host, &server, &site, tls);
            assert!(verdict.accepted, "{}", verdict.words);
        }
    }
    confinement::assert_seen(&server, &case.confined);
    let renewed = site.good().this_update(-60).der();
    map.show(&site, &renewed);
    wait::until("the new response is stapled", || {
        let staple = host.client(&server, &site).handshake().staple;
        assert!(staple.is_some(), "a handshake without a staple");
        (staple.as_ref() == Some(&renewed)).then_some(())
    });
    drop(server);

    if let Own::File(host, file) = &case.own {
        let own = site.good().this_update(-7_200).der();
        site.write(file, &own);
        let server = host.start(&site, &map.shim());
        host.client(&server, &site).handshake().assert_stapled(&own);
    }
    if full() {
        judges_can_tell(host);
        contract::staples_nothing_by_itself(host);
        let cells = ["yes, by node.cjs", "yes", "cannot", "yes", "no", "wins"];
        let cells = cells.into_iter().map(str::to_owned);
        document::hold(&Row {
            name: case.name,
            package: case.package,
            cells: [case.confined.words()].into_iter().chain(cells).collect(),
        });
    }
}

/// Holds one that the library does not reach to what it does with the agent's file for its
/// certificate, which it looks at for each connection.
pub fn hold_by_file(
    name: &'static str,
    package: &'static str,
    host: &impl Host,
    confined: &Confinement,
) {
    needs_root();
    let (site, map) = (Site::with(&leaf()), LiveMap::new());
    let shim = Shim::absent().env("STAPLEGUN_DIR", map.directory());
    let first = site.good().der();
    map.show(&site, &first);
    let server = host.start(&site, &shim);
    let renewed = site.good().this_update(-60).der();
    for response in [&first, &renewed] {
        map.show(&site, response);
        for tls in Tls::ALL {
            let client = host.client(&server, &site).tls(tls);
            client.handshake().assert_stapled(response);
            if full() {
                let verdict = gnutls::visit(host, &server, &site, tls);
                assert!(verdict.accepted, "{}", verdict.words);
            }
        }
    }
    confinement::assert_seen(&server, confined);
    // As when it is revoked.
    map.hide(&site);
    host.client(&server, &site).handshake().assert_no_staple();
    if full() {
        judges_can_tell(host);
        let cells = [
            "yes, the agent's file",
            "yes",
            "-",
            "no",
            "no",
            "is that file",
        ];
        let cells = cells.into_iter().map(str::to_owned);
        document::hold(&Row {
            name,
            package,
            cells: [confined.words()].into_iter().chain(cells).collect(),
        });
    }
}

/// Plainly, gnutls-cli refuses the must-staple certificate.
fn judges_can_tell(host: &impl Host) {
    if !gnutls::can_visit(host) {
        return;
    }
    let site = Site::with(&leaf());
    let server = host.start(&site, &Shim::absent());
    for tls in Tls::ALL {
        let verdict = gnutls::visit(host, &server, &site, tls);
        assert!(!verdict.accepted, "{}", verdict.words);
        let missing = "the OCSP status is missing";
        assert!(verdict.words.contains(missing), "{}", verdict.words);
    }
}

struct Live {
    reload: Option<&'static str>,
    told: &'static str,
}

fn leaf() -> Spec {
    Spec::server().must_staple().ocsp_url("http://127.0.0.1:9/")
}

/// From the first handshake to the stop, from the live map alone.
fn live_map<H: Host>(case: &Case<H>, versions: &[Tls]) -> Live {
    let host = &case.host;
    let (mut site, mut map) = (Site::with(&leaf()), LiveMap::new());
    let first = site.good().der();
    map.publish(&site, &first);
    let mut server = host.start(&site, &map.shim());
    let probe = |site: &Site, server: &_, response: &[u8]| {
        for tls in versions {
            let client = host.client(server, site).tls(*tls);
            client.handshake().assert_stapled(response);
        }
        for tls in versions
            .iter()
            .filter(|_| full() && gnutls::can_visit(host))
        {
            let verdict = gnutls::visit(host, server, site, *tls);
            assert!(verdict.accepted, "{}", verdict.words);
        }
    };
    probe(&site, &server, &first);
    confinement::assert_seen(&server, &case.confined);
    if let Some(directory) = shim::other_openssl() {
        confinement::assert_runs_on(&server, &directory);
    }
    let told = map.was_told_of(&site);

    let renewed = site.good().this_update(-60).der();
    map.publish(&site, &renewed);
    probe(&site, &server, &renewed);

    site.leaf = site.root.issue(&leaf());
    let response = site.good().der();
    map.publish(&site, &response);
    let chain = site.leaf.pem() + &site.root.pem();
    let key = site.leaf.key.pem().to_owned();
    site.write("cert.pem", site.leaf.pem());
    site.write("bundle.pem", chain.clone() + &key);
    site.write("chain.pem", chain);
    site.write("key.pem", key);
    let reload = host.reload(&server, &site);
    for tls in versions.iter().filter(|_| reload.is_some()) {
        let client = host.client(&server, &site).tls(*tls);
        wait::until("the new certificate's response is stapled", || {
            let handshake = client.handshake();
            if !handshake.completed {
                return None;
            }
            // Until they have ended, old workers serve with the old certificate.
            let staple = handshake.staple.expect("no handshake is without a staple");
            assert!(staple == renewed || staple == response);
            (staple == response).then_some(())
        });
        if full() && gnutls::can_visit(host) {
            let verdict = gnutls::visit(host, &server, &site, *tls);
            assert!(verdict.accepted, "{}", verdict.words);
        }
    }
    let status = server.stop();
    assert!(!status.core_dumped(), "{status}: {}", server.stderr());
    Live {
        reload,
        told: if told { "yes" } else { "no" },
    }
}

/// What the server fetches by itself goes out, although the map has another.
fn what_it_fetches_wins(host: &impl Host) {
    let responder = FaultyResponder::start(Behaviour::Close);
    let (site, mut map) = (
        Site::with(&Spec::server().ocsp_url(&responder.url())),
        LiveMap::new(),
    );
    let own = site.good().this_update(-7_200).der();
    responder.set(Behaviour::Answer(own.clone()));
    map.publish(&site, &site.good().der());
    let server = host.start(&site, &map.shim());
    for tls in Tls::ALL {
        let client = host.client(&server, &site).tls(tls);
        client.handshake().assert_stapled(&own);
    }
}
