//! `live/`: what the map serves, as files for servers that read one and check nothing.

use std::os::unix::fs::MetadataExt;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::responder::Behaviour;
use staplegun_testkit::{Spec, wait};

use crate::scene::Scene;
use crate::support::{PATIENT, QUICK, now};

const HOUR: i64 = 3600;

/// With the setting, and never swept: what happens must do.
fn at_once(settings: &str) -> String {
    shown(settings).replace("sweep = 0.2", "sweep = 3600")
}

/// With the setting.
fn shown(settings: &str) -> String {
    format!("live-files = true\n{settings}")
}

impl Scene {
    fn answer(&self, der: &[u8]) {
        self.responder.set(Behaviour::Answer(der.to_vec()));
    }

    /// What the file holds; None if there is none.
    fn file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.store.file("live", &self.leaf, "der")).ok()
    }

    fn wait_for(&self, der: Option<&[u8]>) {
        wait::until("the file is as it has to be", || {
            (self.file().as_deref() == der).then_some(())
        });
    }

    /// Runs `staplegun agent --fill`.
    fn fill(&self, settings: &str) {
        let config = self.store.directory.write("agent.toml", settings);
        let config = config.to_str().expect("a path");
        let filled = self
            .store
            .staplegun(&["agent", "--fill", "--config", config]);
        assert!(filled.status.success(), "{filled:?}");
    }
}

#[test]
fn a_file_holds_what_the_map_serves_and_its_time_is_the_end_of_that() {
    let scene = Scene::new();
    let first = scene.good().this_update(-7200).next_update(HOUR).der();
    scene.answer(&first);
    let _agent = scene.store.start(&at_once(QUICK));
    scene.wait_for(Some(&first));
    let path = scene.store.file("live", &scene.leaf, "der");
    let about = std::fs::metadata(&path).expect("it is there");
    let left = about.mtime() - now();
    assert!(
        (HOUR - 60..=HOUR).contains(&left),
        "{left} seconds are left"
    );
    assert_eq!(about.mode() & 0o7777, 0o644);
    let second = scene.good().next_update(2 * HOUR).der();
    scene.answer(&second);
    scene.wait_for(Some(&second));
    // Replaced, not written into: who had the old one open still reads that.
    let new = std::fs::metadata(&path).expect("it is there");
    assert_ne!(new.ino(), about.ino());
    let left = new.mtime() - now();
    assert!((2 * HOUR - 60..=2 * HOUR).contains(&left), "{left} seconds");
}

#[test]
fn a_revocation_removes_the_file_unless_revoked_responses_are_stapled() {
    let scene = Scene::new();
    let good = scene.good().this_update(-7200).der();
    let revoked = scene.good().revoked().this_update(-1800).der();
    scene.answer(&good);
    let agent = scene.store.start(&at_once(QUICK));
    scene.wait_for(Some(&good));
    scene.answer(&revoked);
    scene.wait_for(None);
    drop(agent);
    let settings = format!("staple-revoked = true\n{}", at_once(QUICK));
    let _agent = scene.store.start(&settings);
    scene.wait_for(Some(&revoked));
}

#[test]
fn a_file_is_gone_in_the_second_in_which_its_response_expires() {
    let scene = Scene::new();
    let good = scene.good().next_update(10).der();
    scene.answer(&good);
    let _agent = scene.store.start(&at_once(PATIENT));
    scene.wait_for(Some(&good));
    scene.responder.set(Behaviour::status(500, &[]));
    let path = scene.store.file("live", &scene.leaf, "der");
    let end = std::fs::metadata(&path).expect("it is there").mtime();
    scene.wait_for(None);
    // The directory was changed when the file went.
    let directory = path.parent().expect("it has one").metadata();
    let gone = directory.expect("it is there").mtime();
    assert!((end..=end + 1).contains(&gone), "{} after it", gone - end);
}

#[test]
fn filling_shows_what_may_be_stapled_and_clears_what_may_not() {
    let scene = Scene::new();
    let good = scene.good().der();
    scene.answer(&good);
    let agent = scene.store.start(&shown(PATIENT));
    scene.wait_for(Some(&good));
    drop(agent);
    let path = scene.store.file("live", &scene.leaf, "der");
    // As after a boot.
    std::fs::remove_file(&path).expect("it is there");
    let stranger = scene.ca.issue(&Spec::server());
    let left = scene.store.file("live", &stranger, "der");
    std::fs::write(&left, b"of yesterday").expect("it can be written");
    let unfinished = scene.store.file("live", &stranger, "der");
    let unfinished = format!(
        ".{}.0123456789abcdef",
        unfinished
            .file_name()
            .expect("a name")
            .to_str()
            .expect("text")
    );
    let unfinished = path.with_file_name(unfinished);
    std::fs::write(&unfinished, b"half").expect("it can be written");
    scene.fill(&shown(PATIENT));
    assert_eq!(scene.file().as_deref(), Some(&good[..]));
    assert!(!left.exists() && !unfinished.exists());
    // No longer wanted: nobody would remove it when it expires.
    scene.fill(PATIENT);
    assert_eq!(scene.file(), None);
}

#[test]
fn without_the_setting_no_file_is_made_and_a_reload_turns_it_on_and_off() {
    let scene = Scene::new();
    let good = scene.good().der();
    scene.answer(&good);
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &good);
    assert!(!scene.store.layout().live().exists());
    scene.store.directory.write("agent.toml", shown(PATIENT));
    agent.server.hang_up();
    scene.wait_for(Some(&good));
    scene.store.directory.write("agent.toml", PATIENT);
    agent.server.hang_up();
    scene.wait_for(None);
}

#[test]
fn a_file_that_somebody_removed_is_back_at_the_next_sweep_and_one_that_was_left_is_gone() {
    let scene = Scene::new();
    let good = scene.good().der();
    scene.answer(&good);
    let _agent = scene.store.start(&shown(PATIENT));
    scene.wait_for(Some(&good));
    let stranger = scene.ca.issue(&Spec::server());
    let left = scene.store.file("live", &stranger, "der");
    std::fs::write(&left, b"by hand").expect("it can be written");
    std::fs::remove_file(scene.store.file("live", &scene.leaf, "der")).expect("it is there");
    scene.wait_for(Some(&good));
    wait::until("what was left is gone", || (!left.exists()).then_some(()));
    std::fs::remove_dir_all(scene.store.layout().live()).expect("it is there");
    scene.wait_for(Some(&good));
}

#[test]
fn files_that_cannot_be_written_are_told_once_and_written_when_they_can_be() {
    let scene = Scene::new();
    let good = scene.good().der();
    scene.answer(&good);
    // A directory that others may write is not used.
    let live = scene.store.layout().live();
    std::fs::create_dir(&live).expect("a directory");
    set_mode(&live, 0o777);
    let agent = scene.store.start(&shown(QUICK));
    agent.wait_until_served(&scene.leaf, &good);
    agent.wait_until_logged("others may not write it");
    // It is refreshed all the time, and each time the file cannot be written.
    let asked = scene.responder.requests().len();
    wait::until("it was asked again", || {
        (scene.responder.requests().len() > asked + 3).then_some(())
    });
    let told = agent
        .server
        .stderr()
        .matches("others may not write it")
        .count();
    assert_eq!(told, 1);
    set_mode(&live, 0o755);
    scene.wait_for(Some(&good));
    agent.wait_until_logged("live/ can be written again");
}
