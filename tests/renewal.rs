//! A response file that is replaced while the server runs. Python is the host:
//! one process, which loaded the file itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use staplegun_testkit::hosts::Python;
use staplegun_testkit::{Client, Host, Server, Shim, Site, Spec, wait};

/// So long, in seconds, lives what must have been seen to be stapled before its end: a busy machine
/// takes some of them to start a server.
const VALID_FOR: i64 = 15;

/// What becomes valid as long after it was seen not to be: the responder's clock may be ahead of
/// ours by 300 seconds.
const AHEAD: i64 = 300 + VALID_FOR;

/// A server with `response.der` of the site, and a client for it.
struct Scene {
    site: Site,
    response: PathBuf,
    log: PathBuf,
    server: Server,
}

impl Scene {
    fn start(first: impl FnOnce(&Site) -> Vec<u8>, shim: Shim) -> (Self, Vec<u8>) {
        let site = Site::new();
        let first = first(&site);
        let response = site.write("response.der", &first);
        let log = site.write_with_mode("log", "", 0o666);
        let shim = shim.responses(&[&response]).log(&log);
        let server = Python::new().start(&site, &shim);
        let scene = Self {
            site,
            response,
            log,
            server,
        };
        (scene, first)
    }

    fn client(&self) -> Client {
        Python::new().client(&self.server, &self.site)
    }

    fn staple(&self) -> Option<Vec<u8>> {
        let handshake = self.client().handshake();
        assert!(handshake.completed, "{}", handshake.output);
        handshake.staple
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }
}

#[test]
fn a_renewed_file_is_stapled_within_seconds() {
    let (scene, first) = Scene::start(|site| site.good().der(), Shim::preloaded());
    let start = Instant::now();
    scene.client().handshake().assert_stapled(&first);
    let handshake = start.elapsed();
    let renewed = scene.site.good().this_update(-60).der();
    scene.site.write("response.der", &renewed);
    let start = Instant::now();
    wait::until("the renewed response is stapled", || {
        (scene.staple()? == renewed).then_some(())
    });
    assert!(
        start.elapsed() < Duration::from_secs(5) + 8 * handshake,
        "{:?}, where a handshake takes {handshake:?}",
        start.elapsed()
    );
}

#[test]
fn a_bad_replacement_is_logged_once_and_displaces_nothing() {
    let (scene, first) = Scene::start(|site| site.good().der(), Shim::preloaded());
    scene.client().handshake().assert_stapled(&first);
    scene.site.write("response.der", &first[..first.len() / 2]);
    let name = scene.response.display().to_string();
    wait::until("the bad file has been looked at", || {
        assert_eq!(scene.staple().as_ref(), Some(&first));
        let complains = |line: &str| line.contains(&name) && line.contains("not a DER");
        scene.log().lines().any(complains).then_some(())
    });
    assert_eq!(scene.staple(), Some(first));
    // The way back is the same as the way there.
    let renewed = scene.site.good().this_update(-60).der();
    scene.site.write("response.der", &renewed);
    wait::until("the renewed response is stapled", || {
        (scene.staple()? == renewed).then_some(())
    });
    let complaints = scene.log().matches("not a DER").count();
    assert_eq!(complaints, 1, "{}", scene.log());
}

/// The responder has spoken: to go on with the good one would be a lie.
#[test]
fn a_revoked_replacement_withdraws_the_good_response() {
    let (scene, first) = Scene::start(|site| site.good().der(), Shim::preloaded());
    scene.client().handshake().assert_stapled(&first);
    let revoked = scene.site.good().revoked().this_update(-60).der();
    scene.site.write("response.der", &revoked);
    wait::until("nothing is stapled any more", || {
        scene.staple().is_none().then_some(())
    });
    let name = scene.response.display().to_string();
    let says_so = |line: &str| line.contains(&name) && line.contains("revoked since");
    assert!(scene.log().lines().any(says_so), "{}", scene.log());
}

#[test]
fn a_removed_file_leaves_the_valid_response_in_use() {
    let (scene, first) = Scene::start(|site| site.good().der(), Shim::preloaded());
    std::fs::remove_file(&scene.response).expect("it is ours");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_eq!(scene.staple().as_ref(), Some(&first));
    }
}

#[test]
fn a_response_is_stapled_until_it_expires_and_no_longer() {
    let start = Instant::now();
    let brief = |site: &Site| site.good().next_update(VALID_FOR).der();
    let (scene, first) = Scene::start(brief, Shim::preloaded());
    scene.client().handshake().assert_stapled(&first);
    wait::until("the response has expired", || {
        scene.staple().is_none().then_some(())
    });
    // Times in a response are whole seconds.
    assert!(start.elapsed() > Duration::from_secs(VALID_FOR as u64 - 1));
}

#[test]
fn a_response_that_becomes_valid_later_is_then_stapled() {
    let early = |site: &Site| site.good().this_update(AHEAD).der();
    let (scene, first) = Scene::start(early, Shim::preloaded());
    assert_eq!(scene.staple(), None);
    wait::until("the response has become valid", || {
        (scene.staple()? == first).then_some(())
    });
}

#[test]
fn a_renewal_of_tomorrow_is_kept_and_stapled_when_its_time_has_come() {
    let (scene, first) = Scene::start(|site| site.good().der(), Shim::preloaded());
    scene.client().handshake().assert_stapled(&first);
    // Not for the skew alone; and what lies there afterwards is of no use.
    let early = scene.site.good().this_update(AHEAD).der();
    scene.site.write("response.der", &early);
    wait::until("the early one has been looked at", || {
        assert_eq!(scene.staple().as_ref(), Some(&first));
        scene.log().contains("valid from").then_some(())
    });
    scene.site.write("response.der", &early[..9]);
    wait::until("the early one has become valid", || {
        (scene.staple()? == early).then_some(())
    });
}

#[test]
fn nothing_is_stapled_past_the_end_of_the_delegates_certificate() {
    let start = Instant::now();
    let brief = |site: &Site| {
        let delegate = site.root.issue(&Spec::responder().validity(-60, VALID_FOR));
        site.good().delegate(&delegate).der()
    };
    let (scene, first) = Scene::start(brief, Shim::preloaded());
    scene.client().handshake().assert_stapled(&first);
    wait::until("the delegate's certificate has ended", || {
        scene.staple().is_none().then_some(())
    });
    assert!(start.elapsed() > Duration::from_secs(VALID_FOR as u64 - 1));
}

#[test]
fn with_recheck_off_the_file_is_read_once() {
    let unchanging = Shim::preloaded().env("STAPLEGUN_RECHECK", "0");
    let (scene, first) = Scene::start(|site| site.good().der(), unchanging);
    let looking = Shim::preloaded().responses(&[&scene.response]);
    let looking = Python::new().start(&scene.site, &looking);
    let renewed = scene.site.good().this_update(-60).der();
    scene.site.write("response.der", &renewed);
    // When the other has seen it, this one has had its chance as well.
    wait::until(
        "the renewed response is stapled by the other server",
        || {
            assert_eq!(scene.staple().as_ref(), Some(&first));
            let handshake = Python::new().client(&looking, &scene.site).handshake();
            (handshake.staple? == renewed).then_some(())
        },
    );
    assert_eq!(scene.staple(), Some(first));
}
