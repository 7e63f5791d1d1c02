//! `staplegun fetch`: what it prints, writes and stores, and its exit status.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::Output;

use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{Behaviour, FaultyResponder, OpensslResponder, Refused, Status};
use staplegun_testkit::{Directory, Identity, Response, Spec};

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    directory: Directory,
    path: PathBuf,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let directory = Directory::new();
    let path = directory.write("leaf.pem", leaf.pem() + &ca.pem());
    Scene {
        ca,
        leaf,
        good,
        responder,
        directory,
        path,
    }
}

impl Scene {
    fn fetch(&self, words: &[&str]) -> Output {
        Program::new(env!("CARGO_BIN_EXE_staplegun"))
            .arg("fetch")
            .args(words)
            .arg(&self.path)
            .env("STAPLEGUN_DIR", self.directory.join("store"))
            .run()
    }

    fn served(&self) -> Result<(), Miss> {
        let layout = Layout::at(&self.directory.join("store"));
        let reader = Reader::open(&layout.map(), 64 << 20).expect("there is a map");
        let key = staplegun_store::name::to_key(&self.leaf.sha256_hex()).expect("a SHA-256");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = since.expect("after 1970").as_secs();
        reader
            .lookup(&key, i64::try_from(now).expect("fits"))
            .map(drop)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_good_response_is_told_written_and_stored() {
    let scene = scene();
    let output = scene.directory.join("out.der");
    let told = scene.fetch(&["-o", output.to_str().expect("UTF-8")]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    for part in [
        "good",
        &scene.responder.url(),
        "thisUpdate",
        "until",
        "kept in the store",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(std::fs::read(output).ok(), Some(scene.good.clone()));
    assert_eq!(scene.served(), Ok(()));
}

#[test]
fn a_map_that_fetch_or_remove_makes_has_the_size_that_the_configuration_wants() {
    let scene = scene();
    let configuration = scene.directory.write("agent.toml", "map-size = 524288\n");
    let configuration = configuration.to_str().expect("UTF-8");
    let map = Layout::at(&scene.directory.join("store")).map();
    let size = || std::fs::metadata(&map).expect("there is a map").len();
    let told = scene.fetch(&["--config", configuration]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert_eq!(size(), 524_288);
    std::fs::remove_file(&map).expect("it is ours");
    let told = Program::new(env!("CARGO_BIN_EXE_staplegun"))
        .args([
            "remove",
            "--config",
            configuration,
            &scene.leaf.sha256_hex(),
        ])
        .env("STAPLEGUN_DIR", scene.directory.join("store"))
        .run();
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert_eq!(size(), 524_288);
}

#[test]
fn json_is_json_and_nothing_is_stored_where_nothing_shall_be() {
    let scene = scene();
    let told = scene.fetch(&["--json", "--no-store"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told[0]["status"], "good");
    assert_eq!(told[0]["sha256"], scene.leaf.sha256_hex());
    assert_eq!(told[0]["responder"], scene.responder.url());
    assert!(told[0]["until"].as_i64() > told[0]["this_update"].as_i64());
    assert!(!scene.directory.join("store").exists());
}

#[test]
fn a_revocation_has_an_exit_status_of_its_own_and_withdraws() {
    let scene = scene();
    assert_eq!(scene.fetch(&[]).status.code(), Some(0));
    let revoked = Response::good(&scene.leaf, &scene.ca).revoked().der();
    scene.responder.set(Behaviour::Answer(revoked));
    let told = scene.fetch(&[]);
    assert_eq!(told.status.code(), Some(3));
    assert!(
        text(&told.stdout).contains("revoked since"),
        "{}",
        text(&told.stdout)
    );
    assert_eq!(scene.served(), Err(Miss::Withdrawn));
}

#[test]
fn an_old_good_response_played_back_does_not_undo_a_stored_revocation() {
    let scene = scene();
    let revoked = Response::good(&scene.leaf, &scene.ca).revoked().der();
    scene.responder.set(Behaviour::Answer(revoked));
    assert_eq!(scene.fetch(&[]).status.code(), Some(3));
    let old = Response::good(&scene.leaf, &scene.ca).this_update(-7_200);
    scene.responder.set(Behaviour::Answer(old.der()));
    let told = scene.fetch(&[]);
    assert!(
        text(&told.stdout).contains("not kept"),
        "{}",
        text(&told.stdout)
    );
    assert_eq!(scene.served(), Err(Miss::Withdrawn));
}

#[test]
fn a_failure_names_responder_and_cause_and_stores_nothing() {
    let scene = scene();
    scene.responder.set(Behaviour::html());
    let told = scene.fetch(&["--json"]);
    assert_eq!(told.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told[0]["cause"], "html");
    assert_eq!(told[0]["responder"], scene.responder.url());
    let error = told[0]["error"].as_str().expect("a text");
    assert!(error.contains("text/html"), "{error}");
    assert!(!scene.directory.join("store").exists());
}

#[test]
fn a_file_that_is_no_certificate_is_named_with_what_is_wrong() {
    let scene = scene();
    for (contents, word) in [
        (b"garbage".to_vec(), "neither in PEM nor in DER"),
        (b"0garbage".to_vec(), "not a DER certificate"),
        (Vec::new(), "empty"),
        (scene.ca.key.pem().as_bytes().to_vec(), "no certificate"),
        (vec![b'x'; 2 << 20], "too many"),
    ] {
        std::fs::write(&scene.path, contents).expect("it can be written");
        let told = scene.fetch(&[]);
        assert_eq!(told.status.code(), Some(2));
        let told = text(&told.stderr);
        assert!(
            told.contains("leaf.pem") && told.contains(word),
            "{word}: {told}"
        );
    }
}

#[test]
fn an_issuer_beside_the_certificate_or_named_is_used() {
    let scene = scene();
    std::fs::write(&scene.path, scene.leaf.der()).expect("it can be written");
    let told = scene.fetch(&["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told[0]["cause"], "no_issuer");
    let issuer = scene.directory.write("ca.der", scene.ca.der());
    let named = scene.fetch(&["--issuer", issuer.to_str().expect("UTF-8")]);
    assert_eq!(named.status.code(), Some(0), "{}", text(&named.stdout));
    scene.directory.write("leaf.pem.issuer", scene.ca.pem());
    assert_eq!(scene.fetch(&[]).status.code(), Some(0));
}

#[test]
fn what_openssl_signs_is_good_and_openssl_agrees() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://responder.invalid/"));
    let delegate = ca.issue(&Spec::responder());
    let responder = OpensslResponder::start(&ca, &delegate, &[(&leaf, Status::Good)]);
    let directory = Directory::new();
    let path = directory.write("leaf.pem", leaf.pem() + &ca.pem());
    let (leaf_file, ca_file) = (
        directory.write("l.pem", leaf.pem()),
        directory.write("ca.pem", ca.pem()),
    );
    let output = directory.join("out.der");
    let instead = format!("http://responder.invalid/={}", responder.url());
    let told = Program::new(env!("CARGO_BIN_EXE_staplegun"))
        .args(["fetch", "--no-store", "--responder", &instead, "-o"])
        .args([&output, &path])
        .run();
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stdout));
    let judged = Program::new("openssl")
        .args(["ocsp", "-respin"])
        .arg(output)
        .arg("-issuer")
        .arg(&ca_file)
        .arg("-cert")
        .arg(leaf_file)
        .arg("-CAfile")
        .arg(ca_file)
        .run();
    let judged = text(&judged.stderr) + &text(&judged.stdout);
    assert!(
        judged.contains("Response verify OK") && judged.contains(": good"),
        "{judged}"
    );
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_mode_whatever_the_umask() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let scene = scene();
    let file = scene.directory.join("out.der");
    let mode = || std::fs::metadata(&file).expect("it is there").mode() & 0o777;
    let staplegun = env!("CARGO_BIN_EXE_staplegun");
    let fetch = || {
        let line = "umask 077; exec \"$0\" fetch --no-store -o \"$1\" \"$2\"";
        let told = Program::new("sh")
            .args(["-c", line, staplegun])
            .args([&file, &scene.path])
            .run();
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    };
    fetch();
    assert_eq!(mode(), 0o644);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("it is ours");
    // Whoever has the old one open goes on reading that.
    let before = std::fs::metadata(&file).expect("it is there").ino();
    fetch();
    assert_eq!(mode(), 0o640);
    assert_ne!(std::fs::metadata(&file).expect("it is there").ino(), before);
}

#[test]
fn a_file_that_is_replaced_stays_its_owners_so_that_his_server_can_read_it() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let scene = scene();
    let file = scene.directory.write("out.der", "old");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("it is ours");
    chown(&file, Some(65534), Some(61001)).expect("the test runs as root");
    let told = scene.fetch(&["-o", file.to_str().expect("UTF-8")]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert_eq!(std::fs::read(&file).ok(), Some(scene.good.clone()));
    let about = std::fs::metadata(&file).expect("it is there");
    assert_eq!((about.uid(), about.gid()), (65534, 61001));
    assert_eq!(about.mode() & 0o777, 0o600);
}

#[test]
fn a_full_disk_leaves_the_old_file_as_it_was() {
    let scene = scene();
    let small = scene.directory.join("small");
    std::fs::create_dir(&small).expect("a directory");
    std::fs::write(scene.directory.join("old"), b"old").expect("it can be written");
    // The response is longer than what is left.
    let script = "mount -t tmpfs -o size=8k none \"$3\" && cp \"$4\" \"$3/out.der\"
        head -c 3900 /dev/zero > \"$3/filler\"
        \"$0\" fetch --no-store -o \"$3/out.der\" \"$1\"; echo $?; ls \"$3\"; cat \"$3/out.der\"";
    let told = Program::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_staplegun")])
        .arg(&scene.path)
        .arg("-")
        .arg(&small)
        .arg(scene.directory.join("old"))
        .run();
    assert_eq!(
        text(&told.stdout),
        "2\nfiller\nout.der\nold",
        "{}",
        text(&told.stderr)
    );
    assert!(text(&told.stderr).contains("No space left"));
}

#[test]
fn a_response_that_says_revoked_overwrites_a_file_only_where_that_was_asked_for() {
    let scene = scene();
    let file = scene.directory.join("out.der");
    let output = file.to_str().expect("UTF-8");
    assert_eq!(scene.fetch(&["-o", output]).status.code(), Some(0));
    let revoked = Response::good(&scene.leaf, &scene.ca).revoked().der();
    scene.responder.set(Behaviour::Answer(revoked.clone()));
    let told = scene.fetch(&["-o", output]);
    assert_eq!(told.status.code(), Some(3));
    let told = text(&told.stdout);
    assert!(told.contains("not written: it says revoked"), "{told}");
    assert_eq!(std::fs::read(&file).ok(), Some(scene.good.clone()));
    let told = scene.fetch(&["--even-revoked", "-o", output]);
    assert_eq!(told.status.code(), Some(3));
    assert_eq!(std::fs::read(&file).ok(), Some(revoked.clone()));
    // And an older good one does not take its place.
    let old = Response::good(&scene.leaf, &scene.ca).this_update(-7_200);
    scene.responder.set(Behaviour::Answer(old.der()));
    let told = scene.fetch(&["--json", "-o", output]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told[0]["output"], "outweighed");
    assert_eq!(std::fs::read(&file).ok(), Some(revoked));
}

#[test]
fn a_link_that_was_named_stays_one_and_a_pipe_is_written_into() {
    let scene = scene();
    let (target, link) = (scene.directory.join("target"), scene.directory.join("link"));
    std::fs::write(&target, b"old").expect("it can be written");
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    let output = link.to_str().expect("UTF-8");
    let told = scene.fetch(&["--no-store", "-o", output]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&target).ok(), Some(scene.good.clone()));
    let told = scene.fetch(&["--no-store", "-o", "/dev/stdout"]);
    assert!(
        told.stdout.starts_with(&scene.good),
        "{}",
        text(&told.stderr)
    );
}

#[test]
fn the_agents_configuration_says_whom_to_ask_and_how_to_judge() {
    let scene = scene();
    // Where nobody answers, and without nextUpdate, two hours old.
    let leaf = scene
        .ca
        .issue(&Spec::server().ocsp_url("http://nobody.invalid/"));
    let old = Response::good(&leaf, &scene.ca)
        .this_update(-7_200)
        .next_update(None);
    scene.responder.set(Behaviour::Answer(old.der()));
    std::fs::write(&scene.path, leaf.pem()).expect("it can be written");
    let anchors = scene.directory.write("anchors.pem", scene.ca.pem());
    let settings = format!(
        "trusted-issuers = ['{}']\n[timing]\nlife-without-next-update = 86400\n\
         [[responder]]\nprefix = 'http://nobody'\nurl = '{}'\n",
        anchors.display(),
        scene.responder.url()
    );
    let config = scene.directory.write("agent.toml", settings);
    let config = config.to_str().expect("UTF-8");
    let told = scene.fetch(&["--no-store", "--config", config]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stdout));
    // What is said here counts more.
    let instead = format!("http://nobody={}", Refused::new().url());
    let told = scene.fetch(&["--json", "--config", config, "--responder", &instead]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told[0]["cause"], "connection");
}

#[test]
fn what_stands_in_file_and_store_is_weighed_as_the_agents_configuration_says() {
    let scene = scene();
    let config = scene
        .directory
        .write("agent.toml", "[timing]\nlife-without-next-update = 86400\n");
    let file = scene.directory.join("out.der");
    let words = [
        "--json",
        "--config",
        config.to_str().expect("UTF-8"),
        "-o",
        file.to_str().expect("UTF-8"),
    ];
    let fetch = |response: Response| {
        let der = response.der();
        scene.responder.set(Behaviour::Answer(der.clone()));
        let told = scene.fetch(&words);
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let word = |what: &str| told[0][what].as_str().map(str::to_owned);
        (der, word("output"), word("stored"))
    };
    let good = |at| Response::good(&scene.leaf, &scene.ca).this_update(at);
    // Without nextUpdate, it lives for an hour by default, and for a day here.
    let (newer, written, kept) = fetch(good(-7_200).next_update(None));
    assert_eq!(
        (written, kept),
        (Some("written".into()), Some("kept".into()))
    );
    let (_, written, kept) = fetch(good(-10_800).next_update(7_200));
    let outweighed = || Some("outweighed".into());
    assert_eq!((written, kept), (outweighed(), outweighed()));
    assert_eq!(std::fs::read(&file).ok(), Some(newer));
}

#[test]
fn the_agents_proxy_is_asked() {
    let scene = scene();
    let leaf = scene
        .ca
        .issue(&Spec::server().ocsp_url("http://nobody.invalid/"));
    let good = Response::good(&leaf, &scene.ca).der();
    // It answers as a proxy would: whatever the address is.
    scene.responder.set(Behaviour::Answer(good));
    std::fs::write(&scene.path, leaf.pem() + &scene.ca.pem()).expect("it can be written");
    let proxy = scene.responder.url().replace("/ocsp", "");
    let settings = format!("[proxy]\nhttp = '{proxy}'\n");
    let config = scene.directory.write("agent.toml", settings);
    let config = config.to_str().expect("UTF-8");
    let told = scene.fetch(&["--no-store", "--config", config]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stdout));
    let requests = scene.responder.requests();
    assert!(requests[0].target.starts_with("http://nobody.invalid/"));
}

#[test]
fn a_configuration_that_was_named_must_be_right() {
    let scene = scene();
    let config = scene
        .directory
        .write("agent.toml", "[timing]\nfetch = -1\n");
    for (config, word) in [
        (config.to_str().expect("UTF-8"), "timing.fetch"),
        ("/nowhere/agent.toml", "/nowhere/agent.toml"),
    ] {
        let told = scene.fetch(&["--no-store", "--config", config]);
        assert_eq!(told.status.code(), Some(2));
        let told = text(&told.stderr);
        assert!(told.contains(word), "{told}");
    }
}
