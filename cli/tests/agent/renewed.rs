//! Certificates that are renewed where only root can read them: `staplegun add --renewed`,
//! as the hooks and the timer in packaging/ run it. The files lie as certbot lays them.
//! These tests act as other users, so they need root.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, STAPLEGUN, Store};

/// certbot's: `live/NAME/fullchain.pem` is a link to `archive/NAME/fullchainN.pem`, and only
/// root may enter `live` and `archive`.
struct Lineage {
    root: Directory,
    renewals: u32,
}

impl Lineage {
    fn new() -> Self {
        let root = Directory::new();
        for name in ["live", "archive"] {
            std::fs::create_dir_all(root.join(name).join("www.example")).expect("directories");
        }
        let lineage = Self { root, renewals: 0 };
        lineage.set_modes(0o700);
        lineage
    }

    fn set_modes(&self, mode: u32) {
        for name in ["live", "archive"] {
            set_mode(&self.root.join(name), mode);
        }
    }

    fn directory(&self) -> PathBuf {
        self.root.join("live/www.example")
    }

    fn chain(&self) -> PathBuf {
        self.directory().join("fullchain.pem")
    }

    /// As certbot does it: new files in the archive, then the links, each taken away and
    /// made again.
    fn renew(&mut self, leaf: &Identity, ca: &Identity) {
        self.renewals += 1;
        let parts = [
            ("privkey", leaf.key.pem().to_owned(), 0o600),
            ("cert", leaf.pem(), 0o644),
            ("chain", ca.pem(), 0o644),
            ("fullchain", leaf.pem() + &ca.pem(), 0o644),
        ];
        for (name, pem, mode) in parts {
            let name_in_archive = format!("{name}{}.pem", self.renewals);
            let file = self.root.join("archive/www.example").join(&name_in_archive);
            std::fs::write(&file, pem).expect("it can be written");
            set_mode(&file, mode);
            let link = self.directory().join(format!("{name}.pem"));
            let _ = std::fs::remove_file(&link);
            let target = format!("../../archive/www.example/{name_in_archive}");
            symlink(target, link).expect("a link");
        }
    }
}

struct Scene {
    ca: Identity,
    responder: FaultyResponder,
    store: Store,
    lineage: Lineage,
    agent: Agent,
}

impl Scene {
    fn new() -> Self {
        let store = Store::new();
        let agent = store.program(PATIENT).args(["--user", "nobody"]).start();
        Self {
            ca: Identity::self_signed(&Spec::ca("CA")),
            responder: FaultyResponder::start(Behaviour::Close),
            agent: store.adopt(agent),
            store,
            lineage: Lineage::new(),
        }
    }

    /// A renewal; the certificate, and its response, which the responder has from now on.
    fn renew(&mut self) -> (Identity, Vec<u8>) {
        let spec = Spec::server().ocsp_url(&self.responder.url());
        let leaf = self.ca.issue(&spec);
        let good = Response::good(&leaf, &self.ca).der();
        self.responder.set(Behaviour::Answer(good.clone()));
        self.lineage.renew(&leaf, &self.ca);
        (leaf, good)
    }

    /// Runs one of packaging/hooks as its tool does.
    #[track_caller]
    fn hook(&self, name: &str, words: &[&str], variables: &[(&str, &Path)]) {
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/hooks");
        let programs = Path::new(STAPLEGUN).parent().expect("a directory");
        let path = format!("{}:/usr/bin:/bin", programs.display());
        let output = Command::new(hook.join(name))
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("STAPLEGUN_DIR", self.store.directory.path())
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn unreadable(&self) -> (Option<i32>, Vec<String>) {
        let output = self.store.staplegun(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let all = json["certificates"].as_array().expect("a list").clone();
        let of = |one: &serde_json::Value| one["sentence"].as_str().map(str::to_owned);
        let unreadable = all.iter().filter(|one| one["status"] == "unreadable");
        (output.status.code(), unreadable.filter_map(of).collect())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn what_only_root_can_read_goes_on_being_stapled_over_renewals() {
    let mut scene = Scene::new();
    let (first, good) = scene.renew();
    let chain = scene.lineage.chain();
    let output = scene.store.staplegun(&["add", text(&chain)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Nobody is there who would tell the agent: this is no store of systemd's.
    let advice = format!("staplegun add --renewed {}", chain.display());
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "nobody",
        "Permission denied",
        "renewal will be missed",
        &advice,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    scene.agent.wait_until_served(&first, &good);
    for _ in 0..2 {
        let (leaf, good) = scene.renew();
        assert!(scene.store.served(&leaf).is_err());
        // As the timer's service does it, and once more, when there is nothing new.
        for _ in 0..2 {
            let output = scene.store.staplegun(&["add", "--renewed"]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            scene.agent.wait_until_served(&leaf, &good);
        }
    }
    // The server may not have loaded the new one yet.
    assert_eq!(scene.store.served(&first), Ok(good));
    assert_eq!(scene.unreadable(), (Some(0), Vec::new()));
}

#[test]
fn certbots_hook_waits_until_the_next_handshake_is_stapled() {
    let mut scene = Scene::new();
    let lineage = scene.lineage.directory();
    for _ in 0..2 {
        let (leaf, good) = scene.renew();
        scene.hook("certbot", &[], &[("RENEWED_LINEAGE", &lineage)]);
        assert_eq!(scene.store.served(&leaf), Ok(good));
    }
    assert_eq!(scene.unreadable(), (Some(0), Vec::new()));
}

#[test]
fn what_becomes_unreadable_is_told_and_may_be_named_again() {
    let mut scene = Scene::new();
    let (_, _) = scene.renew();
    scene.lineage.set_modes(0o755);
    let chain = scene.lineage.chain();
    let list = |name: &str| {
        let list = std::fs::read_to_string(scene.store.directory.join(name));
        list.unwrap_or_default()
    };
    let line = format!("{}\n", chain.display());
    assert!(
        scene
            .store
            .staplegun(&["add", text(&chain)])
            .status
            .success()
    );
    assert_eq!(
        (list("certificates"), list("certificates.root")),
        (line.clone(), String::new())
    );
    scene.lineage.set_modes(0o700);
    let (code, sentences) = wait::until("status tells it", || {
        Some(scene.unreadable()).filter(|(_, sentences)| sentences.len() == 1)
    });
    let advice = format!("as root, staplegun add {}", chain.display());
    assert!(sentences[0].contains(&advice), "{sentences:?}");
    assert_eq!(code, Some(1));
    let _ = scene.store.staplegun(&["add", text(&chain)]);
    assert_eq!(
        (list("certificates"), list("certificates.root")),
        (String::new(), line.clone())
    );
    wait::until("nothing is the matter any more", || {
        (scene.unreadable() == (Some(0), Vec::new())).then_some(())
    });
    // The way back is the same.
    scene.lineage.set_modes(0o755);
    let _ = scene.store.staplegun(&["add", text(&chain)]);
    assert_eq!(
        (list("certificates"), list("certificates.root")),
        (line, String::new())
    );
}

#[test]
fn what_is_gone_is_told_until_it_is_removed() {
    let mut scene = Scene::new();
    let _ = scene.renew();
    let chain = scene.lineage.chain();
    let _ = scene.store.staplegun(&["add", text(&chain)]);
    std::fs::remove_file(&chain).expect("it is there");
    let output = scene.store.staplegun(&["add", "--renewed"]);
    let advice = format!("staplegun remove {}", chain.display());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&advice), "{said}");
    assert_eq!(output.status.code(), Some(1));
    let (code, sentences) = scene.unreadable();
    assert!(
        sentences.len() == 1 && sentences[0].contains(&advice),
        "{sentences:?}"
    );
    assert_eq!(code, Some(1));
    let output = scene.store.staplegun(&["remove", text(&chain)]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(scene.unreadable().1, Vec::<String>::new());
}

#[test]
fn dehydrateds_hook_takes_the_chain_that_it_is_given() {
    let mut scene = Scene::new();
    let (leaf, good) = scene.renew();
    let directory = scene.lineage.directory();
    let file = |name: &str| text(&directory.join(name)).to_owned();
    let (key, cert) = (file("privkey.pem"), file("cert.pem"));
    let (chain, issuer) = (file("fullchain.pem"), file("chain.pem"));
    let words = ["www.example", &key, &cert, &chain, &issuer, "1700000000"];
    // Of all that dehydrated tells, only this is about a new certificate.
    scene.hook("dehydrated", &["startup_hook"], &[]);
    scene.hook(
        "dehydrated",
        &[&["unchanged_cert"][..], &words].concat(),
        &[],
    );
    assert!(scene.store.served(&leaf).is_err());
    scene.hook("dehydrated", &[&["deploy_cert"][..], &words].concat(), &[]);
    assert_eq!(scene.store.served(&leaf), Ok(good));
}

#[test]
fn a_hook_without_an_agent_says_so() {
    let mut lineage = Lineage::new();
    let ca = Identity::self_signed(&Spec::ca("CA"));
    lineage.renew(&ca.issue(&Spec::server()), &ca);
    let output = Store::new().staplegun(&["add", "--renewed", text(&lineage.chain())]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("no agent"), "{said}");
}

#[test]
fn a_responder_that_is_slow_fails_no_renewal() {
    let mut scene = Scene::new();
    let (leaf, _) = scene.renew();
    scene.responder.set(Behaviour::Close);
    let chain = scene.lineage.chain();
    let words = ["add", "--renewed", "--wait", "200ms", text(&chain)];
    let output = scene.store.staplegun(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("the agent goes on trying"), "{said}");
    scene.agent.wait_until_failed(&leaf);
}
