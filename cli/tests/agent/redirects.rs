//! Where a responder says that somebody else is to be asked.

use std::sync::Arc;

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{PATIENT, QUICK, Store};

/// Answers POST as `then`, and lets nobody GET.
fn by_post_only(then: Behaviour) -> Behaviour {
    Behaviour::Call(Arc::new(move |request| {
        if request.method == "POST" {
            then.clone()
        } else {
            Behaviour::status(405, &[])
        }
    }))
}

#[test]
fn a_redirect_of_a_post_is_followed_with_the_request() {
    for status in [301, 302, 307, 308] {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let (first, second) = (
            FaultyResponder::start(Behaviour::Close),
            FaultyResponder::start(Behaviour::Close),
        );
        let leaf = ca.issue(&Spec::server().ocsp_url(&first.url()));
        let good = Response::good(&leaf, &ca).der();
        let elsewhere = second.url();
        let redirect = Behaviour::status(status, &[("Location", &elsewhere)]);
        first.set(by_post_only(redirect));
        second.set(by_post_only(Behaviour::Answer(good.clone())));
        let store = Store::new();
        store.list(&leaf, &[&ca]);
        store.start(PATIENT).wait_until_served(&leaf, &good);
        let requests = second.requests();
        let asked = requests.first().and_then(|request| request.der());
        assert_eq!(asked, first.requests()[1].der(), "{status}");
    }
}

#[test]
fn a_redirect_to_another_path_is_followed() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    let answer = good.clone();
    responder.set(Behaviour::Call(Arc::new(move |request| {
        if request.target == "/elsewhere" {
            Behaviour::Answer(answer.clone())
        } else {
            Behaviour::status(307, &[("Location", "/elsewhere")])
        }
    })));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    store.start(PATIENT).wait_until_served(&leaf, &good);
}

#[test]
fn a_port_beyond_the_last_is_refused_and_nobody_else_is_asked() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    responder.set(Behaviour::status(
        302,
        &[("Location", "http://127.0.0.1:65536/")],
    ));
    let named = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:70000/"));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    store.list(&named, &[&ca]);
    let agent = store.start(QUICK);
    for (leaf, port) in [(&leaf, "65536"), (&named, "70000")] {
        let notes = agent.wait_until_failed(leaf);
        let error = notes.last_error.unwrap_or_default();
        assert_eq!(notes.last_cause.as_deref(), Some("bad_address"), "{error}");
        assert!(error.contains(port), "{error}");
    }
}
