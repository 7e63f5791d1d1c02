//! What was taken away under a running agent and made again, or could not be read at
//! first, is used as soon as it is there. It is never looked at from time to time here:
//! notices must do.

use std::path::Path;

use staplegun_store::spool::publish;
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, Store, key};

/// As the tests' PATIENT, without sweep.
const ON_NOTICE: &str = "threads = 4\n[timing]\nlongest-retry = 0.05\nsweep = 3600\n";

struct Scene {
    ca: Identity,
    responder: FaultyResponder,
    store: Store,
    named: Directory,
}

fn scene() -> Scene {
    Scene {
        ca: Identity::self_signed(&Spec::ca("CA")),
        responder: FaultyResponder::start(Behaviour::Close),
        store: Store::new(),
        named: Directory::new(),
    }
}

impl Scene {
    /// A certificate for which the responder has that response from now on.
    fn leaf(&self) -> (Identity, Vec<u8>) {
        let leaf = self
            .ca
            .issue(&Spec::server().ocsp_url(&self.responder.url()));
        let good = Response::good(&leaf, &self.ca).der();
        self.responder.set(Behaviour::Answer(good.clone()));
        (leaf, good)
    }

    fn write(&self, directory: &Path, leaf: &Identity) -> std::path::PathBuf {
        let file = directory.join(leaf.sha256_hex()).with_extension("pem");
        std::fs::write(&file, leaf.pem() + &self.ca.pem()).expect("it can be written");
        file
    }

    /// An agent that looks after what is in `named/site`.
    fn start(&self) -> Agent {
        let site = self.named.join("site");
        std::fs::create_dir(&site).expect("a directory");
        let list = format!("{}\n", site.display());
        self.store.directory.write("certificates", list);
        self.store.start(ON_NOTICE)
    }
}

#[test]
fn a_directory_that_was_named_is_looked_into_when_it_was_made_again() {
    let scene = scene();
    let agent = scene.start();
    let site = scene.named.join("site");
    let (leaf, good) = scene.leaf();
    scene.write(&site, &leaf);
    agent.wait_until_served(&leaf, &good);
    // Removed and made again; moved away and made again; gone for a while.
    for round in 0..3 {
        match round {
            0 => std::fs::remove_dir_all(&site).expect("it is there"),
            1 => std::fs::rename(&site, scene.named.join("old")).expect("it is there"),
            _ => {
                std::fs::remove_dir_all(&site).expect("it is there");
                agent.wait_until_logged("cannot look at");
            }
        }
        std::fs::create_dir(&site).expect("a directory");
        let (leaf, good) = scene.leaf();
        scene.write(&site, &leaf);
        agent.wait_until_served(&leaf, &good);
        // And the next one in it.
        let (leaf, good) = scene.leaf();
        scene.write(&site, &leaf);
        agent.wait_until_served(&leaf, &good);
    }
}

#[test]
fn a_file_that_could_not_be_read_at_first_is_read_when_it_can_be() {
    let scene = scene();
    let site = scene.named.join("site");
    std::fs::create_dir(&site).expect("a directory");
    let (leaf, good) = scene.leaf();
    let file = scene.write(&site, &leaf);
    set_mode(&file, 0o600);
    let list = format!("{}\n", site.display());
    scene.store.directory.write("certificates", list);
    let program = scene.store.program(ON_NOTICE).args(["--user", "nobody"]);
    let agent = scene.store.adopt(program.start());
    agent.wait_until_logged("Permission denied");
    set_mode(&file, 0o644);
    agent.wait_until_served(&leaf, &good);
}

#[test]
fn a_spool_that_was_removed_is_made_again_and_emptied() {
    let scene = scene();
    let agent = scene.start();
    let (leaf, good) = scene.leaf();
    scene.write(&scene.named.join("site"), &leaf);
    // It has looked everywhere once.
    agent.wait_until_served(&leaf, &good);
    let spool = scene.store.layout().spool();
    for _ in 0..2 {
        std::fs::remove_dir_all(&spool).expect("it is there");
        wait::until("the agent makes it again", || spool.is_dir().then_some(()));
        let (leaf, good) = scene.leaf();
        // Its mode follows.
        wait::until("it can be left there", || {
            publish(&spool, &key(&leaf), &[&leaf.der(), &scene.ca.der()]).ok()
        });
        agent.wait_until_served(&leaf, &good);
    }
}

#[test]
fn directories_of_the_store_that_were_removed_are_made_again() {
    let scene = scene();
    let agent = scene.start();
    let site = scene.named.join("site");
    for _ in 0..2 {
        for name in ["certs", "staples", "state"] {
            let _ = std::fs::remove_dir_all(scene.store.directory.join(name));
        }
        let (leaf, good) = scene.leaf();
        scene.write(&site, &leaf);
        agent.wait_until_served(&leaf, &good);
        for (name, suffix) in [("certs", "pem"), ("staples", "der"), ("state", "json")] {
            let file = scene.store.file(name, &leaf, suffix);
            wait::until("the file is there", || file.exists().then_some(()));
        }
        // What others bring there is noticed.
        let revoked = Response::good(&leaf, &scene.ca).revoked().der();
        let new = scene.store.directory.write("brought", revoked);
        std::fs::rename(new, scene.store.file("staples", &leaf, "der")).expect("renamed");
        agent.wait_until_missed(&leaf, staplegun_store::slots::Miss::Withdrawn);
    }
}
