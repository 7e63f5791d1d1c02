//! The spool: what programs leave is looked after, what hostile users leave is
//! not, and holds nobody up. These tests act as other users, so they need root,
//! as the tests of the servers do.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use staplegun_store::slots::Miss;
use staplegun_store::spool::publish;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, Store, key};

/// nobody's number on every Debian.
const NOBODY: u32 = 65534;

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    store: Store,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    Scene {
        ca,
        leaf,
        good,
        responder,
        store: Store::new(),
    }
}

impl Scene {
    fn spool(&self) -> PathBuf {
        self.store.layout().spool()
    }

    /// Leaves a file of `uid` under that name.
    fn leave(&self, name: &str, uid: u32, bytes: &[u8]) {
        // Made elsewhere: the agent removes what is too large also before it is whole.
        let made = self.store.directory.write("made", bytes);
        chown(&made, Some(uid), Some(uid)).expect("the test runs as root");
        std::fs::rename(&made, self.spool().join(name)).expect("it can be renamed");
    }

    /// Leaves leaf and issuers as the shim in a process of `uid` would.
    fn leave_as(&self, uid: u32, leaf: &Identity, issuers: &[&Identity]) {
        let mut bytes = leaf.der();
        bytes.extend(issuers.iter().flat_map(|issuer| issuer.der()));
        self.leave(&name(leaf, uid), uid, &bytes);
    }

    fn wait_until_empty(&self) {
        wait::until("the spool is empty", || {
            let mut entries = std::fs::read_dir(self.spool()).expect("there is a spool");
            entries.next().is_none().then_some(())
        });
    }

    /// Whoever did what before: a program of root is served.
    fn assert_still_works(&self, agent: &Agent) {
        let leaf = self
            .ca
            .issue(&Spec::server().ocsp_url(&self.responder.url()));
        let good = Response::good(&leaf, &self.ca).der();
        self.responder.set(Behaviour::Answer(good.clone()));
        publish(&self.spool(), &key(&leaf), &[&leaf.der(), &self.ca.der()]).expect("published");
        agent.wait_until_served(&leaf, &good);
    }
}

fn name(leaf: &Identity, uid: u32) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let random = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}.{uid}.{random:016x}", leaf.sha256_hex())
}

#[test]
fn what_a_program_of_root_loads_is_served() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    let mode = std::fs::metadata(scene.spool()).expect("there is a spool");
    assert_eq!(mode.permissions().mode() & 0o7777, 0o1733);
    let ders = [scene.leaf.der(), scene.ca.der()];
    publish(&scene.spool(), &key(&scene.leaf), &[&ders[0], &ders[1]]).expect("published");
    agent.wait_until_served(&scene.leaf, &scene.good);
    scene.wait_until_empty();
    wait::until("it lasts", || {
        let file = scene.store.file("certs", &scene.leaf, "pem");
        file.exists().then_some(())
    });
}

#[test]
fn another_users_certificate_is_not_asked_for_unless_its_issuer_is_trusted() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    scene.leave_as(NOBODY, &scene.leaf, &[&scene.ca]);
    agent.wait_until_logged("its issuer is not trusted");
    scene.assert_still_works(&agent);
    let asked_for = scene.responder.requests().len();
    assert_eq!(asked_for, 1, "for the one of root");
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Absent));
    drop(agent);

    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let trusting = format!("trusted-issuers = ['{}']\n{PATIENT}", anchors.display());
    scene.responder.set(Behaviour::Answer(scene.good.clone()));
    let agent = scene.store.start(&trusting);
    scene.leave_as(NOBODY, &scene.leaf, &[&scene.ca]);
    agent.wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn a_trusted_issuer_that_did_not_sign_the_leaf_opens_no_door() {
    let scene = scene();
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let trusting = format!("trusted-issuers = ['{}']\n{PATIENT}", anchors.display());
    let agent = scene.store.start(&trusting);
    // Of the trusted one's name, signed by a key of its own.
    let forger = Identity::self_signed(&Spec::ca("CA"));
    let forged = forger.issue(&Spec::server().ocsp_url(&scene.responder.url()));
    scene.leave_as(NOBODY, &forged, &[&scene.ca]);
    agent.wait_until_logged("its issuer did not come along");
    scene.leave_as(NOBODY, &forged, &[&forger]);
    agent.wait_until_logged("its issuer is not trusted");
    scene.assert_still_works(&agent);
    assert_eq!(scene.responder.requests().len(), 1, "for the one of root");
}

#[test]
fn a_trusted_certificate_that_is_no_authority_opens_no_door() {
    let scene = scene();
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let trusting = format!("trusted-issuers = ['{}']\n{PATIENT}", anchors.display());
    let agent = scene.store.start(&trusting);
    // Anybody can have a server's certificate from a trusted authority, and its key.
    let server = scene.ca.issue(&Spec::server());
    let forged = server.issue(&Spec::server().ocsp_url(&scene.responder.url()));
    scene.leave_as(NOBODY, &forged, &[&server, &scene.ca]);
    agent.wait_until_logged("its issuer is not trusted");
    scene.assert_still_works(&agent);
    assert_eq!(scene.responder.requests().len(), 1, "for the one of root");
}

#[test]
fn squatted_names_links_fifos_and_huge_files_are_refused_and_hold_nothing_up() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    let spool = scene.spool();
    let other = scene
        .ca
        .issue(&Spec::server().ocsp_url(&scene.responder.url()));
    // Another certificate than the name says; another user than the name says.
    scene.leave(
        &name(&scene.leaf, 0),
        0,
        &[other.der(), scene.ca.der()].concat(),
    );
    scene.leave(&name(&scene.leaf, 0), NOBODY, &scene.leaf.der());
    scene.leave("whatever\n\u{1b}[31m", NOBODY, b"x");
    scene.leave(&name(&scene.leaf, 0), 0, &vec![0x30; 65 * 1024]);
    scene.leave(&name(&scene.leaf, 0), 0, b"");
    scene.leave(&name(&scene.leaf, 0), 0, b"0\x03garbage");
    // A link to what root could read; one file under two names; a pipe.
    let secret = scene.store.directory.write("secret", scene.leaf.der());
    symlink(&secret, spool.join(name(&scene.leaf, 0))).expect("a link");
    std::fs::hard_link(&secret, spool.join(name(&scene.leaf, 0))).expect("a link");
    let pipe = spool.join(name(&scene.leaf, 0));
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    std::fs::create_dir(spool.join(name(&scene.leaf, 0))).expect("a directory");
    scene.wait_until_empty();
    scene.assert_still_works(&agent);
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Absent));
    assert!(!scene.store.file("certs", &other, "pem").exists());
    assert!(secret.exists());
    let log = agent.server.stderr();
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(
        log.lines().all(|line| line.starts_with("20")),
        "one line each: {log}"
    );
}

#[test]
fn a_directory_that_cannot_be_removed_does_no_harm() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    // Made elsewhere: an empty one would be removed before it is full.
    let full = scene.store.directory.join("full");
    std::fs::create_dir_all(full.join("inside")).expect("a directory");
    let left = scene.spool().join(name(&scene.leaf, NOBODY));
    std::fs::rename(full, &left).expect("it can be renamed");
    scene.assert_still_works(&agent);
    assert!(left.exists());
}

/// What docs/security.md advises where local users are not trusted.
#[test]
fn a_full_spool_on_a_file_system_of_its_own_is_emptied() {
    let scene = scene();
    scene.store.list(&scene.leaf, &[&scene.ca]);
    let spool = scene.spool().display().to_string();
    let file = name(&scene.leaf, NOBODY);
    let script = format!(
        "mkdir {spool}
         mount -t tmpfs -o size=32k,nr_inodes=16,mode=1733 none {spool}
         ! setpriv --reuid {NOBODY} --clear-groups sh -c 'cat /dev/zero >{spool}/{file}' 2>/dev/null
         test -s {spool}/{file}"
    );
    let agent = scene.store.start_apart(PATIENT, &script);
    wait::until("the agent serves the response", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&scene.good)).then_some(())
    });
    wait::until("what filled the spool is refused", || {
        let log = scene.store.log();
        log.contains("it does not hold certificates in DER")
            .then_some(())
    });
    drop(agent);
}

#[test]
fn a_flood_from_one_user_holds_nobody_up() {
    let scene = Scene {
        store: Store::in_memory(),
        ..scene()
    };
    let agent = scene.store.start(PATIENT);
    let junk = scene.leaf.der();
    for _ in 0..3_000 {
        scene.leave(&name(&scene.leaf, NOBODY), NOBODY, &junk);
    }
    scene.assert_still_works(&agent);
    scene.wait_until_empty();
    let log = agent.server.stderr();
    let lines = log.lines().filter(|line| line.contains("refused")).count();
    assert!(lines < 300, "{lines} lines for 3000 files");
}

#[test]
fn responders_of_users_that_hang_hold_up_no_certificate_of_roots() {
    let scene = scene();
    let hanging = [(); 5].map(|()| FaultyResponder::start(Behaviour::Hang));
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    // Far longer than the test waits.
    let settings = format!(
        "trusted-issuers = ['{}']\nthreads = 1\n[timing]\nfetch = 600\n",
        anchors.display()
    );
    let agent = scene.store.start(&settings);
    for responder in &hanging {
        let leaf = scene.ca.issue(&Spec::server().ocsp_url(&responder.url()));
        scene.leave_as(NOBODY, &leaf, &[&scene.ca]);
    }
    wait::until("one of them is asked", || {
        let asked = |responder: &FaultyResponder| !responder.requests().is_empty();
        hanging.iter().any(asked).then_some(())
    });
    scene.assert_still_works(&agent);
}

#[test]
fn what_users_leave_together_is_bounded_and_bounds_root_not() {
    let scene = scene();
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let settings = format!(
        "trusted-issuers = ['{}']\nmax-certificates = 1\n{PATIENT}",
        anchors.display()
    );
    let agent = scene.store.start(&settings);
    scene.leave_as(NOBODY, &scene.leaf, &[&scene.ca]);
    agent.wait_until_served(&scene.leaf, &scene.good);
    let another = scene.ca.issue(
        &Spec::server()
            .common_name("one.too.many")
            .ocsp_url(&scene.responder.url()),
    );
    scene.leave_as(61001, &another, &[&scene.ca]);
    agent.wait_until_logged("users have left as many as max-certificates allows");
    agent.wait_until_logged("one.too.many");
    scene.assert_still_works(&agent);
    scene.assert_still_works(&agent);
}

#[test]
fn users_who_fill_the_map_leave_room_for_root() {
    let mut scene = scene();
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    // One response is good for all of them, and fills the smallest map soon.
    let spec = Spec::server().serial(&[7]).ocsp_url(&scene.responder.url());
    let leaves: Vec<Identity> = (0..40).map(|_| scene.ca.issue(&spec)).collect();
    let names = (0..80).map(|number| format!("{number:050}.example"));
    let delegate = names.fold(Spec::responder(), |spec, name| spec.dns_name(&name));
    let delegate = scene.ca.issue(&delegate);
    let good = Response::good(&leaves[0], &scene.ca)
        .delegate(&delegate)
        .der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let settings = format!(
        "map-size = 262144\ntrusted-issuers = ['{}']\n{PATIENT}",
        anchors.display()
    );
    let agent = scene.store.start(&settings);
    for leaf in &leaves {
        scene.leave_as(NOBODY, leaf, &[&scene.ca]);
    }
    let causes = wait::until("every certificate was asked for", || {
        let notes: Option<Vec<_>> = leaves.iter().map(|leaf| scene.store.notes(leaf)).collect();
        let told = |notes: &staplegun_store::files::Notes| notes.next_refresh.is_some();
        let notes = notes.filter(|all| all.iter().all(told))?;
        Some(notes.into_iter().map(|notes| notes.last_cause))
    });
    let full = causes.filter(|cause| cause.as_deref() == Some("map"));
    let full = full.count();
    assert!(full > 0 && full < leaves.len(), "{full}");
    agent.wait_until_logged("kept for root");
    scene.leaf = scene.ca.issue(&spec);
    publish(
        &scene.spool(),
        &key(&scene.leaf),
        &[&scene.leaf.der(), &scene.ca.der()],
    )
    .expect("published");
    agent.wait_until_served(&scene.leaf, &good);
    // What was stapled for users goes on being renewed, whatever is left.
    let served = leaves.iter().find(|leaf| scene.store.served(leaf).is_ok());
    let newer = Response::good(&leaves[0], &scene.ca)
        .delegate(&delegate)
        .this_update(-60)
        .der();
    let served = served.expect("one is served");
    let file = scene.store.file("staples", served, "der");
    wait::until("the agent has written it", || std::fs::read(&file).ok());
    scene.store.bring(served, &newer);
    agent.wait_until_served(served, &newer);
}

#[test]
fn the_quota_of_a_user_is_kept() {
    let scene = scene();
    let anchors = scene.store.directory.write("anchors.pem", scene.ca.pem());
    let settings = format!(
        "trusted-issuers = ['{}']\nmax-certificates-per-user = 2\n{PATIENT}",
        anchors.display()
    );
    let agent = scene.store.start(&settings);
    for _ in 0..3 {
        let leaf = scene
            .ca
            .issue(&Spec::server().ocsp_url(&scene.responder.url()));
        scene.leave_as(NOBODY, &leaf, &[&scene.ca]);
    }
    agent.wait_until_logged("max-certificates-per-user");
    scene.assert_still_works(&agent);
    // Of the third only is noted that there is no place for it.
    let noted = || std::fs::read_dir(scene.store.directory.join("state")).expect("a directory");
    let is_refused = |file: std::io::Result<std::fs::DirEntry>| {
        let notes = std::fs::read_to_string(file.expect("an entry").path()).unwrap_or_default();
        notes.contains("user_quota")
    };
    wait::until("two of the user and one of root are looked after", || {
        let refused = noted().map(is_refused).filter(|refused| *refused);
        (refused.count() == 1).then_some(())
    });
    // It is no way around the quota that the agent ends.
    assert!({ agent }.server.stop().success());
    let _agent = scene.store.start(&settings);
    let leaf = scene
        .ca
        .issue(&Spec::server().ocsp_url(&scene.responder.url()));
    scene.leave_as(NOBODY, &leaf, &[&scene.ca]);
    wait::until("it is refused", || {
        let notes = scene.store.notes(&leaf)?;
        (notes.passed_over.as_deref() == Some("user_quota")).then_some(())
    });
}

#[test]
fn what_is_not_for_servers_or_names_no_responder_is_no_reason_to_worry() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    let url = scene.responder.url();
    let client = scene.ca.issue(
        &Spec::server()
            .extended_key_usage(&[staplegun_testkit::pki::CLIENT_AUTH])
            .ocsp_url(&url),
    );
    let silent = scene.ca.issue(&Spec::server());
    for leaf in [&client, &silent] {
        scene.leave_as(0, leaf, &[&scene.ca]);
    }
    scene.assert_still_works(&agent);
    scene.wait_until_empty();
    let log = agent.server.stderr();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert_eq!(
        scene.responder.requests().len(),
        1,
        "nobody is asked for them"
    );
}

#[test]
fn a_spool_that_is_a_link_elsewhere_is_not_used() {
    let scene = scene();
    let elsewhere = staplegun_testkit::Directory::new();
    symlink(elsewhere.path(), scene.spool()).expect("a link");
    let precious = elsewhere.write("precious", b"x");
    scene.store.list(&scene.leaf, &[&scene.ca]);
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    agent.wait_until_logged("cannot use the spool");
    assert!(precious.exists());
}
