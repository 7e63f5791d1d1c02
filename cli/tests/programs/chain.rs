//! `staplegun probe` and `staplegun scan` of a server that staples for its chain: one on OpenSSL
//! 3.6, with the library, seen through the machine's own OpenSSL.

use staplegun_store::Key;
use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_store::name;
use staplegun_testkit::directory::{Directory, set_mode};
use staplegun_testkit::hosts::{Host, Python};
use staplegun_testkit::{Identity, Image, Response, Server, Shim, Site, Spec};

use crate::scanning::{only_row, scan};
use crate::support::{Said, staplegun};

/// The smallest map.
const SIZE: usize = 256 * 1024;

struct Scene {
    site: Site,
    writer: Writer,
    server: Server,
    _store: Directory,
    _image: Image,
}

impl Scene {
    /// The leaf's response is stapled, and none for the intermediate.
    fn start() -> Self {
        let site = Site::with_intermediate(&Spec::server());
        let store = Directory::new();
        set_mode(store.path(), 0o755);
        let map = Layout::at(store.path()).map();
        let lock = WriterLock::try_take(&map).expect("nobody else writes here");
        let mut writer = Writer::open(&map, SIZE, lock).expect("a map");
        let good = site.good().der();
        writer
            .put(&key(&site.leaf), &good, 0, i64::MAX)
            .expect("there is room");
        let image = Image::of("3.6");
        let shim = Shim::preloaded().env("STAPLEGUN_DIR", store.path());
        Self {
            server: Python::new().start(&site, &image.under(shim)),
            site,
            writer,
            _store: store,
            _image: image,
        }
    }

    fn intermediate(&self) -> &Identity {
        self.site.intermediate.as_ref().expect("there is one")
    }

    fn staple_for_the_intermediate(&mut self, change: impl Fn(Response) -> Response) {
        let good = Response::good(self.intermediate(), &self.site.root);
        let (key, der) = (key(self.intermediate()), change(good).der());
        self.writer
            .put(&key, &der, 0, i64::MAX)
            .expect("there is room");
    }

    fn probe(&self, arguments: &[&str]) -> Said {
        let mut command = staplegun(&["probe", &format!("127.0.0.1:{}", self.server.port())]);
        command.args(["--servername", "localhost", "--cafile"]);
        Said::by(command.arg(self.site.path("ca.pem")).args(arguments))
    }
}

fn key(certificate: &Identity) -> Key {
    name::to_key(&certificate.sha256_hex()).expect("a SHA-256")
}

#[test]
fn a_probe_shows_what_is_stapled_for_the_chain() {
    let mut scene = Scene::start();
    let report = scene.probe(&["--json"]).expect(0).json();
    let chain = report["chain"].as_array().expect("a list");
    // Nobody could revoke the root, which was sent as well.
    assert_eq!(chain.len(), 1, "{report}");
    assert_eq!(chain[0]["subject"], "Test intermediate");
    assert_eq!(chain[0]["stapled"], false);
    let said = scene.probe(&[]).expect(0).out;
    assert!(!said.contains("chain"), "{said}");

    scene.staple_for_the_intermediate(|good| good);
    let report = scene.probe(&["--json"]).expect(0).json();
    assert_eq!(report["answer"], "good");
    assert_eq!(report["chain"][0]["stapled"], true);
    assert!(report["chain"][0]["until"].is_string(), "{report}");
    let said = scene.probe(&[]).expect(0).out;
    assert!(
        said.contains("chain        Test intermediate: good until 2"),
        "{said}"
    );
    let older = scene.probe(&["--tls", "1.2", "--json"]).expect(0).json();
    assert_eq!(older["chain"], serde_json::json!([]));

    scene.staple_for_the_intermediate(|good| good.revoked());
    let report = scene.probe(&["--json"]).expect(2).json();
    assert_eq!(
        (&report["answer"], &report["cause"]),
        (&"bad".into(), &"revoked".into())
    );
    let said = scene.probe(&[]).expect(2).out;
    assert!(
        said.contains("of its chain, Test intermediate: it is revoked"),
        "{said}"
    );
    scene.staple_for_the_intermediate(|good| good.corrupt_signature());
    let report = scene.probe(&["--json"]).expect(2).json();
    assert_eq!(report["cause"], "bad_signature");
}

#[test]
fn a_scan_counts_what_is_stapled_for_the_chain() {
    let mut scene = Scene::start();
    let pid = scene.server.pid();
    let trusted = |scene: &Scene| {
        let settings = format!(
            "trusted-issuers = ['{}']\n",
            scene.site.path("ca.pem").display()
        );
        scene
            .site
            .write("agent.toml", settings)
            .display()
            .to_string()
    };
    let config = trusted(&scene);
    let report = scan(pid, &["--json", "--config", &config]).expect(0).json();
    assert_eq!(only_row(&report)["chain_stapled"], 0, "{report:#}");
    scene.staple_for_the_intermediate(|good| good);
    let report = scan(pid, &["--json", "--config", &config]).expect(0).json();
    assert_eq!(only_row(&report)["status"], "stapled", "{report:#}");
    assert_eq!(only_row(&report)["chain_stapled"], 1, "{report:#}");
    let table = scan(pid, &["--config", &config]).expect(0).out;
    assert!(table.contains("stapled, 1 of its chain"), "{table}");
    scene.staple_for_the_intermediate(|good| good.revoked());
    let report = scan(pid, &["--json", "--config", &config]).expect(1).json();
    assert_eq!(only_row(&report)["status"], "revoked", "{report:#}");
}
