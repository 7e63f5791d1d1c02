//! Agents that share what they fetch through a real Redis: one asks, all staple. And what
//! becomes of them when it is gone, hangs, lies or is somebody else's.

mod apart;
mod cache;
mod crowd;
mod cycle;
mod failover;
mod faults;
mod lies;
mod network;
mod redis;
mod relay;
mod sharing;
mod steps;
mod tls;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Spec, wait};

use crate::support::{Agent, Store};

/// A CA, certificates, and the responder that all of them name.
pub struct Scene {
    ca: Identity,
    leaves: Vec<Identity>,
    responder: FaultyResponder,
    /// What it answers, by serial number.
    answers: Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>,
}

impl Scene {
    /// With so many certificates, and nothing to answer.
    fn new(count: usize) -> Self {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let responder = FaultyResponder::start(Behaviour::Close);
        let spec = Spec::server().ocsp_url(&responder.url());
        let leaves = (0..count).map(|_| ca.issue(&spec)).collect();
        let scene = Self {
            ca,
            leaves,
            responder,
            answers: Arc::default(),
        };
        scene.answering();
        scene
    }

    /// Lets the responder answer what it was told to.
    fn answering(&self) {
        let known = Arc::clone(&self.answers);
        self.responder.set(Behaviour::Call(Arc::new(move |request| {
            let der = request.der().unwrap_or_default();
            let known = known.lock().expect("no test panicked in it");
            let is_asked = |serial: &[u8]| der.windows(serial.len()).any(|part| part == serial);
            let answer = known.iter().find(|(serial, _)| is_asked(serial));
            answer.map_or(Behaviour::Close, |(_, der)| Behaviour::Answer(der.clone()))
        })));
    }

    /// Lets the responder answer that from now on.
    fn answer(&self, leaf: &Identity, der: Vec<u8>) {
        let mut answers = self.answers.lock().expect("no test panicked in it");
        answers.insert(leaf.serial().to_vec(), der);
    }

    /// Lets it answer for all with what `make` makes.
    fn answer_all(&self, make: impl Fn(&Identity, &Identity) -> Vec<u8>) {
        for leaf in &self.leaves {
            self.answer(leaf, make(leaf, &self.ca));
        }
    }

    /// What it answers for that leaf.
    fn answer_of(&self, leaf: &Identity) -> Vec<u8> {
        let answers = self.answers.lock().expect("no test panicked in it");
        answers[leaf.serial()].clone()
    }

    /// Keeps all answers back, until what is returned is dropped.
    fn hold(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<u8>>> {
        self.answers.lock().expect("no test panicked in it")
    }

    /// Somebody puts that into `staples/` of a machine which staples what the responder answered.
    fn bring(&self, machine: &Store, leaf: &Identity, der: &[u8]) {
        let file = machine.file("staples", leaf, "der");
        let known = self.answer_of(leaf);
        // What the agent has yet to write would take its place.
        wait::until("the agent has written its own", || {
            (std::fs::read(&file).ok()? == known).then_some(())
        });
        let new = file.with_extension("new");
        std::fs::write(&new, der).expect("it can be written");
        std::fs::rename(new, file).expect("it can be renamed");
    }

    /// How often it was asked.
    fn requests(&self) -> usize {
        self.responder.requests().len()
    }

    /// A machine that has all the certificates.
    fn machine(&self) -> Store {
        let store = Store::new();
        self.list_all(&store);
        store
    }

    /// Names all the certificates to it.
    fn list_all(&self, machine: &Store) {
        for leaf in &self.leaves {
            machine.list(leaf, &[&self.ca]);
        }
    }

    /// So many machines whose agents use the fleet's store, and have none of the certificates
    /// yet: what is due waits half a second for a connection, which a machine with much to do
    /// may not make in that time.
    fn connected(&self, count: usize, settings: &str) -> (Vec<Store>, Vec<Agent>) {
        let machines: Vec<Store> = (0..count).map(|_| Store::new()).collect();
        let started = machines.iter().map(|machine| machine.start(settings));
        let agents: Vec<Agent> = started.collect();
        agents.iter().for_each(wait_until_connected);
        (machines, agents)
    }

    /// The same, when they have all of them.
    fn connected_machines(&self, count: usize, settings: &str) -> (Vec<Store>, Vec<Agent>) {
        let (machines, agents) = self.connected(count, settings);
        machines.iter().for_each(|machine| self.list_all(machine));
        (machines, agents)
    }

    /// So many machines that have all the certificates, and their agents.
    fn machines(&self, count: usize, settings: &str) -> (Vec<Store>, Vec<Agent>) {
        let machines: Vec<Store> = (0..count).map(|_| self.machine()).collect();
        let started = machines.iter().map(|machine| machine.start(settings));
        let agents = started.collect();
        (machines, agents)
    }

    /// The same, when all of them staple what the responder answers and share it.
    fn sharing(&self, count: usize, settings: &str) -> (Vec<Store>, Vec<Agent>) {
        let (machines, agents) = self.machines(count, settings);
        agents
            .iter()
            .for_each(|agent| self.wait_until_served(agent));
        agents.iter().for_each(wait_until_connected);
        (machines, agents)
    }

    /// Waits until that machine staples what the responder answers now.
    fn wait_until_served(&self, agent: &Agent) {
        for leaf in &self.leaves {
            agent.wait_until_served(leaf, &self.answer_of(leaf));
        }
    }
}

/// Settings of an agent in that fleet.
fn with_fleet(settings: &str, fleet: &str) -> String {
    format!("{settings}[fleet]\n{fleet}\n")
}

/// A metric, by its name and labels, as a number.
fn metric(agent: &Agent, name: &str) -> u64 {
    // A main thread that is busy may keep it waiting.
    let value = wait::until(&format!("the metrics have {name}"), || {
        let metrics = agent.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    });
    value.parse().expect("a number")
}

/// Waits until an agent uses the fleet's store.
fn wait_until_connected(agent: &Agent) {
    wait::until("the agent uses the fleet's store", || {
        (metric(agent, "staplegun_fleet_connected") == 1).then_some(())
    });
}
