//! The wall clock is set while the agent runs, forward and back. A library that is
//! preloaded into the agent moves its clock: setting the machine's would move
//! everybody's, and there is no namespace for it.

use std::path::PathBuf;
use std::process::Command;

use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, QUICK, Store};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Adds to the wall clock what the file named by CLOCK_OFFSET says, in seconds.
pub const MOVED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void)
{
    char text[32] = "";
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(file);
    }
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int done = syscall(SYS_clock_gettime, clock, now);
    if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return done;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"#;

struct Scene {
    ca: Identity,
    leaf: Identity,
    responder: FaultyResponder,
    store: Store,
    directory: Directory,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaf = ca.issue(&spec.validity(-DAY, 10 * DAY));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        ca,
        leaf,
        responder,
        store,
        directory: Directory::new(),
    }
}

impl Scene {
    fn moved_clock(&self) -> PathBuf {
        let source = self.directory.write("clock.c", MOVED_CLOCK);
        let library = self.directory.join("clock.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.expect("cc runs").success());
        library
    }

    /// Sets the agent's clock, in seconds from the true time.
    fn set_clock(&self, offset: i64) {
        let new = self.directory.write("offset.new", offset.to_string());
        std::fs::rename(new, self.directory.join("offset")).expect("it can be renamed");
    }

    fn by_that_clock(&self, program: Program) -> Program {
        program
            .preload(&self.moved_clock())
            .env("CLOCK_OFFSET", self.directory.join("offset"))
    }

    fn start(&self, settings: &str) -> Agent {
        self.set_clock(0);
        self.start_at_that_time(settings)
    }

    fn start_at_that_time(&self, settings: &str) -> Agent {
        let program = self.by_that_clock(self.store.program(settings));
        self.store.adopt(program.start())
    }

    /// `staplegun` with these words, by that clock.
    fn staplegun(&self, words: &[&str]) -> std::process::Output {
        let program = Program::new(crate::support::STAPLEGUN).args(words);
        let program = program.env("STAPLEGUN_DIR", self.store.directory.path());
        self.by_that_clock(program).run()
    }

    /// The files of the certificate, in the order of their directories.
    fn files(&self) -> [bool; 3] {
        let is_there = |(name, suffix)| self.store.file(name, &self.leaf, suffix).exists();
        [("certs", "pem"), ("staples", "der"), ("state", "json")].map(is_there)
    }

    fn wait_for_all_files(&self) {
        wait::until("all files are there", || {
            (self.files() == [true; 3]).then_some(())
        });
    }
}

#[test]
fn set_forward_beyond_the_end_of_what_is_stapled_it_asks_at_once() {
    let scene = scene();
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &good);
    agent.wait_for_metric("staplegun_fetches_total 1");
    // By its timer it would ask in hours.
    let later = Response::good(&scene.leaf, &scene.ca)
        .this_update(29 * HOUR)
        .next_update(60 * HOUR)
        .der();
    scene.responder.set(Behaviour::Answer(later.clone()));
    scene.set_clock(30 * HOUR);
    agent.wait_until_logged("the clock was set forward");
    wait::until("the agent staples what is valid by its clock", || {
        let now = crate::support::now() + 30 * HOUR;
        let served = scene.store.served_at(&scene.leaf, now);
        (served.as_ref() == Ok(&later)).then_some(())
    });
}

#[test]
fn set_back_it_keeps_what_it_has_and_goes_on_once_the_clock_is_right() {
    let scene = scene();
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene.start(QUICK);
    agent.wait_until_served(&scene.leaf, &good);
    // Before thisUpdate of all that the responder has, which is an hour ago.
    scene.set_clock(-2 * HOUR);
    // Now it goes by that clock.
    agent.wait_until_failed(&scene.leaf);
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * HOUR)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    let before = agent.failures(&scene.leaf);
    let notes = wait::until("two attempts fail", || {
        let notes = scene.store.notes(&scene.leaf);
        notes.filter(|notes| notes.failures >= before + 2)
    });
    assert_eq!(notes.last_cause.as_deref(), Some("not_yet_valid"));
    assert_eq!(scene.store.served(&scene.leaf), Ok(good));
    scene.set_clock(0);
    agent.wait_until_served(&scene.leaf, &newer);
}

#[test]
fn forty_days_ahead_for_a_moment_costs_nothing() {
    let scene = scene();
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    // In the map, and of a certificate that nobody knows.
    let stray = scene.ca.issue(&Spec::server());
    let map = scene.store.layout().map();
    let lock = staplegun_store::map::WriterLock::try_take(&map).expect("nobody has it");
    let mut writer = staplegun_store::map::Writer::open(&map, 1 << 20, lock).expect("a map");
    let end = crate::support::now() + DAY;
    let key = crate::support::key(&stray);
    writer
        .put(&key, &good, end - 2 * DAY, end)
        .expect("there is room");
    drop(writer);
    let agent = scene.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &good);
    scene.wait_for_all_files();
    scene.responder.set(Behaviour::Close);
    scene.set_clock(40 * DAY);
    agent.wait_until_logged("the certificate has expired");
    agent.wait_until_missed(&scene.leaf, staplegun_store::slots::Miss::Absent);
    assert!(
        !agent.metrics().contains(&scene.leaf.sha256_hex()),
        "out of use"
    );
    // The operator still names it, and is told.
    let told = scene.staplegun(&["status"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("expired at"), "{told}");
    assert_eq!(scene.files(), [true; 3]);
    scene.set_clock(0);
    agent.wait_until_served(&scene.leaf, &good);
    assert_eq!(scene.files(), [true; 3]);
    assert_eq!(scene.store.served(&stray), Ok(good));
    assert!(agent.metrics().contains(&scene.leaf.sha256_hex()));
}

#[test]
fn a_revocation_outlasts_a_clock_that_was_wrong() {
    let scene = scene();
    let revoked = Response::good(&scene.leaf, &scene.ca).revoked().der();
    scene.responder.set(Behaviour::Answer(revoked));
    let agent = scene.start(PATIENT);
    let withdrawn = staplegun_store::slots::Miss::Withdrawn;
    agent.wait_until_missed(&scene.leaf, withdrawn);
    // Older than the revocation, by the time that the clock says then.
    let old = Response::good(&scene.leaf, &scene.ca).this_update(-2 * HOUR);
    scene.responder.set(Behaviour::Answer(old.der()));
    scene.set_clock(40 * DAY);
    agent.wait_until_logged("the certificate has expired");
    assert_eq!(scene.store.served(&scene.leaf), Err(withdrawn));
    scene.set_clock(0);
    agent.wait_until_logged("older than the revocation");
    assert_eq!(scene.store.served(&scene.leaf), Err(withdrawn));
}

#[test]
fn filling_by_a_wrong_clock_deletes_nothing() {
    let scene = scene();
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let mut agent = scene.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &good);
    scene.wait_for_all_files();
    assert!(agent.server.stop().success());
    scene.responder.set(Behaviour::Close);
    scene.set_clock(40 * DAY);
    std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
    assert!(scene.staplegun(&["agent", "--fill"]).status.success());
    assert_eq!(scene.files(), [true; 3]);
    // The agent, too, comes up before the time is known.
    let agent = scene.start_at_that_time(QUICK);
    assert_eq!(scene.files(), [true; 3]);
    scene.set_clock(0);
    agent.wait_until_served(&scene.leaf, &good);
}

#[test]
fn a_stored_response_that_was_of_tomorrow_at_boot_is_used_when_its_time_comes() {
    let scene = scene();
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let mut agent = scene.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &good);
    scene.wait_for_all_files();
    assert!(agent.server.stop().success());
    scene.responder.set(Behaviour::Close);
    std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
    for wrong in [-3 * HOUR, 3 * DAY] {
        // Of tomorrow, or of yesterday by a clock that is ahead.
        scene.set_clock(wrong);
        let agent = scene.start_at_that_time(QUICK);
        agent.wait_until_logged("passed over the response in staples/");
        agent.wait_until_failed(&scene.leaf);
        scene.set_clock(0);
        agent.wait_until_served(&scene.leaf, &good);
        drop(agent);
        std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
    }
}

#[test]
fn what_has_been_expired_for_thirty_days_in_all_is_removed_and_what_was_counted_is_noted() {
    let scene = scene();
    let expired = |ago: u64| {
        let leaf = scene.ca.issue(&Spec::server().expired());
        let notes = staplegun_store::files::Notes {
            expired_for: 30 * 86_400 - ago,
            ..Default::default()
        };
        for (directory, suffix, bytes) in [
            ("certs", "pem", leaf.pem() + &scene.ca.pem()),
            (
                "state",
                "json",
                String::from_utf8(notes.to_json()).expect("JSON"),
            ),
        ] {
            let _ = std::fs::create_dir(scene.store.directory.join(directory));
            let file = scene.store.file(directory, &leaf, suffix);
            std::fs::write(file, bytes).expect("it can be written");
        }
        leaf
    };
    let (over, not_over) = (expired(1), expired(86_400));
    let mut agent = scene.store.start(QUICK);
    wait::until("its files are gone", || {
        let is_there = scene.store.file("certs", &over, "pem").exists()
            || scene.store.file("state", &over, "json").exists();
        (!is_there).then_some(())
    });
    assert!(agent.server.stop().success());
    assert!(scene.store.file("certs", &not_over, "pem").exists());
    let counted = scene.store.notes(&not_over).expect("notes").expired_for;
    assert!(
        (29 * 86_400 + 1..29 * 86_400 + 60).contains(&counted),
        "{counted}"
    );
}
