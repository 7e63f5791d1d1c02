//! The whole way: a server with the library leaves its certificate in the spool, the agent fetches
//! for it, and the server staples that from the map, from its first handshake on.
//!
//! With STAPLEGUN_PROGRAM, STAPLEGUN_LIB and STAPLEGUN_SERVERS agent, library and servers may be
//! those for another machine, where this one can run them (tools/arm64-run).

use std::path::Path;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{OpensslServer, Python, Redis};
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Client, Host, Shim, Site, Spec, wait};

use crate::support::{Agent, QUICK, Store};

/// A server as a program of a user whom the agent does not trust, an agent that looks after it,
/// and its responder.
fn looked_after(host: &dyn Host) {
    let responder = FaultyResponder::start(Behaviour::Close);
    let site = Site::with(&Spec::server().ocsp_url(&responder.url()));
    let [first, renewed, last] = [-7200, -3600, -60].map(|ago| site.good().this_update(ago).der());
    responder.set(Behaviour::Answer(first.clone()));
    let store = Store::new();
    set_mode(store.directory.path(), 0o755);
    let settings = format!(
        "trusted-issuers = ['{}']\n{QUICK}",
        path(&site.path("ca.pem"))
    );
    let agent = store.start(&settings);

    let shim = Shim::preloaded()
        .env("STAPLEGUN_DIR", store.directory.path())
        .env("STAPLEGUN_WAIT", "30s");
    let server = host.start(&site, &shim);
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&first);

    responder.set(Behaviour::Answer(renewed.clone()));
    staples(&client, &renewed);

    // The map outlives the agent, and the next one goes on with it.
    agent.kill();
    client.handshake().assert_stapled(&renewed);
    responder.set(Behaviour::Answer(last.clone()));
    let _next: Agent = store.start(&settings);
    staples(&client, &last);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn staples(client: &Client, der: &[u8]) {
    wait::until("the server staples what the agent fetched", || {
        let handshake = client.handshake();
        assert!(handshake.staple.is_some(), "a handshake without a staple");
        (handshake.staple.as_deref() == Some(der)).then_some(())
    });
}

#[test]
fn s_server_is_looked_after() {
    looked_after(&OpensslServer::new());
}

#[test]
fn redis_is_looked_after() {
    looked_after(&Redis);
}

#[test]
fn python_is_looked_after() {
    looked_after(&Python::new());
}
