//! The whole chain, by real servers on OpenSSL 3.6: in TLS 1.3 the response for the intermediate
//! goes with the leaf's, and clients under a policy refuse where it says revoked.

use std::mem::take;

use staplegun_store::Key;
use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_store::name;
use staplegun_testkit::clients::{Visit, curl, limited};
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{HaProxy, Nginx, Python};
use staplegun_testkit::{
    Directory, Host, Identity, Image, Response, Shim, Site, Spec, Target, Tls,
};

/// The smallest map.
const SIZE: usize = 256 * 1024;

/// Programs of the system run on this.
const IMAGE: &str = "3.6";

/// A site with an intermediate, and the agent's part, played by the test.
struct Scene {
    site: Site,
    image: Image,
    directory: Directory,
    writer: Writer,
}

impl Scene {
    fn new() -> Self {
        let directory = Directory::new();
        set_mode(directory.path(), 0o755);
        let map = Layout::at(directory.path()).map();
        let lock = WriterLock::try_take(&map).expect("nobody else writes here");
        Self {
            site: Site::with_intermediate(&Spec::server()),
            image: Image::of(IMAGE),
            writer: Writer::open(&map, SIZE, lock).expect("a map"),
            directory,
        }
    }

    fn intermediate(&self) -> &Identity {
        self.site.intermediate.as_ref().expect("there is one")
    }

    fn put(&mut self, key: &Key, der: &[u8]) {
        self.writer
            .put(key, der, 0, i64::MAX)
            .expect("there is room");
    }

    fn shim(&self) -> Shim {
        let shim = Shim::preloaded().env("STAPLEGUN_DIR", self.directory.path());
        self.image.under(shim)
    }
}

fn key(certificate: &Identity) -> Key {
    name::to_key(&certificate.sha256_hex()).expect("a SHA-256")
}

fn assert_staples_for_its_chain(host: &dyn Host) {
    let mut scene = Scene::new();
    let leafs = scene.site.good().der();
    let intermediates = Response::good(scene.intermediate(), &scene.site.root).der();
    let (leaf, intermediate) = (key(&scene.site.leaf), key(scene.intermediate()));
    let server = host.start(&scene.site, &scene.shim());
    let client = host.client(&server, &scene.site);
    scene.put(&intermediate, &intermediates);
    let handshake = client.clone().tls(Tls::V1_3).handshake();
    handshake.assert_no_staple();
    assert_eq!(handshake.chain, [None, None], "without one for the leaf");
    scene.put(&leaf, &leafs);
    for _ in 0..2 {
        let mut handshake = client.clone().tls(Tls::V1_3).handshake();
        handshake.assert_stapled(&leafs);
        assert_eq!(
            take(&mut handshake.chain),
            [Some(intermediates.clone()), None]
        );
    }
    client
        .clone()
        .tls(Tls::V1_2)
        .handshake()
        .assert_stapled(&leafs);
    let asks_not = client.clone().without_status_request().handshake();
    asks_not.assert_no_staple();
    assert_eq!(asks_not.chain, [None, None]);
    scene.writer.withdraw(&intermediate).expect("it is there");
    let handshake = client.tls(Tls::V1_3).handshake();
    handshake.assert_stapled(&leafs);
    assert_eq!(handshake.chain, [None, None], "it was withdrawn");
}

#[test]
fn python_staples_for_its_chain() {
    assert_staples_for_its_chain(&Python::new());
}

#[test]
fn nginx_staples_for_its_chain() {
    assert_staples_for_its_chain(&Nginx::new());
}

#[test]
fn haproxy_staples_for_its_chain() {
    assert_staples_for_its_chain(&HaProxy);
}

/// The agent needs the issuer of each intermediate to ask for it.
#[test]
fn the_whole_chain_is_left_for_the_agent() {
    let (directory, site) = (Directory::new(), Site::with_intermediate(&Spec::server()));
    set_mode(directory.path(), 0o755);
    let spool = Layout::at(directory.path()).spool();
    std::fs::create_dir(&spool).expect("it is new");
    set_mode(&spool, 0o1733);
    let shim = Shim::preloaded().env("STAPLEGUN_DIR", directory.path());
    let _server = Python::new().start(&site, &shim);
    let left: Vec<_> = std::fs::read_dir(spool).expect("it is there").collect();
    let [Ok(file)] = left.as_slice() else {
        panic!("one file is expected: {left:?}");
    };
    let intermediate = site.intermediate.as_ref().expect("there is one");
    let chain = [site.leaf.der(), intermediate.der(), site.root.der()].concat();
    assert_eq!(std::fs::read(file.path()).expect("it is there"), chain);
}

#[test]
fn on_an_older_libssl_the_leafs_response_goes_alone() {
    let mut scene = Scene::new();
    let leafs = scene.site.good().der();
    let intermediates = Response::good(scene.intermediate(), &scene.site.root).der();
    scene.put(&key(&scene.site.leaf), &leafs);
    scene.put(&key(scene.intermediate()), &intermediates);
    let shim = Shim::preloaded().env("STAPLEGUN_DIR", scene.directory.path());
    let server = Python::new().start(&scene.site, &shim);
    let client = Python::new().client(&server, &scene.site);
    let handshake = client.tls(Tls::V1_3).handshake();
    handshake.assert_stapled(&leafs);
    assert_eq!(handshake.chain, [None, None]);
}

#[test]
fn a_revoked_intermediate_refuses_under_verify_and_require() {
    let mut scene = Scene::new();
    let leafs = scene.site.good().der();
    let good = Response::good(scene.intermediate(), &scene.site.root);
    let answers = [(good.der(), false), (good.revoked().der(), true)];
    let (leaf, intermediate) = (key(&scene.site.leaf), key(scene.intermediate()));
    let server = Python::new().start(&scene.site, &scene.shim());
    scene.put(&leaf, &leafs);
    let target = Target {
        port: server.port(),
        ca_file: scene.site.path("ca.pem"),
        tls: Tls::V1_3,
    };
    let url = format!("https://localhost:{}/", target.port);
    let visit = |policy: &str| {
        let shim = Shim::preloaded().env("STAPLEGUN_CLIENT", policy);
        let shim = scene.image.under(shim);
        Visit::of(shim.apply(curl(limited(), &target).arg(&url)))
    };
    // As an agent with staple-revoked = true has it.
    for (der, refuses) in answers {
        scene
            .writer
            .put(&intermediate, &der, 0, i64::MAX)
            .expect("there is room");
        for policy in ["off", "report"] {
            let visit = visit(policy);
            assert!(visit.accepted, "{policy}: {}", visit.message);
        }
        for policy in ["verify", "require"] {
            let visit = visit(policy);
            assert_eq!(visit.accepted, !refuses, "{policy}: {}", visit.message);
            let told = visit.message.contains("OCSP status: revoked");
            assert_eq!(told, refuses, "{policy}: {}", visit.message);
        }
    }
}
