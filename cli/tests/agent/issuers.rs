//! Where the issuer of a certificate is found that came alone, for whom, and which of
//! several is taken.

use std::os::unix::fs::chown;
use std::process::Command;

use staplegun_store::slots::Miss;
use staplegun_store::spool::publish;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, Store, key};

const DAY: i64 = 86_400;
/// Two users.
const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 65533;

/// A CA, its leaf with a responder, and where its certificate lies for all to fetch.
struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    depot: FaultyResponder,
    store: Store,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let depot = FaultyResponder::start(Behaviour::Answer(ca.der()));
    scene_of(ca, depot)
}

fn scene_of(ca: Identity, depot: FaultyResponder) -> Scene {
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaf = ca.issue(&spec.ca_issuers_url(&depot.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    Scene {
        ca,
        leaf,
        good,
        responder,
        depot,
        store: Store::new(),
    }
}

impl Scene {
    /// The settings with these issuers trusted.
    fn trusting(&self, issuers: &[&Identity]) -> String {
        let pem: String = issuers.iter().map(|issuer| issuer.pem()).collect();
        let anchors = self.store.directory.write("anchors.pem", pem);
        format!("trusted-issuers = ['{}']\n{PATIENT}", anchors.display())
    }

    /// Leaves certificates as a program of root would.
    fn leave(&self, certificates: &[&Identity]) {
        let ders: Vec<Vec<u8>> = certificates.iter().map(|one| one.der()).collect();
        let ders: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
        let spool = self.store.layout().spool();
        publish(&spool, &key(certificates[0]), &ders).expect("published");
    }

    /// Leaves certificates as a program of that user would.
    fn leave_as(&self, uid: u32, certificates: &[&Identity]) {
        let name = format!("{}.{uid}.0000000000000001", certificates[0].sha256_hex());
        let spool = self.store.layout().spool();
        let hidden = spool.join(format!(".{name}"));
        let bytes: Vec<u8> = certificates.iter().flat_map(|one| one.der()).collect();
        std::fs::write(&hidden, bytes).expect("it can be written");
        chown(&hidden, Some(uid), Some(uid)).expect("the test runs as root");
        std::fs::rename(&hidden, spool.join(name)).expect("it can be renamed");
    }

    fn wait_until_refused(&self, leaf: &Identity, why: &str) {
        wait::until("it is refused", || {
            let cause = self.store.notes(leaf)?.passed_over?;
            assert_eq!(cause, why);
            Some(())
        });
    }

    fn assert_served(&self, agent: &Agent) {
        agent.wait_until_served(&self.leaf, &self.good);
        assert_eq!(
            self.depot.requests().len(),
            0,
            "nobody had to be asked for it"
        );
    }
}

#[test]
fn a_certificate_of_root_that_came_alone_is_completed_from_trusted_issuers() {
    let scene = scene();
    scene.store.list(&scene.leaf, &[]);
    let agent = scene.store.start(&scene.trusting(&[&scene.ca]));
    scene.assert_served(&agent);
    // And the issuer is kept with it, as if it had come along.
    let (kept, both) = (
        scene.store.file("certs", &scene.leaf, "pem"),
        scene.leaf.pem() + &scene.ca.pem(),
    );
    wait::until("it is kept", || {
        (std::fs::read_to_string(&kept).ok()? == both).then_some(())
    });
}

#[test]
fn a_certificate_of_root_that_came_alone_is_completed_from_the_systems_store() {
    let scene = scene();
    scene.store.list(&scene.leaf, &[]);
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let program = scene.store.program(PATIENT).env("SSL_CERT_FILE", anchors);
    let agent = scene.store.adopt(program.start());
    scene.assert_served(&agent);
}

#[test]
fn the_systems_store_may_be_one_of_several_directories_as_libcrypto_has_them() {
    let scene = scene();
    scene.store.list(&scene.leaf, &[]);
    let anchors = Directory::new();
    anchors.write("anchor.pem", scene.ca.pem());
    let hashed = Command::new("openssl")
        .arg("rehash")
        .arg(anchors.path())
        .output();
    assert!(hashed.expect("openssl runs").status.success());
    let directories = format!("/nowhere:{}", anchors.path().display());
    let program = scene.store.program(PATIENT);
    let agent = scene
        .store
        .adopt(program.env("SSL_CERT_DIR", directories).start());
    scene.assert_served(&agent);
}

#[test]
fn what_root_brought_with_one_certificate_completes_its_others() {
    // Nobody has the issuer where the certificate says.
    let depot = FaultyResponder::start(Behaviour::status(404, &[]));
    let scene = scene_of(Identity::self_signed(&Spec::ca("CA")), depot);
    scene.store.list(&scene.leaf, &[]);
    // It is not only the next attempt that finds it.
    let agent = scene.store.start("[timing]\nlongest-retry = 600\n");
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("no_issuer"));
    let sibling = scene.ca.issue(&Spec::server());
    scene.leave(&[&sibling, &scene.ca]);
    agent.wait_until_served(&scene.leaf, &scene.good);
    drop(agent);
    // Also after a restart.
    let other = scene
        .ca
        .issue(&Spec::server().ocsp_url(&scene.responder.url()));
    let good = Response::good(&other, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene.store.start(PATIENT);
    scene.leave(&[&other]);
    agent.wait_until_served(&other, &good);
}

#[test]
fn another_users_certificate_is_completed_from_what_is_trusted_only() {
    let scene = scene();
    let agent = scene.store.start(&scene.trusting(&[&scene.ca]));
    scene.leave_as(NOBODY, &[&scene.leaf]);
    scene.assert_served(&agent);
}

#[test]
fn no_packet_leaves_for_another_users_certificate_without_a_trusted_chain() {
    let root = Identity::self_signed(&Spec::ca("Root"));
    let ca = root.issue(&Spec::ca("CA"));
    let depot = FaultyResponder::start(Behaviour::Answer(ca.der()));
    let scene = scene_of(ca, depot);
    // Trusted, but what lies between must come along.
    let agent = scene.store.start(&scene.trusting(&[&root]));
    scene.leave_as(NOBODY, &[&scene.leaf, &scene.ca]);
    agent.wait_until_served(&scene.leaf, &scene.good);
    let of_root = scene.ca.issue(&Spec::server());
    scene.leave(&[&of_root, &scene.ca]);
    let asked = scene.responder.requests().len();
    // Neither what another user left, nor what root did, nor where it says that it lies.
    let spec = Spec::server()
        .ocsp_url(&scene.responder.url())
        .ca_issuers_url(&scene.depot.url());
    let alone = scene.ca.issue(&spec);
    scene.leave_as(SOMEBODY, &[&alone]);
    scene.wait_until_refused(&alone, "spool_no_issuer");
    let stranger = Identity::self_signed(&Spec::ca("Stranger"));
    let strange = stranger.issue(&spec);
    scene.leave_as(SOMEBODY, &[&strange, &stranger]);
    scene.wait_until_refused(&strange, "untrusted_issuer");
    // Whatever was to be asked has been asked by now: one of root's is served.
    let last = scene
        .ca
        .issue(&Spec::server().ocsp_url(&scene.responder.url()));
    let good = Response::good(&last, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    scene.leave(&[&last, &scene.ca]);
    agent.wait_until_served(&last, &good);
    assert_eq!(scene.responder.requests().len(), asked + 1);
    assert_eq!(scene.depot.requests().len(), 0);
    for leaf in [&alone, &strange] {
        assert_eq!(scene.store.served(leaf), Err(Miss::Absent));
    }
}

#[test]
fn what_was_refused_is_taken_up_when_its_issuer_is_trusted_after_a_reload() {
    for comes_along in [true, false] {
        let scene = scene();
        let agent = scene.store.start(PATIENT);
        if comes_along {
            scene.leave_as(NOBODY, &[&scene.leaf, &scene.ca]);
            scene.wait_until_refused(&scene.leaf, "untrusted_issuer");
        } else {
            scene.leave_as(NOBODY, &[&scene.leaf]);
            scene.wait_until_refused(&scene.leaf, "spool_no_issuer");
        }
        let settings = scene.trusting(&[&scene.ca]);
        scene.store.directory.write("agent.toml", settings);
        agent.server.hang_up();
        scene.assert_served(&agent);
    }
}

/// A CA whose certificate ended yesterday, and its renewed one.
fn renewed() -> (Identity, Identity) {
    let old = Identity::self_signed(&Spec::ca("CA").validity(-90 * DAY, -DAY));
    let new = old.again(&Spec::ca("CA").validity(-DAY, 90 * DAY));
    (old, new)
}

#[test]
fn of_several_certificates_of_one_issuer_the_valid_one_is_taken() {
    let (old, new) = renewed();
    let depot = FaultyResponder::start(Behaviour::status(404, &[]));
    let scene = scene_of(old, depot);
    scene.store.list(&scene.leaf, &[&scene.ca, &new]);
    let agent = scene.store.start(PATIENT);
    scene.assert_served(&agent);
}

#[test]
fn an_issuer_that_has_ended_is_told_as_such_and_goes_for_a_renewed_one() {
    let (old, new) = renewed();
    let depot = FaultyResponder::start(Behaviour::status(404, &[]));
    let scene = scene_of(old, depot);
    scene.store.list(&scene.leaf, &[&scene.ca]);
    let agent = scene.store.start("[timing]\nlongest-retry = 600\n");
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("issuer_expired"));
    let error = notes.last_error.unwrap_or_default();
    assert!(error.contains("the renewed one of the CA"), "{error}");
    assert!(!error.contains("must renew its responder's"), "{error}");
    scene.leave(&[&scene.leaf, &new]);
    agent.wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn a_responder_for_an_issuer_serves_a_certificate_that_names_none_and_came_alone() {
    let scene = scene();
    let silent = scene.ca.issue(&Spec::server());
    let good = Response::good(&silent, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let settings = format!(
        "{}[[responder]]\nissuer = '{}'\nurl = '{}'\n",
        scene.trusting(&[&scene.ca]),
        scene.ca.sha256_hex(),
        scene.responder.url()
    );
    let agent = scene.store.start(&settings);
    scene.leave_as(NOBODY, &[&silent]);
    agent.wait_until_served(&silent, &good);
    let other = scene.ca.issue(&Spec::server());
    let good = Response::good(&other, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    scene.store.list(&other, &[]);
    agent.wait_until_served(&other, &good);
}
