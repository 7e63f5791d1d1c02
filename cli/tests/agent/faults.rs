//! Every fault of a responder: what was served before is served after, and the
//! cause is told by its name.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use staplegun_store::slots::Miss;
use staplegun_testkit::responder::{Behaviour, FaultyResponder, Refused};
use staplegun_testkit::response::error_status;
use staplegun_testkit::{Identity, OcspResponseStatus, Response, Spec, wait};

use crate::scene::Scene;
use crate::support::{Agent, HASTY, PATIENT, QUICK, Store, answering};

/// The cause that the agent must tell for each fault that a response can have.
const RESPONSES: &[(&str, &str)] = &[
    ("expired", "expired"),
    ("not yet valid", "not_yet_valid"),
    ("unknown", "unknown"),
    ("another serial", "wrong_serial"),
    ("another issuer", "wrong_issuer"),
    ("corrupt signature", "bad_signature"),
    ("signed by another CA", "signer_untrusted"),
    ("unknown signer", "signer_not_found"),
    ("delegate of another CA", "signer_untrusted"),
    ("expired delegate", "signer_expired"),
    ("delegate without EKU", "signer_not_authorised"),
    ("delegate with wrong EKU", "signer_not_authorised"),
    ("signed by the leaf itself", "signer_not_authorised"),
    ("malformedRequest", "malformed_request"),
    ("internalError", "internal_error"),
    ("tryLater", "try_later"),
    ("sigRequired", "sig_required"),
    ("unauthorized", "unauthorized"),
    ("empty", "empty"),
    ("one byte", "malformed"),
    ("truncated", "malformed"),
    ("trailing bytes", "trailing_bytes"),
    ("text", "html"),
    ("zeroes", "malformed"),
    ("PEM", "pem"),
    ("10 MB", "too_large"),
];

/// Its name, the cause to be told, and what the responder does.
type Fault = (&'static str, &'static str, Behaviour);

/// Faults of the transport.
fn transports(good: &[u8]) -> Vec<Fault> {
    let itself = [("Location", "/ocsp")];
    let elsewhere = [("Location", "ftp://127.0.0.1/")];
    vec![
        ("status 500", "http_status", Behaviour::status(500, &[])),
        ("status 404", "http_status", Behaviour::status(404, &[])),
        ("login page", "html", Behaviour::html()),
        ("endless body", "too_large", Behaviour::Huge(1 << 30)),
        ("long body of unknown length", "too_large", unmeasured()),
        (
            "long head",
            "protocol",
            Behaviour::answer_with(good.to_vec(), &[("X-Filler", &"x".repeat(20_000))]),
        ),
        ("closed", "connection", Behaviour::Close),
        ("reset", "connection", Behaviour::Reset),
        (
            "redirects for ever",
            "redirect",
            Behaviour::status(302, &itself),
        ),
        (
            "redirect to ftp",
            "bad_address",
            Behaviour::status(302, &elsewhere),
        ),
        (
            "not HTTP",
            "protocol",
            Behaviour::Raw(b"220 mail ready\r\n\r\n".to_vec()),
        ),
    ]
}

/// What takes longer than [`HASTY`] allows.
fn delays(good: &[u8]) -> Vec<Fault> {
    let drip = Behaviour::Drip {
        bytes: good.to_vec(),
        pause: Duration::from_millis(100),
    };
    vec![
        ("slow drip", "timeout", drip),
        ("no answer", "timeout", Behaviour::Hang),
    ]
}

/// More than is allowed, and no Content-Length to tell.
fn unmeasured() -> Behaviour {
    let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + 200_000, 0);
    Behaviour::Raw(bytes)
}

/// Everything that a responder can do wrong for `leaf`, with the cause to be told.
fn faults(leaf: &Identity, ca: &Identity) -> Vec<Fault> {
    let all = staplegun_testkit::response::faults(leaf, ca);
    let mut faults: Vec<_> = all
        .into_iter()
        .filter(|fault| fault.name != "revoked")
        .map(|fault| {
            let expected = RESPONSES.iter().find(|(name, _)| *name == fault.name);
            let (name, cause) = expected.unwrap_or_else(|| panic!("no cause for {}", fault.name));
            (*name, *cause, Behaviour::Answer(fault.bytes))
        })
        .collect();
    assert_eq!(faults.len(), RESPONSES.len());
    faults.extend(transports(&Response::good(leaf, ca).der()));
    faults
}

impl Scene {
    /// Whichever fault it is, the good response stays, and the agent recovers by itself.
    fn keeps_the_good_response(&self, settings: &str, faults: Vec<Fault>) -> Agent {
        let (leaf, good) = (&self.leaf, &self.good().der());
        self.responder.set(Behaviour::Answer(good.clone()));
        let agent = self.store.start(settings);
        agent.wait_until_served(leaf, good);
        for (name, cause, wrong) in faults {
            self.responder.set(wrong);
            let notes = agent.wait_until_failed(leaf);
            let told = notes.last_cause.as_deref();
            assert_eq!(told, Some(cause), "{name}: {:?}", notes.last_error);
            assert_eq!(self.store.served(leaf), Ok(good.clone()), "{name}");
            let file = std::fs::read(self.store.file("staples", leaf, "der"));
            assert_eq!(file.ok().as_ref(), Some(good), "{name}");
            self.responder.set(Behaviour::Answer(good.clone()));
            wait::until("a fetch succeeds again", || {
                let notes = self.store.notes(leaf)?;
                (notes.failures == 0 && notes.last_error.is_none()).then_some(())
            });
        }
        agent
    }

    /// Whichever fault it is, nothing is served.
    fn serves_nothing(&self, settings: &str, faults: Vec<Fault>) {
        let agent = self.store.start(settings);
        agent.wait_until_failed(&self.leaf);
        for (name, cause, wrong) in faults {
            self.responder.set(wrong);
            // As the agent knows it, or did a moment ago: the notes in the file may be older
            // still. So may be what is told of the fault before.
            let before = agent.failures(&self.leaf);
            wait::until(&format!("{name} is told as {cause}"), || {
                let notes = self.store.notes(&self.leaf)?;
                let is_told = notes.last_cause.as_deref() == Some(cause);
                (notes.failures >= before + 3 && is_told).then_some(())
            });
            assert_eq!(self.store.served(&self.leaf), Err(Miss::Absent), "{name}");
            assert!(
                !self.store.file("staples", &self.leaf, "der").exists(),
                "{name}"
            );
        }
        agent.wait_for_metric("staplegun_fetches_total 0");
    }
}

#[test]
fn whatever_a_responder_does_wrong_the_good_response_stays_and_the_cause_is_told() {
    let scene = Scene::new();
    let faults = faults(&scene.leaf, &scene.ca);
    let agent = scene.keeps_the_good_response(QUICK, faults);
    // What gateways add to the head has room.
    let newer = scene.good().next_update(48 * 3600).der();
    let filler = [("X-Filler", &*"x".repeat(12_000))];
    let answer = Behaviour::answer_with(newer.clone(), &filler);
    scene.responder.set(answer);
    agent.wait_until_served(&scene.leaf, &newer);
}

#[test]
fn a_responder_that_lets_the_agent_wait_takes_no_good_response() {
    let scene = Scene::new();
    let delays = delays(&scene.good().der());
    scene.keeps_the_good_response(&format!("{QUICK}{HASTY}"), delays);
}

#[test]
fn whatever_a_responder_does_wrong_nothing_is_served_where_nothing_was() {
    let scene = Scene::new();
    scene.serves_nothing(QUICK, faults(&scene.leaf, &scene.ca));
}

#[test]
fn a_responder_that_lets_the_agent_wait_has_nothing_served() {
    let scene = Scene::new();
    scene.serves_nothing(&format!("{QUICK}{HASTY}"), delays(&scene.good().der()));
}

#[test]
fn a_responder_that_is_not_there_is_told_apart_from_a_name_without_address() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let store = Store::new();
    let refused = Refused::new();
    for (url, cause) in [
        (refused.url(), "connection"),
        ("http://nobody.invalid/".to_owned(), "unresolved"),
    ] {
        let leaf = ca.issue(&Spec::server().ocsp_url(&url));
        store.list(&leaf, &[&ca]);
        let agent = store.start(QUICK);
        let notes = agent.wait_until_failed(&leaf);
        assert_eq!(
            notes.last_cause.as_deref(),
            Some(cause),
            "{:?}",
            notes.last_error
        );
    }
}

#[test]
fn a_dead_first_responder_hides_no_second_one() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let refused = Refused::new();
    let second = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server()
        .ocsp_url(&refused.url())
        .ocsp_url(&second.url());
    let leaf = ca.issue(&spec);
    let good = Response::good(&leaf, &ca).der();
    second.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    store.start(QUICK).wait_until_served(&leaf, &good);
}

#[test]
fn a_first_responder_that_hangs_leaves_time_for_the_second() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let first = FaultyResponder::start(Behaviour::Hang);
    let second = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(
        &Spec::server()
            .ocsp_url(&first.url())
            .ocsp_url(&second.url()),
    );
    let good = Response::good(&leaf, &ca).der();
    second.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(&format!("{QUICK}{HASTY}"));
    agent.wait_until_served(&leaf, &good);
}

/// An address that takes no connection and refuses none: its queue is full.
struct Dead {
    port: u16,
    _listener: OwnedFd,
    _waiting: Vec<OwnedFd>,
}

impl Dead {
    fn at(address: SocketAddr) -> Self {
        let new = |flags| {
            let stream = SocketType::STREAM;
            rustix::net::socket_with(AddressFamily::INET, stream, flags, None).expect("a socket")
        };
        let listener = new(SocketFlags::CLOEXEC);
        rustix::net::bind(&listener, &address).expect("nobody else has it");
        rustix::net::listen(&listener, 0).expect("it can listen");
        let address = rustix::net::getsockname(&listener).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an internet address");
        let waiting = (0..4)
            .map(|_| {
                let client = new(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
                // The first ones fill the queue, the others are not answered.
                let _ = rustix::net::connect(&client, &address);
                client
            })
            .collect();
        Self {
            port: address.port(),
            _listener: listener,
            _waiting: waiting,
        }
    }
}

#[test]
fn a_name_whose_first_address_is_dead_is_asked_at_the_next() {
    let dead = Dead::at(SocketAddr::from(([127, 0, 0, 1], 0)));
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let url = format!("http://two.invalid:{}/ocsp", dead.port);
    let leaf = ca.issue(&Spec::server().ocsp_url(&url));
    let good = Response::good(&leaf, &ca).der();
    let second = SocketAddr::from(([127, 0, 0, 2], dead.port));
    let _asked = answering(second, good.clone());
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    // getaddrinfo prefers the first (RFC 6724, rule 9), whatever the order here.
    let hosts = "127.0.0.1 two.invalid\n127.0.0.2 two.invalid\n";
    let hosts = store.directory.write("hosts", hosts);
    let settings = "[timing]\nper-address = 0.2\nfetch = 5\nlongest-retry = 600\n";
    let script = format!("mount --bind {} /etc/hosts", hosts.display());
    let _agent = store.start_apart(settings, &script);
    wait::until("the agent serves the response", || {
        // Its first attempt: the next one is far away.
        assert!(store.notes(&leaf).is_none_or(|notes| notes.failures == 0));
        (store.served(&leaf).as_ref() == Ok(&good)).then_some(())
    });
}

#[test]
fn a_responder_that_hangs_holds_up_no_other_however_many_ask_it() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let hanging = FaultyResponder::start(Behaviour::Hang);
    let store = Store::new();
    for _ in 0..5 {
        let leaf = ca.issue(&Spec::server().ocsp_url(&hanging.url()));
        store.list(&leaf, &[&ca]);
    }
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    store.list(&leaf, &[&ca]);
    // Far longer than the test waits.
    let agent = store.start("threads = 3\nper-responder = 2\n[timing]\nfetch = 600\n");
    agent.wait_until_served(&leaf, &good);
    assert!(
        hanging.requests().len() <= 2,
        "no more at once than allowed"
    );
}

/// As many hosts as take all threads, if each took what one may take.
#[test]
fn hosts_that_hang_hold_up_no_other() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let hanging = [(); 4].map(|()| FaultyResponder::start(Behaviour::Hang));
    let store = Store::new();
    for responder in hanging.iter().chain(&hanging) {
        let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
        store.list(&leaf, &[&ca]);
    }
    // Far longer than the test waits.
    let agent = store.start("[timing]\nfetch = 600\n");
    wait::until("all of them are asked", || {
        let asked = |responder: &FaultyResponder| !responder.requests().is_empty();
        hanging.iter().all(asked).then_some(())
    });
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    store.list(&leaf, &[&ca]);
    agent.wait_until_served(&leaf, &good);
}

#[test]
fn retry_after_is_obeyed() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(503, &[("Retry-After", "3600")]));
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start("[timing]\nlongest-retry = 7200\n");
    let notes = agent.wait_until_failed(&leaf);
    let wait = notes
        .next_refresh
        .zip(notes.last_attempt)
        .map(|(next, last)| next - last);
    // Up to a tenth more, so that not all come back at once.
    assert!(matches!(wait, Some(3590..=3970)), "{notes:?}");
}

#[test]
fn failures_are_counted_by_their_cause() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    responder.queue(Behaviour::Answer(error_status(
        OcspResponseStatus::TryLater,
    )));
    responder.queue(Behaviour::Answer(Response::good(&leaf, &ca).der()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    // Refreshed when it is time: not while the test looks.
    let agent = store.start(PATIENT);
    agent.wait_for_metric("staplegun_fetches_total 1");
    agent.wait_for_metric("staplegun_fetch_failures_total{cause=\"try_later\"} 1");
}
