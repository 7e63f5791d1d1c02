//! Whoever has the lease dies, at each step of its way: another one asks, and nobody is left
//! without a response.

use std::ops::RangeInclusive;
use std::thread::scope;

use staplegun_testkit::responder::Behaviour;
use staplegun_testkit::{Response, wait};

use super::redis::Redis;
use super::{Scene, metric, wait_until_connected, with_fleet};
use crate::support::{Agent, Store};

/// A fetch may take its usual time, and who has failed waits for long.
const SETTINGS: &str = "[timing]\nlongest-retry = 3600\nsweep = 0.2\n";

/// One certificate, of which an agent takes the lease; another one waits for it.
struct Step {
    scene: Scene,
    redis: Redis,
    machines: [Store; 2],
    settings: String,
}

impl Step {
    fn new() -> Self {
        let scene = Scene::new(1);
        scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
        let redis = Redis::start(&[]);
        Self {
            machines: [scene.machine(), scene.machine()],
            settings: with_fleet(SETTINGS, &redis.url()),
            scene,
            redis,
        }
    }

    fn start(&self, which: usize) -> Agent {
        let agent = self.machines[which].start(&self.settings);
        wait_until_connected(&agent);
        agent
    }

    fn holder(&self) -> Agent {
        let holder = self.start(0);
        wait::until("it has the lease", || {
            (metric(&holder, "staplegun_fleet_fetches_leased_total") == 1).then_some(())
        });
        holder
    }

    fn waiting(&self) -> Agent {
        let waiting = self.start(1);
        wait::until("it waits", || {
            (metric(&waiting, "staplegun_fleet_waits_total") >= 1).then_some(())
        });
        waiting
    }

    /// The other one has a response in the end, and asked for it so often.
    fn ends(&self, other: &Agent, asked: RangeInclusive<u64>) {
        self.scene.wait_until_served(other);
        let fetches = metric(other, "staplegun_fleet_fetches_leased_total")
            + metric(other, "staplegun_fleet_fetches_alone_total");
        assert!(asked.contains(&fetches), "{fetches}, and not {asked:?}");
    }
}

#[test]
fn a_holder_that_is_killed_at_any_step_leaves_the_certificate_to_another() {
    scope(|steps| {
        steps.spawn(killed_while_it_asks);
        steps.spawn(killed_before_it_has_stored);
        steps.spawn(killed_when_it_has_stored);
        steps.spawn(killed_when_it_has_failed);
    });
}

fn killed_while_it_asks() {
    let step = Step::new();
    let held = step.scene.hold();
    let holder = step.holder();
    let other = step.waiting();
    holder.kill();
    drop(held);
    step.ends(&other, 1..=1);
}

fn killed_before_it_has_stored() {
    let step = Step::new();
    let held = step.scene.hold();
    let holder = step.holder();
    let other = step.waiting();
    // It staples what it has, and the store does not hear of it.
    step.redis.freeze();
    drop(held);
    step.scene.wait_until_served(&holder);
    holder.kill();
    step.redis.thaw();
    // Unless it lay there already.
    step.ends(&other, 0..=1);
}

fn killed_when_it_has_stored() {
    let step = Step::new();
    let held = step.scene.hold();
    let holder = step.holder();
    let other = step.waiting();
    drop(held);
    let key = super::redis::response_of(&step.scene.leaves[0]);
    step.redis
        .wait_until("it is stored", &["EXISTS", &key], |there| there == "1");
    holder.kill();
    step.ends(&other, 0..=0);
}

fn killed_when_it_has_failed() {
    let step = Step::new();
    step.scene.responder.set(Behaviour::Http {
        status: 503,
        headers: vec![("Retry-After".to_owned(), "3600".to_owned())],
        body: Vec::new(),
    });
    let holder = step.holder();
    let key = super::redis::response_of(&step.scene.leaves[0]).replace(":r", ":f");
    step.redis
        .wait_until("all are to wait", &["EXISTS", &key], |there| there == "1");
    let other = step.waiting();
    holder.kill();
    step.scene.answering();
    step.ends(&other, 1..=1);
}
