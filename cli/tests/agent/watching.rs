//! `staplegun status` for a person: on a terminal, which is a real one here, and elsewhere.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{PATIENT, QUICK, STAPLEGUN, Store};

/// A command on a terminal of its own.
struct Typed {
    script: Child,
    shown: PathBuf,
    _directory: Directory,
}

impl Typed {
    /// Runs that line of a shell. A key reaches all that the terminal runs in front, and some
    /// shells tell of it with a status of their own: who presses one has the line `exec` its
    /// command.
    fn line(line: &str, environment: &[(&str, &str)]) -> Self {
        let directory = Directory::new();
        let shown = directory.join("shown");
        let script = Command::new("script")
            .args(["-qefc", line])
            .arg(&shown)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self {
            script: script.expect("script is installed"),
            shown,
            _directory: directory,
        }
    }

    fn shown(&self) -> String {
        let bytes = std::fs::read(&self.shown).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_until_shown(&self, text: &str) {
        wait::until(&format!("the terminal shows {text:?}"), || {
            self.shown().contains(text).then_some(())
        });
    }

    /// Presses that key.
    fn press(&mut self, key: u8) {
        let keyboard = self.script.stdin.as_mut().expect("it is piped");
        keyboard.write_all(&[key]).expect("it reads");
    }

    /// Waits for its end, and returns the exit status.
    fn status(&mut self) -> Option<i32> {
        wait::until("the command ends", || {
            self.script.try_wait().expect("it is ours")
        })
        .code()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// Nobody is asked again meanwhile.
const ONCE: &str = "[timing]\nsweep = 0.2\n";
const INTERRUPT: u8 = 3;
const GREEN: &str = "\x1b[32mstapled\x1b[0m";
const RED: &str = "\x1b[31mno response\x1b[0m";
const TOP: &str = "\x1b[H\x1b[J";

/// A certificate whose responder fails so far, and its answer.
fn scene() -> (Store, FaultyResponder, Vec<u8>) {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(503, &[]));
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let answer = Response::good(&leaf, &ca).der();
    (store, responder, answer)
}

/// Waits until `staplegun status` knows so many certificates, one of which has failed.
fn wait_until_told(store: &Store, count: usize) {
    wait::until("the store tells of all, and of the failure", || {
        let told = store.staplegun(&["status", "--json"]).stdout;
        let told: Value = serde_json::from_slice(&told).ok()?;
        let all = told["certificates"].as_array()?;
        let has_failed = all.iter().any(|one| one["failures"].as_u64() > Some(0));
        (has_failed && all.len() == count).then_some(())
    });
}

fn status(store: &Store, words: &str) -> String {
    format!(
        "exec {STAPLEGUN} status --directory {} {words}",
        store.directory.path().display()
    )
}

#[test]
fn a_terminal_shows_what_changes_in_its_color_until_it_is_interrupted() {
    let (store, responder, answer) = scene();
    let agent = store.start(QUICK);
    let mut typed = Typed::line(&status(&store, "--watch 1"), &[]);
    typed.wait_until_shown(RED);
    responder.set(Behaviour::Answer(answer));
    agent.wait_for_metric("staplegun_certificates{state=\"stapled\"} 1");
    typed.wait_until_shown(GREEN);
    assert!(
        typed.shown().matches(TOP).count() >= 2,
        "{:?}",
        typed.shown()
    );
    typed.press(INTERRUPT);
    assert_eq!(
        typed.status(),
        Some(0),
        "nothing is to be done: {:?}",
        typed.shown()
    );
}

#[test]
fn an_interrupt_ends_it_at_once_with_the_status_of_what_was_shown() {
    let (store, _responder, _) = scene();
    let _agent = store.start(ONCE);
    wait_until_told(&store, 1);
    let mut typed = Typed::line(&status(&store, "--watch 3600"), &[]);
    typed.wait_until_shown(RED);
    let began = Instant::now();
    typed.press(INTERRUPT);
    assert_eq!(typed.status(), Some(1), "{:?}", typed.shown());
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn colors_are_for_terminals_whose_user_wants_them() {
    let (store, responder, answer) = scene();
    responder.set(Behaviour::Answer(answer));
    let agent = store.start(PATIENT);
    agent.wait_for_metric("staplegun_certificates{state=\"stapled\"} 1");
    wait::until("the store tells it", || {
        let told = store.staplegun(&["status"]).stdout;
        String::from_utf8_lossy(&told)
            .contains(" stapled ")
            .then_some(())
    });
    let shown = |environment: &[(&str, &str)]| {
        let mut typed = Typed::line(&status(&store, ""), environment);
        assert_eq!(typed.status(), Some(0));
        typed.shown()
    };
    let colored = shown(&[]);
    assert!(colored.contains(GREEN), "{colored:?}");
    assert!(!shown(&[("NO_COLOR", "1")]).contains('\x1b'));
    let piped = store.staplegun(&["status"]).stdout;
    assert!(
        !piped.contains(&0x1b),
        "{}",
        String::from_utf8_lossy(&piped)
    );
    // Without colors, and still at the top each time.
    let mut typed = Typed::line(&status(&store, "--watch 1"), &[("NO_COLOR", "1")]);
    typed.wait_until_shown("stapled");
    typed.press(INTERRUPT);
    assert_eq!(typed.status(), Some(0));
    assert!(!typed.shown().contains("\x1b[3"), "{:?}", typed.shown());
    assert!(typed.shown().contains(TOP), "{:?}", typed.shown());
}

#[test]
fn a_low_terminal_shows_those_that_need_a_person_and_how_much_is_missing() {
    let (store, _responder, _) = scene();
    let ca = Identity::self_signed(&Spec::ca("CA"));
    for number in 0..30 {
        let spec = Spec::server().common_name(&format!("fine {number}"));
        store.list(&ca.issue(&spec), &[&ca]);
    }
    let _agent = store.start(ONCE);
    wait_until_told(&store, 31);
    let line = format!("stty rows 12 cols 200; {}", status(&store, "--watch 3600"));
    let mut typed = Typed::line(&line, &[]);
    typed.wait_until_shown("lines more");
    typed.press(INTERRUPT);
    assert_eq!(typed.status(), Some(1));
    let shown = typed.shown();
    let screen = shown.split(TOP).last().expect("a screen");
    assert!(screen.contains(RED), "{screen:?}");
    let lines = screen
        .lines()
        .filter(|line| !line.starts_with("Script done"));
    let lines = lines.filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 12, "{lines}: {screen:?}");
}

#[test]
fn it_ends_with_its_reader_and_does_not_run_wild() {
    let (store, _responder, _) = scene();
    let _agent = store.start(PATIENT);
    let line = format!(
        "{} | head -n 1; echo ${{PIPESTATUS[0]}}",
        status(&store, "--watch 3600")
    );
    let began = Instant::now();
    let ended = Command::new("bash")
        .args(["-c", &line])
        .output()
        .expect("bash runs");
    assert!(began.elapsed() < Duration::from_secs(60));
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        told.trim().ends_with('2') && ended.stderr.is_empty(),
        "{ended:?}"
    );
    for seconds in ["0", "3601", "-1"] {
        let refused = store.staplegun(&["status", &format!("--watch={seconds}")]);
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    }
}
