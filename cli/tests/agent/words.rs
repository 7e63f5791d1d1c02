//! What the agent says, to whom: mistakes in its configuration, its log, and the
//! service manager.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Guard, PATIENT, STAPLEGUN, Store};

struct Scene {
    leaf: Identity,
    good: Vec<u8>,
    _responder: FaultyResponder,
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
        leaf,
        good,
        _responder: responder,
        store,
    }
}

/// The service manager's end of sd_notify(3).
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(directory: &Directory) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket
            .set_read_timeout(Some(wait::limit()))
            .expect("a limit");
        Self { socket, path }
    }

    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }
}

#[test]
fn a_reload_that_was_refused_is_shown_by_the_service_manager() {
    let scene = scene();
    let manager = Manager::new(&scene.store.directory);
    let program = scene.store.program(PATIENT);
    let agent = scene
        .store
        .adopt(program.env("NOTIFY_SOCKET", &manager.path).start());
    assert!(manager.told().contains("STATUS=filled the live map\n"));
    scene.store.directory.write("agent.toml", "nonsense = 1\n");
    agent.server.hang_up();
    assert!(manager.told().starts_with("RELOADING=1\n"));
    let told = manager.told();
    for word in [
        "READY=1\n",
        "reload was refused",
        "nonsense",
        "stays as it was",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(told.lines().count(), 2, "{told}");
    // Mended: nothing is said of it any more.
    scene.store.directory.write("agent.toml", PATIENT);
    agent.server.hang_up();
    assert!(manager.told().starts_with("RELOADING=1\n"));
    let told = manager.told();
    assert!(
        told.contains("STATUS=read the configuration again\n"),
        "{told}"
    );
}

#[test]
fn with_a_mistake_in_its_configuration_it_starts_with_what_makes_sense_and_says_so() {
    let scene = scene();
    let manager = Manager::new(&scene.store.directory);
    let settings = format!(
        "treads = 9\ntrusted-issuers = ['/no/such.pem']\nmax-certificates = 'many'\n{PATIENT}"
    );
    let program = scene.store.program(&settings);
    let agent = scene
        .store
        .adopt(program.env("NOTIFY_SOCKET", &manager.path).start());
    let told = manager.told();
    assert!(
        told.contains("3 mistakes") && told.contains("treads"),
        "{told}"
    );
    agent.wait_until_served(&scene.leaf, &scene.good);
    let log = agent.server.stderr();
    for word in [
        "line 1 (treads = 9)",
        "line 3 (max-certificates",
        "/no/such.pem",
    ] {
        let lines = log.lines().filter(|line| line.contains(word));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{word}: {log}");
        let line = lines[0];
        assert!(
            line.contains("ERROR") && line.contains("configuration"),
            "{line}"
        );
    }
    let is_event = |line: &str| line.starts_with("20") && line.contains(" staplegun ");
    assert!(log.lines().all(is_event), "one line each: {log}");
}

#[test]
fn the_early_unit_fills_the_map_whatever_stands_in_the_configuration() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    wait::until("the response is in its file", || {
        let file = scene.store.file("staples", &scene.leaf, "der");
        (std::fs::read(file).ok()? == scene.good).then_some(())
    });
    drop(agent);
    for settings in [
        "no TOML at all",
        "user = 'no-such-user'\n",
        "usr = 'nobody'\n",
        "\0\u{7f}",
    ] {
        std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
        let config = scene.store.directory.write("other.toml", settings);
        let config = config.to_str().expect("UTF-8");
        let output = scene
            .store
            .staplegun(&["agent", "--fill", "--config", config]);
        assert!(output.status.success(), "{settings:?}: {output:?}");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            log.contains("ERROR") && log.contains("configuration"),
            "{log}"
        );
        assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    }
}

#[test]
fn a_mistake_that_may_name_its_user_lets_no_agent_run_as_root() {
    let scene = scene();
    let config = scene
        .store
        .directory
        .write("agent.toml", "usr = 'nobody'\n");
    let config = config.to_str().expect("UTF-8");
    // Nobody has had the store yet.
    let output = scene
        .store
        .staplegun(&["agent", "--once", "--config", config]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("usr = 'nobody'") && said.contains("root"),
        "{said}"
    );
    // The last agent was nobody, and so is this one.
    let once = |words: &[&str]| {
        let output = scene
            .store
            .staplegun(&[&["agent", "--once"], words].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    once(&["--user", "nobody"]);
    let log = once(&["--config", config]);
    assert!(
        log.contains("gave up root") && log.contains("nobody"),
        "{log}"
    );
}

/// Starts `staplegun` with its standard error in a file, as the journal's if `is_journal`;
/// returns what was said there in the end.
fn said_to_the_journal(is_journal: bool, words: &[&str]) -> String {
    let directory = Directory::new();
    let log = directory.write("log", "");
    let file = std::fs::File::options()
        .append(true)
        .open(&log)
        .expect("a log");
    let about = file.metadata().expect("a file");
    let inode = about.ino() + u64::from(!is_journal);
    let status = Command::new(STAPLEGUN)
        .args(words)
        .env("JOURNAL_STREAM", format!("{}:{inode}", about.dev()))
        .stderr(file)
        .stdout(Stdio::null())
        .status()
        .expect("it runs");
    assert!(!status.success());
    std::fs::read_to_string(&log).expect("a log")
}

#[test]
fn why_it_cannot_start_is_one_line_with_the_priority_of_an_error() {
    let directory = Directory::new();
    let store = directory.path().to_str().expect("UTF-8");
    let words = ["agent", "--dir", store, "--user", "no-such-user"];
    let said = said_to_the_journal(true, &words);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("<3>staplegun: "), "{said}");
    // Elsewhere nobody would understand it.
    let said = said_to_the_journal(false, &words);
    assert!(said.starts_with("staplegun: "), "{said}");
}

#[test]
fn the_journal_gets_each_events_priority() {
    let scene = scene();
    let config = scene.store.directory.write("agent.toml", "nonsense = 1\n");
    let log = scene.store.directory.write("log", "");
    let file = std::fs::File::options()
        .append(true)
        .open(&log)
        .expect("a log");
    let about = file.metadata().expect("a file");
    let status = Command::new(STAPLEGUN)
        .args(["agent", "--once", "--dir"])
        .arg(scene.store.directory.path())
        .arg("--config")
        .arg(config)
        .env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()))
        .stderr(file)
        .status()
        .expect("it runs");
    assert!(status.success());
    let log = std::fs::read_to_string(&log).expect("a log");
    let line = |word: &str| {
        log.lines()
            .find(|line| line.contains(word))
            .unwrap_or_default()
    };
    assert!(line("nonsense").starts_with("<3>"), "{log}");
    assert!(line("stapling a new response").starts_with("<6>"), "{log}");
}

#[test]
fn it_goes_on_when_nobody_reads_its_log_any_more() {
    let scene = scene();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let config = scene.store.directory.write("agent.toml", PATIENT);
    let child = Command::new(STAPLEGUN)
        .args(["agent", "--dir"])
        .arg(scene.store.directory.path())
        .arg("--config")
        .arg(config)
        .stderr(writer)
        .spawn()
        .expect("it starts");
    drop(reader);
    let mut agent = Guard(child);
    wait::until("the agent serves the response", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&scene.good)).then_some(())
    });
    assert!(agent.0.try_wait().expect("our child").is_none(), "it runs");
}

#[test]
fn each_help_has_its_exit_statuses() {
    let help = |words: &[&str]| {
        let output = Command::new(STAPLEGUN)
            .args(words)
            .arg("--help")
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = help(&[]);
    let commands = all.split("Commands:").nth(1).expect("a list of commands");
    let commands = commands
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    let names: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let help = help(&[name]);
        assert!(
            help.contains("Exit status: 0") || name == "run",
            "{name}: {help}"
        );
        assert!(help.contains("Exit status:"), "{name}: {help}");
    }
    assert!(all.contains("Exit status:"), "{all}");
}
