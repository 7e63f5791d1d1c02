//! Refreshing, renewing certificates, and what is never displaced.

use staplegun_store::slots::Miss;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{PATIENT, QUICK, Store};

/// In seconds.
const DECADE: i64 = 3_650 * 86_400;

#[test]
fn an_older_response_never_displaces_a_newer_one_however_long_it_lasts() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    let older = Response::good(&leaf, &ca)
        .this_update(-7200)
        .next_update(DECADE)
        .der();
    responder.queue(Behaviour::Answer(good.clone()));
    responder.queue(Behaviour::Answer(older));
    responder.queue(Behaviour::Close);
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    // The failure that was queued after it has been met: so has the older one.
    agent.wait_until_failed(&leaf);
    assert_eq!(store.served(&leaf), Ok(good));
}

#[test]
fn an_answer_of_tomorrow_is_stapled_when_its_time_has_come_though_the_responder_is_gone() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    // Not for the skew alone.
    let early = Response::good(&leaf, &ca).this_update(300 + 15).der();
    responder.queue(Behaviour::Answer(good.clone()));
    // Asked in every way.
    for _ in 0..2 {
        responder.queue(Behaviour::Answer(early.clone()));
    }
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    agent.wait_until_failed(&leaf);
    assert_eq!(store.served(&leaf), Ok(good));
    agent.wait_until_served(&leaf, &early);
}

#[test]
fn one_that_is_valid_for_ten_years_pins_nothing() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let decade = Response::good(&leaf, &ca).next_update(DECADE).der();
    let newer = Response::good(&leaf, &ca).this_update(-60).der();
    responder.set(Behaviour::Answer(decade.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    agent.wait_until_served(&leaf, &decade);
    responder.set(Behaviour::Answer(newer.clone()));
    agent.wait_until_served(&leaf, &newer);
}

#[test]
fn the_next_refresh_lies_around_half_of_the_validity() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca)
        .this_update(0)
        .next_update(100_000);
    responder.set(Behaviour::Answer(good.der()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(PATIENT);
    agent.wait_for_metric("staplegun_fetches_total 1");
    let notes = staplegun_testkit::wait::until("the notes tell the next refresh", || {
        store
            .notes(&leaf)
            .filter(|notes| notes.next_refresh.is_some())
    });
    let wait = notes
        .next_refresh
        .zip(notes.last_success)
        .map(|(next, last)| next - last);
    assert!(matches!(wait, Some(39_900..=60_100)), "{notes:?}");
    assert_eq!(responder.requests().len(), 1);
}

#[test]
fn max_age_delays_the_refresh() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca)
        .this_update(0)
        .next_update(100_000)
        .der();
    let cached = [("Cache-Control", "max-age=70000")];
    responder.set(Behaviour::answer_with(good.clone(), &cached));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(PATIENT);
    agent.wait_until_served(&leaf, &good);
    let notes = staplegun_testkit::wait::until("the notes tell the next refresh", || {
        store
            .notes(&leaf)
            .filter(|notes| notes.next_refresh.is_some())
    });
    let wait = notes
        .next_refresh
        .zip(notes.last_success)
        .map(|(next, last)| next - last);
    assert!(matches!(wait, Some(69_900..=70_100)), "{notes:?}");
}

#[test]
fn a_response_without_next_update_lives_for_the_configured_time() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    // An hour old already.
    let eternal = Response::good(&leaf, &ca).next_update(None).der();
    responder.set(Behaviour::Answer(eternal.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    let notes = agent.wait_until_failed(&leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("expired"));
    assert_eq!(store.served(&leaf), Err(Miss::Absent));
    drop(agent);
    let longer = format!("{QUICK}life-without-next-update = 7200\n");
    store.start(&longer).wait_until_served(&leaf, &eternal);
}

#[test]
fn a_renewed_certificate_is_noticed_where_the_old_one_lay() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let (old, new) = (ca.issue(&spec), ca.issue(&spec));
    let store = Store::new();
    let path = store.list(&old, &[&ca]);
    let first = Response::good(&old, &ca).der();
    responder.set(Behaviour::Answer(first.clone()));
    let agent = store.start(PATIENT);
    agent.wait_until_served(&old, &first);
    let second = Response::good(&new, &ca).der();
    responder.set(Behaviour::Answer(second.clone()));
    let renewed = path.with_extension("new");
    std::fs::write(&renewed, new.pem() + &ca.pem()).expect("it can be written");
    std::fs::rename(renewed, path).expect("it can be renamed");
    agent.wait_until_served(&new, &second);
    // Programs that have not loaded the new one yet still get the old one's.
    assert_eq!(store.served(&old), Ok(first));
}

#[test]
fn an_issuer_that_is_missing_is_fetched_and_kept() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let issuer = FaultyResponder::start(Behaviour::Answer(ca.der()));
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaf = ca.issue(&spec.ca_issuers_url(&issuer.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[]);
    let agent = store.start(PATIENT);
    agent.wait_until_served(&leaf, &good);
    let (kept, both) = (store.file("certs", &leaf, "pem"), leaf.pem() + &ca.pem());
    wait::until("it is kept", || {
        (std::fs::read_to_string(&kept).ok()? == both).then_some(())
    });
}

#[test]
fn an_issuer_that_did_not_sign_the_leaf_is_none() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    // Of the same name: only the signature tells.
    let impostor = Identity::self_signed(&Spec::ca("CA"));
    let lies = FaultyResponder::start(Behaviour::Answer(impostor.der()));
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaf = ca.issue(&spec.ca_issuers_url(&lies.url()));
    responder.set(Behaviour::Answer(Response::good(&leaf, &impostor).der()));
    let store = Store::new();
    store.list(&leaf, &[&impostor]);
    let agent = store.start(QUICK);
    let notes = agent.wait_until_failed(&leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("no_issuer"));
    assert_eq!(store.served(&leaf), Err(Miss::Absent));
    assert!(responder.requests().is_empty());
}

#[test]
fn an_override_takes_the_place_of_the_certificates_responder() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let wrong = FaultyResponder::start(Behaviour::Close);
    let right = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&wrong.url()));
    let good = Response::good(&leaf, &ca).der();
    right.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let settings = format!(
        "{PATIENT}[[responder]]\nprefix = '{}'\nurl = '{}'\n",
        wrong.url(),
        right.url()
    );
    store.start(&settings).wait_until_served(&leaf, &good);
    assert!(wrong.requests().is_empty());
}
