//! What is kept, what counts for more, and when an agent has acted.

use staplegun_ocsp::Validity;
use staplegun_testkit::{Directory, Identity, Response, Spec};

use super::super::Issuers;
use super::*;

const SIZE: usize = 1 << 20;

struct Scene {
    directory: Directory,
    layout: Layout,
    ca: Identity,
    leaf: Identity,
    subject: Subject,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server());
    let directory = Directory::new();
    Scene {
        layout: Layout::at(directory.path()),
        directory,
        subject: subject(&leaf, &ca),
        ca,
        leaf,
    }
}

fn subject(leaf: &Identity, ca: &Identity) -> Subject {
    Subject::new(vec![leaf.der(), ca.der()], &Issuers::default()).unwrap()
}

/// What `response` is, and what it is for `subject`.
fn judged(subject: &Subject, response: &Response) -> Staple {
    let issuer = subject.issuer().unwrap();
    judge(&response.der(), issuer, now(), &Policy::STAPLING).unwrap()
}

impl Scene {
    fn good(&self, at: i64) -> Staple {
        let response = Response::good(&self.leaf, &self.ca).this_update(at);
        judged(&self.subject, &response)
    }

    fn revoked(&self, at: i64) -> Staple {
        let response = Response::good(&self.leaf, &self.ca).this_update(at);
        judged(&self.subject, &response.revoked())
    }

    fn keep(&self, staple: &Staple) -> anyhow::Result<Stored> {
        let policy = &Policy::STAPLING;
        keep(&self.layout, &self.subject, staple, policy, SIZE)
    }

    fn files(&self) -> Files {
        Files::of_anybody(self.layout.lasting())
    }

    fn in_file(&self) -> Option<Vec<u8>> {
        self.files().staples.read(&self.subject.key()).unwrap()
    }

    /// An agent's map, which it alone writes as long as this lives.
    fn agents_map(&self) -> Writer {
        let lock = WriterLock::try_take(&self.layout.map()).unwrap();
        std::fs::create_dir(self.layout.spool()).unwrap();
        Writer::open(&self.layout.map(), SIZE, lock).unwrap()
    }

    fn offer<'a>(&'a self, staple: &'a Staple) -> Offer<'a> {
        Offer {
            layout: &self.layout,
            subject: &self.subject,
            staple,
            policy: &Policy::STAPLING,
            is_told: false,
        }
    }
}

#[test]
fn the_response_that_stands_there_is_kept_and_not_outweighed_by_itself() {
    let scene = scene();
    let good = scene.good(-60);
    for _ in 0..2 {
        assert_eq!(scene.keep(&good).unwrap(), Stored::Kept);
        assert_eq!(scene.in_file().as_ref(), Some(&good.der));
    }
}

#[test]
fn one_certificates_revocation_is_not_weighed_for_another() {
    let scene = scene();
    assert_eq!(scene.keep(&scene.revoked(-60)).unwrap(), Stored::Kept);
    let leaf = scene.ca.issue(&Spec::server());
    let other = Scene {
        subject: subject(&leaf, &scene.ca),
        leaf,
        ..scene
    };
    assert_eq!(other.keep(&other.good(-7_200)).unwrap(), Stored::Kept);
}

#[test]
fn a_revocations_evidence_is_on_the_disk_and_how_the_last_agent_ended_stays_known() {
    let scene = scene();
    for (at, was_clean) in [(-60, true), (-30, false)] {
        scene.files().note_end(was_clean).unwrap();
        let revoked = scene.revoked(at);
        assert_eq!(scene.keep(&revoked).unwrap(), Stored::Kept);
        assert_eq!(scene.in_file(), Some(revoked.der));
        assert_eq!(scene.files().ended_cleanly(), was_clean);
    }
}

#[test]
fn a_good_response_does_not_outlast_a_revocation_whose_evidence_is_lost() {
    let scene = scene();
    assert_eq!(scene.keep(&scene.revoked(-60)).unwrap(), Stored::Kept);
    let key = scene.subject.key();
    let old = scene.good(-7_200);
    scene.files().staples.write(&key, &old.der).unwrap();
    assert_eq!(scene.keep(&old).unwrap(), Stored::Outweighed);
    assert_eq!(scene.in_file(), None);
}

#[test]
fn a_store_that_cannot_be_locked_is_told_and_not_taken_for_an_agents() {
    let scene = scene();
    let lock = scene.directory.join("map.v1.lock");
    std::fs::create_dir(lock).unwrap();
    let told = format!("{:#}", scene.keep(&scene.good(-60)).unwrap_err());
    assert!(told.contains("map.v1.lock"), "{told}");
}

#[test]
fn the_agent_has_acted_when_the_map_serves_that_response_and_no_other() {
    let scene = scene();
    let mut map = scene.agents_map();
    let (good, revoked) = (scene.good(-60), scene.revoked(-60));
    let mut is_in_force = |staple: &Staple, longer: usize, later: i64| {
        let (key, Validity { from, until }) = (scene.subject.key(), staple.validity);
        let der = vec![0; staple.der.len() + longer];
        map.put(&key, &der, from + later, until + later - 1)
            .unwrap();
        scene.offer(staple).is_in_force()
    };
    assert!(is_in_force(&good, 0, 0));
    // The next one of the same responder, which is as long.
    assert!(!is_in_force(&good, 0, -60));
    assert!(!is_in_force(&good, 1, 0));
    assert!(!is_in_force(&revoked, 0, 0));
}

#[test]
fn the_agent_has_acted_on_a_revocation_when_it_has_withdrawn_for_one_as_new() {
    let scene = scene();
    let mut map = scene.agents_map();
    let known = scene.revoked(-60);
    let (key, from) = (scene.subject.key(), known.validity.from);
    map.revoke(&key, &[], from, 0).unwrap();
    assert!(scene.offer(&known).is_in_force());
    assert!(!scene.offer(&scene.revoked(-30)).is_in_force());
    assert!(!scene.offer(&scene.good(-7_200)).is_in_force());
}

#[test]
fn what_the_agent_took_away_is_outweighed_if_it_has_withdrawn_and_else_offered_again() {
    let scene = scene();
    let mut map = scene.agents_map();
    let key = scene.subject.key();
    let good = scene.good(-60);
    let mut offer = scene.offer(&good);
    map.revoke(&key, &[], good.validity.from - 600, 0).unwrap();
    // It may count for more than that revocation: the agent is asked.
    assert_eq!(offer.look().unwrap(), None);
    assert_eq!(scene.in_file().as_ref(), Some(&good.der));
    scene.files().staples.remove(&key).unwrap();
    assert_eq!(offer.look().unwrap(), Some(Stored::Outweighed));
    assert_eq!(scene.in_file(), None);
    map.remove(&key);
    assert_eq!(offer.look().unwrap(), None);
    assert_eq!(scene.in_file().as_ref(), Some(&good.der));
}
