//! How a responder is asked: in the ways that it may understand, no more often than it
//! wants, and at once when the operator wants it.

use std::path::PathBuf;
use std::sync::Arc;

use staplegun_testkit::responder::{Behaviour, FaultyResponder, Request};
use staplegun_testkit::response::{CertIdHash, error_status};
use staplegun_testkit::{Identity, OcspResponseStatus, Response, Spec, wait};

use crate::support::{Agent, PATIENT, QUICK, Store};

/// The object identifier of SHA-256, as it stands in a certID.
const SHA256: [u8; 11] = [0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    store: Store,
    path: PathBuf,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    let store = Store::new();
    let path = store.list(&leaf, &[&ca]);
    Scene {
        ca,
        leaf,
        good,
        responder,
        store,
        path,
    }
}

impl Scene {
    /// Another certificate of the same responder, with what is good for it.
    fn another(&self) -> (Identity, Vec<u8>) {
        let leaf = self
            .ca
            .issue(&Spec::server().ocsp_url(&self.responder.url()));
        let good = Response::good(&leaf, &self.ca).der();
        (leaf, good)
    }

    /// Answers those requests as `then`, all others as `otherwise`.
    fn answer(
        &self,
        wanted: impl Fn(&Request) -> bool + Send + Sync + 'static,
        then: Behaviour,
        otherwise: Behaviour,
    ) {
        self.responder.set(Behaviour::Call(Arc::new(move |request| {
            if wanted(request) {
                then.clone()
            } else {
                otherwise.clone()
            }
        })));
    }

    /// Method and hash of each request so far.
    fn asked(&self) -> Vec<(String, &'static str)> {
        let requests = self.responder.requests().into_iter();
        requests
            .map(|request| {
                let hash = if is_sha256(&request) {
                    "SHA-256"
                } else {
                    "SHA-1"
                };
                (request.method, hash)
            })
            .collect()
    }

    fn start(&self) -> Agent {
        self.store.start(PATIENT)
    }
}

fn is_sha256(request: &Request) -> bool {
    let der = request.der().unwrap_or_default();
    der.windows(SHA256.len()).any(|part| part == SHA256)
}

fn is_post(request: &Request) -> bool {
    request.method == "POST"
}

fn ways(ways: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    let owned = ways
        .iter()
        .map(|(method, hash)| ((*method).to_owned(), *hash));
    owned.collect()
}

#[test]
fn whatever_a_get_brings_that_is_of_no_use_is_asked_for_again_by_post() {
    use OcspResponseStatus::{InternalError, MalformedRequest, Unauthorized};
    let stale = |scene: &Scene| Response::good(&scene.leaf, &scene.ca).expired().der();
    let mut useless: Vec<(String, Behaviour)> = [400, 403, 404, 405, 411, 414, 500, 501, 502]
        .iter()
        .map(|status| (status.to_string(), Behaviour::status(*status, &[])))
        .collect();
    for status in [InternalError, MalformedRequest, Unauthorized] {
        let answer = Behaviour::Answer(error_status(status));
        useless.push((format!("{status:?}"), answer));
    }
    useless.push(("HTML".to_owned(), Behaviour::html()));
    useless.push(("nothing".to_owned(), Behaviour::Answer(Vec::new())));
    useless.push(("stale".to_owned(), Behaviour::Close));
    for (name, useless) in useless {
        let scene = scene();
        let useless = match name.as_str() {
            "stale" => Behaviour::Answer(stale(&scene)),
            _ => useless,
        };
        scene.answer(is_post, Behaviour::Answer(scene.good.clone()), useless);
        let agent = scene.start();
        agent.wait_until_served(&scene.leaf, &scene.good);
        assert_eq!(
            scene.asked(),
            ways(&[("GET", "SHA-1"), ("POST", "SHA-1")]),
            "{name}"
        );
    }
}

#[test]
fn a_cert_id_that_is_not_known_by_sha_1_is_asked_for_by_sha_256() {
    let scene = scene();
    let by_sha256 = Response::good(&scene.leaf, &scene.ca).hash(CertIdHash::Sha256);
    let good = by_sha256.der();
    let unknown = Response::good(&scene.leaf, &scene.ca).unknown().der();
    let (good_answer, unknown) = (Behaviour::Answer(good.clone()), Behaviour::Answer(unknown));
    scene.answer(is_sha256, good_answer, unknown);
    let agent = scene.start();
    agent.wait_until_served(&scene.leaf, &good);
    assert_eq!(scene.asked(), ways(&[("GET", "SHA-1"), ("GET", "SHA-256")]));
}

#[test]
fn a_responder_that_knows_only_sha_256_and_only_post_is_found_within_three_requests() {
    let scene = scene();
    let unauthorized = error_status(OcspResponseStatus::Unauthorized);
    scene.answer(
        |request| is_post(request) && is_sha256(request),
        Behaviour::Answer(scene.good.clone()),
        Behaviour::Answer(unauthorized),
    );
    let agent = scene.start();
    agent.wait_until_served(&scene.leaf, &scene.good);
    assert_eq!(
        scene.asked(),
        ways(&[("GET", "SHA-1"), ("POST", "SHA-1"), ("POST", "SHA-256")])
    );
}

#[test]
fn what_worked_is_remembered_of_a_responder() {
    let scene = scene();
    let refused = Behaviour::status(405, &[]);
    scene.answer(
        is_post,
        Behaviour::Answer(scene.good.clone()),
        refused.clone(),
    );
    let agent = scene.start();
    agent.wait_until_served(&scene.leaf, &scene.good);
    let (other, good) = scene.another();
    scene.answer(is_post, Behaviour::Answer(good.clone()), refused);
    scene.store.list(&other, &[&scene.ca]);
    agent.wait_until_served(&other, &good);
    assert_eq!(
        scene.asked(),
        ways(&[("GET", "SHA-1"), ("POST", "SHA-1"), ("POST", "SHA-1")])
    );
}

#[test]
fn an_attempt_is_at_most_three_requests_whatever_is_answered() {
    use OcspResponseStatus::{MalformedRequest, TryLater, Unauthorized};
    for (useless, most) in [
        (Behaviour::Answer(error_status(Unauthorized)), 3),
        (Behaviour::Answer(error_status(MalformedRequest)), 3),
        (Behaviour::html(), 2),
        (Behaviour::status(500, &[]), 2),
        // Who is busy is not asked again.
        (Behaviour::status(503, &[]), 1),
        (Behaviour::status(429, &[]), 1),
        (Behaviour::Answer(error_status(TryLater)), 1),
        (Behaviour::status(500, &[("Retry-After", "60")]), 1),
    ] {
        let scene = scene();
        scene.responder.set(useless);
        // The next attempt is far away.
        let agent = scene.store.start("[timing]\nlongest-retry = 600\n");
        agent.wait_until_failed(&scene.leaf);
        assert_eq!(scene.asked().len(), most, "{:?}", scene.asked());
    }
}

#[test]
fn every_responder_is_asked_once_before_one_is_asked_again() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let (first, second) = (
        FaultyResponder::start(Behaviour::html()),
        FaultyResponder::start(Behaviour::Close),
    );
    let both = Spec::server()
        .ocsp_url(&first.url())
        .ocsp_url(&second.url());
    let leaf = ca.issue(&both);
    let good = Response::good(&leaf, &ca).der();
    second.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    store.start(PATIENT).wait_until_served(&leaf, &good);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn the_configuration_forces_post() {
    let scene = scene();
    scene.responder.set(Behaviour::Answer(scene.good.clone()));
    let settings = format!("{PATIENT}[[responder]]\nprefix = 'http://127.'\npost = true\n");
    let agent = scene.store.start(&settings);
    agent.wait_until_served(&scene.leaf, &scene.good);
    assert_eq!(scene.asked(), ways(&[("POST", "SHA-1")]));
}

#[test]
fn a_nonce_goes_to_whom_the_configuration_says_and_must_come_back() {
    let scene = scene();
    // The extension that it stands in: id-pkix-ocsp-nonce.
    const NONCE: [u8; 11] = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 2];
    let has_nonce = |request: &Request| {
        let der = request.der().unwrap_or_default();
        der.windows(NONCE.len()).any(|part| part == NONCE)
    };
    let settings = format!("{PATIENT}[[responder]]\nprefix = 'http://127.'\nnonce = true\n");
    // What repeats another one was somebody else's.
    let other = Response::good(&scene.leaf, &scene.ca).nonce(&[1; 32]).der();
    scene.answer(
        has_nonce,
        Behaviour::Answer(other),
        Behaviour::status(403, &[]),
    );
    let agent = scene.store.start(&settings);
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("wrong_nonce"));
    // Most responders repeat none.
    let good = Behaviour::Answer(scene.good.clone());
    scene.answer(has_nonce, good, Behaviour::status(403, &[]));
    agent.wait_until_served(&scene.leaf, &scene.good);
}

/// A responder for each address of a certificate: the first one is busy for an hour.
#[test]
fn retry_after_mutes_no_other_responder() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let busy = FaultyResponder::start(Behaviour::status(503, &[("Retry-After", "3600")]));
    let second = FaultyResponder::start(Behaviour::status(500, &[]));
    let both = Spec::server().ocsp_url(&busy.url()).ocsp_url(&second.url());
    let leaf = ca.issue(&both);
    let good = Response::good(&leaf, &ca).der();
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start("[timing]\nlongest-retry = 3600\n");
    agent.wait_until_failed(&leaf);
    second.set(Behaviour::Answer(good.clone()));
    agent.wait_until_served(&leaf, &good);
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn who_wants_to_be_left_alone_is_not_asked_for_the_next_certificate_either() {
    let scene = scene();
    let (other, good) = scene.another();
    scene.store.list(&other, &[&scene.ca]);
    let serials = [other.serial().to_vec(), scene.leaf.serial().to_vec()];
    let is_other = move |request: &Request| {
        let der = request.der().unwrap_or_default();
        der.windows(serials[0].len()).any(|part| part == serials[0])
    };
    let first = Behaviour::Answer(scene.good.clone());
    scene.answer(is_other, Behaviour::Answer(good.clone()), first);
    let agent = scene.store.start(&format!("per-responder = 1\n{QUICK}"));
    agent.wait_until_served(&scene.leaf, &scene.good);
    agent.wait_until_served(&other, &good);
    let busy = Behaviour::status(503, &[("Retry-After", "3600")]);
    scene.responder.set(busy);
    let causes = [&scene.leaf, &other].map(|leaf| agent.wait_until_failed(leaf).last_cause);
    let is = |cause: &str| causes.iter().any(|told| told.as_deref() == Some(cause));
    assert!(is("http_status") && is("retry_after"), "{causes:?}");
}

#[test]
fn retry_after_is_capped_at_the_longest_retry_while_nothing_is_stapled() {
    let scene = scene();
    scene.responder.set(Behaviour::Answer(scene.good.clone()));
    let busy = Behaviour::status(503, &[("Retry-After", "3600")]);
    scene.responder.queue(busy);
    let agent = scene.start();
    agent.wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn a_reload_and_add_ask_at_once_whatever_the_responder_wished_for() {
    let busy = || Behaviour::status(503, &[("Retry-After", "3600")]);
    for by_add in [false, true] {
        let scene = scene();
        scene.responder.set(busy());
        let agent = scene.store.start("[timing]\nlongest-retry = 3600\n");
        agent.wait_until_failed(&scene.leaf);
        scene.responder.set(Behaviour::Answer(scene.good.clone()));
        if by_add {
            let path = scene.path.to_str().expect("UTF-8");
            let added = scene.store.staplegun(&["add", path]);
            assert!(added.status.success(), "{added:?}");
        } else {
            agent.server.hang_up();
        }
        agent.wait_until_served(&scene.leaf, &scene.good);
    }
}

#[test]
fn a_program_that_loads_a_known_certificate_again_does_not_ask_at_once() {
    let scene = scene();
    scene
        .responder
        .set(Behaviour::status(503, &[("Retry-After", "3600")]));
    let agent = scene.store.start("[timing]\nlongest-retry = 3600\n");
    agent.wait_until_failed(&scene.leaf);
    let leave = |leaf: &Identity| {
        let key = crate::support::key(leaf);
        let ders = [leaf.der(), scene.ca.der()];
        let spool = scene.store.layout().spool();
        staplegun_store::spool::publish(&spool, &key, &[&ders[0], &ders[1]]).expect("published");
    };
    leave(&scene.leaf);
    let (other, _) = scene.another();
    leave(&other);
    agent.wait_until_failed(&other);
    wait::until("the spool is empty", || {
        let mut left = std::fs::read_dir(scene.store.layout().spool()).expect("there is one");
        left.next().is_none().then_some(())
    });
    // Each once.
    assert_eq!(scene.asked().len(), 2);
}
