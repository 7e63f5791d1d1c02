//! Starting and ending: users, signals, standby, the service manager, and living
//! as long as a program.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use staplegun_store::map::Reader;
use staplegun_testkit::process::descendants;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{Guard, PATIENT, QUICK, STAPLEGUN, Store};

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
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        ca,
        leaf,
        good,
        responder,
        store,
    }
}

/// An agent that listens nowhere, its log in a file.
fn agent(store: &Store, log: &str, more: &[&str]) -> Guard {
    let config = store.directory.write("agent.toml", QUICK);
    let log = std::fs::File::create(store.directory.join(log)).expect("a log");
    let child = Command::new(STAPLEGUN)
        .args(["agent", "--directory"])
        .arg(store.directory.path())
        .arg("--config")
        .arg(config)
        .args(more)
        .stderr(log)
        .spawn();
    Guard(child.expect("it starts"))
}

fn wait_until_ended(child: &mut Guard) -> ExitStatus {
    wait::until("the process ends", || {
        child.0.try_wait().expect("it is our child")
    })
}

fn sleeper() -> Guard {
    let child = Command::new("sleep").arg("1000").spawn();
    Guard(child.expect("sleep runs"))
}

fn wait_until_logged(store: &Store, log: &str, text: &str) {
    wait::until(&format!("{log} holds {text:?}"), || {
        let log = std::fs::read_to_string(store.directory.join(log)).unwrap_or_default();
        log.contains(text).then_some(())
    });
}

#[test]
fn sigterm_ends_it_cleanly_and_what_is_served_stays() {
    let scene = scene();
    let mut agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    assert!(agent.server.stop().success());
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good));
}

#[test]
fn sighup_reads_the_configuration_again() {
    let scene = scene();
    let leaf = scene.ca.issue(&Spec::server());
    scene.store.list(&leaf, &[&scene.ca]);
    let good = Response::good(&leaf, &scene.ca).der();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    scene.responder.set(Behaviour::Answer(good.clone()));
    // Bad first: the old one stays.
    scene.store.directory.write("agent.toml", "nonsense = 1");
    agent.server.hang_up();
    agent.wait_until_logged("the configuration stays as it was");
    let issuer = scene.ca.sha256_hex();
    let settings = format!(
        "{PATIENT}[[responder]]\nissuer = '{issuer}'\nurl = '{}'\n",
        scene.responder.url()
    );
    scene.store.directory.write("agent.toml", settings);
    agent.server.hang_up();
    agent.wait_until_served(&leaf, &good);
}

/// The first process of a PID namespace gets no signal that it has no handler for.
#[test]
fn as_the_first_process_of_a_container_it_ends_by_sigterm_before_it_serves_too() {
    let scene = scene();
    let first = scene.store.start(PATIENT);
    first.wait_until_served(&scene.leaf, &scene.good);
    let log = std::fs::File::create(scene.store.directory.join("log")).expect("a log");
    let child = Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            STAPLEGUN,
            "agent",
            "--directory",
        ])
        .arg(scene.store.directory.path())
        .stderr(log)
        .spawn();
    let mut second = Guard(child.expect("unshare runs"));
    wait_until_logged(&scene.store, "log", "standing by");
    let inner = descendants(second.0.id())[0];
    let inner = Pid::from_raw(inner as i32).expect("a process");
    kill_process(inner, Signal::TERM).expect("it runs");
    assert_eq!(wait_until_ended(&mut second).code(), Some(128 + 15));
}

#[test]
fn a_second_agent_stands_by_and_takes_over() {
    let scene = scene();
    let first = scene.store.start(PATIENT);
    first.wait_until_served(&scene.leaf, &scene.good);
    let _second = agent(&scene.store, "second.log", &[]);
    wait_until_logged(&scene.store, "second.log", "standing by");
    first.kill();
    wait_until_logged(&scene.store, "second.log", "the live map is open");
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * 3600)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    wait::until("the second agent serves the newer response", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&newer)).then_some(())
    });
}

#[test]
fn started_by_root_it_makes_the_map_and_becomes_its_own_user() {
    let scene = scene();
    for _restart in 0..2 {
        let program = scene.store.program(PATIENT).args(["--user", "nobody"]);
        let agent = scene.store.adopt(program.start());
        agent.wait_until_served(&scene.leaf, &scene.good);
        // The file follows the map.
        let file = scene.store.file("staples", &scene.leaf, "der");
        wait::until("the response is in its file", || {
            file.exists().then_some(())
        });
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.server.pid()));
        let status = status.expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("proc(5) has it")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(field("Uid:"), "65534 65534 65534 65534");
        assert_eq!(field("Gid:"), "65534 65534 65534 65534");
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("CapEff:"), "0000000000000000");
        let descriptors = staplegun_testkit::process::descriptors(agent.server.pid());
        let has_map = descriptors.iter().any(|line| line.ends_with("/map.v1"));
        assert!(!has_map, "{descriptors:?}");
        let owner = |path: &std::path::Path| std::fs::metadata(path).expect("it exists").uid();
        assert_eq!(owner(&scene.store.layout().map()), 0);
        assert_eq!(owner(scene.store.directory.path()), 0);
        assert_eq!(owner(&scene.store.layout().spool()), 65534);
        assert_eq!(owner(&file), 65534);
    }
}

#[test]
fn a_user_that_does_not_exist_is_named() {
    let output = Store::new().staplegun(&["agent", "--user", "no-such-user"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(log.contains("there is no user \"no-such-user\""), "{log}");
}

#[test]
fn it_lives_as_long_as_the_program_and_then_as_long_as_its_map_is_in_use() {
    let scene = scene();
    let mut program = sleeper();
    let pid = program.0.id().to_string();
    let mut child = agent(&scene.store, "log", &["--watch-pid", &pid]);
    wait::until("the agent serves", || scene.store.served(&scene.leaf).ok());
    // As a daemonised child of the program would.
    let user = Reader::open(&scene.store.layout().map(), 64 << 20).expect("there is a map");
    drop(program.0.kill());
    wait_until_ended(&mut program);
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * 3600)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    wait::until("it still serves", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&newer)).then_some(())
    });
    assert!(child.0.try_wait().expect("it is our child").is_none());
    drop(user);
    assert!(wait_until_ended(&mut child).success());
}

#[test]
fn a_program_that_has_ended_already_is_not_waited_for() {
    let mut program = sleeper();
    drop(program.0.kill());
    wait_until_ended(&mut program);
    let pid = program.0.id().to_string();
    let store = Store::new();
    let mut child = agent(&store, "log", &["--watch-pid", &pid]);
    assert!(wait_until_ended(&mut child).success());
}

#[test]
fn a_standby_ends_with_its_program_though_the_number_is_taken_and_the_other_agent_lives() {
    let scene = scene();
    let first = scene.store.start(PATIENT);
    first.wait_until_served(&scene.leaf, &scene.good);
    let mut program = sleeper();
    let pid = program.0.id().to_string();
    let mut standby = agent(&scene.store, "log", &["--watch-pid", &pid]);
    wait_until_logged(&scene.store, "log", "standing by");
    // Not waited for: its number stays taken, as if another process had it.
    drop(program.0.kill());
    assert!(wait_until_ended(&mut standby).success());
    wait_until_ended(&mut program);
}

#[test]
fn the_service_manager_is_told() {
    let scene = scene();
    let path = scene.store.directory.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(wait::limit()))
        .expect("a limit");
    let program = scene.store.program(PATIENT).env("NOTIFY_SOCKET", &path);
    let agent = scene.store.adopt(program.start());
    let told = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert!(told().starts_with("READY=1\n"));
    agent.server.hang_up();
    assert!(told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(told().starts_with("READY=1\n"));
    let pid = Pid::from_raw(agent.server.pid().cast_signed()).expect("not zero");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert!(told().starts_with("STOPPING=1\n"));
}

#[test]
fn once_asks_for_what_is_due_and_ends() {
    let scene = scene();
    let output = scene.store.staplegun(&["agent", "--once"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good));
    assert_eq!(scene.responder.requests().len(), 1);
}

#[test]
fn quiet_says_nothing() {
    let scene = scene();
    scene.responder.set(Behaviour::Close);
    let output = scene.store.staplegun(&["agent", "--once", "--quiet"]);
    assert!(output.status.success());
    assert!(output.stderr.is_empty() && output.stdout.is_empty());
}

#[test]
fn killed_again_and_again_it_never_serves_less_than_before() {
    let scene = scene();
    scene
        .store
        .start(PATIENT)
        .wait_until_served(&scene.leaf, &scene.good);
    let (mut known, mut last) = (vec![scene.good.clone()], 0);
    for round in 1..=10u64 {
        let hours = 24 + i64::try_from(round).expect("small");
        let newer = Response::good(&scene.leaf, &scene.ca)
            .next_update(hours * 3600)
            .der();
        scene.responder.set(Behaviour::Answer(newer.clone()));
        known.push(newer);
        let mut child = agent(&scene.store, "log", &[]);
        let before = scene.responder.requests().len();
        // Killed while it takes the answer in, a little later each time.
        wait::until("it has asked", || {
            (scene.responder.requests().len() > before).then_some(())
        });
        std::thread::sleep(std::time::Duration::from_micros(300 * round));
        drop(child.0.kill());
        wait_until_ended(&mut child);
        let served = scene.store.served(&scene.leaf).expect("one of them");
        let which = known.iter().position(|one| *one == served);
        let which = which.expect("one that the responder gave");
        assert!(which >= last, "{which} after {last}");
        last = which;
        let file = std::fs::read(scene.store.file("staples", &scene.leaf, "der"));
        assert!(file.is_ok_and(|file| !file.is_empty()));
    }
}

#[test]
fn status_shows_what_is_stapled_and_by_whom_it_is_used() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    wait::until("the notes are written", || scene.store.notes(&scene.leaf));
    let output = scene.store.staplegun(&["status", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(status["agent_running"], true);
    let one = &status["certificates"][0];
    assert_eq!(one["status"], "stapled");
    assert_eq!(one["sha256"], scene.leaf.sha256_hex());
    assert_eq!(one["responder"], scene.responder.url());
    let users = status["mapped_by"]["processes"].as_array().expect("a list");
    let pids: Vec<u64> = users
        .iter()
        .filter_map(|user| user["pid"].as_u64())
        .collect();
    assert!(pids.contains(&u64::from(agent.server.pid())), "{text}");
    let table = scene.store.staplegun(&["status"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("localhost") && table.contains("stapled"),
        "{table}"
    );
}

#[test]
fn status_of_a_store_that_is_not_there_says_so() {
    let output = Store::new().staplegun(&["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no store"));
}

#[test]
fn what_add_names_is_looked_after_and_survives_a_bad_name() {
    let scene = scene();
    let store = Store::new();
    let path = store
        .directory
        .write("leaf.pem", scene.leaf.pem() + &scene.ca.pem());
    let path = path.to_str().expect("UTF-8");
    let bad = store.staplegun(&["add", path, "/nonexistent"]);
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("/nonexistent"));
    let agent = store.start(PATIENT);
    let added = store.staplegun(&["add", path]);
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    agent.wait_until_served(&scene.leaf, &scene.good);
    let again = store.staplegun(&["add", path]);
    assert!(again.status.success());
    let list = std::fs::read_to_string(store.directory.join("certificates")).expect("a list");
    assert_eq!(list, format!("{path}\n"));
}

#[test]
fn the_metrics_file_is_whole_at_any_time() {
    let scene = scene();
    let file = scene.store.directory.join("staplegun.prom");
    let program = scene
        .store
        .program(PATIENT)
        .arg("--metrics-file")
        .arg(&file);
    let agent = scene.store.adopt(program.start());
    agent.wait_for_metric("staplegun_fetches_total 1");
    wait::until("the file says so too", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.contains("staplegun_fetches_total 1").then_some(())
    });
}

#[test]
fn what_several_add_at_the_same_time_is_all_in_the_list_and_so_are_the_operators_remarks() {
    let scene = scene();
    let store = Store::new();
    store.directory.write("certificates", "# by hand\n");
    let pem = scene.leaf.pem() + &scene.ca.pem();
    let paths: Vec<String> = (0..24)
        .map(|number| store.directory.write(&format!("{number}.pem"), &pem))
        .map(|path| path.to_str().expect("UTF-8").to_owned())
        .collect();
    let children: Vec<Guard> = paths
        .iter()
        .map(|path| {
            let mut add = Command::new(STAPLEGUN);
            add.args(["add", path])
                .env("STAPLEGUN_DIR", store.directory.path());
            Guard(
                add.stdout(std::process::Stdio::null())
                    .spawn()
                    .expect("it starts"),
            )
        })
        .collect();
    for mut child in children {
        assert!(wait_until_ended(&mut child).success());
    }
    let list = std::fs::read_to_string(store.directory.join("certificates")).expect("a list");
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    let mut wanted: Vec<&str> = paths.iter().map(String::as_str).collect();
    wanted.push("# by hand");
    wanted.sort_unstable();
    assert_eq!(lines, wanted);
}
