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

/// Adds to the wall clock what the file named by CLOCK_OFFSET says, in seconds.
const MOVED_CLOCK: &str = r#"
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
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
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

    fn start(&self, settings: &str) -> Agent {
        self.set_clock(0);
        let program: Program = self
            .store
            .program(settings)
            .preload(&self.moved_clock())
            .env("CLOCK_OFFSET", self.directory.join("offset"));
        self.store.adopt(program.start())
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
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * HOUR)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("not_yet_valid"));
    assert_eq!(scene.store.served(&scene.leaf), Ok(good));
    scene.set_clock(0);
    agent.wait_until_served(&scene.leaf, &newer);
}
