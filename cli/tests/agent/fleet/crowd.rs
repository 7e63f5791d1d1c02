//! Twenty agents with two hundred certificates: how often the responder is asked in a fill and
//! in a cycle, how long it takes from one map to all, and what becomes of it when agents and
//! the store are killed meanwhile.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use staplegun_store::Key;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec};

use super::network::Network;
use super::redis::Redis;
use super::{metric, with_fleet};
use crate::support::{Agent, Store, key, now, read_key};

const AGENTS: usize = 20;
/// So many of them have networks of their own.
const APART: usize = 6;
const CERTIFICATES: usize = 200;
/// On a machine with two processors that has other things to do, too.
pub const LIMIT: Duration = Duration::from_secs(180);

const SETTINGS: &str = "[timing]\nlongest-retry = 2\n";

/// Those that are revoked, by their serial numbers.
type Revoked = Arc<Mutex<HashSet<Vec<u8>>>>;
/// Who was asked for what: a serial number's responses, and when each was made.
type Made = Arc<Mutex<HashMap<Vec<u8>, Vec<(Instant, Vec<u8>)>>>>;

pub struct Crowd {
    leaves: Arc<Vec<Identity>>,
    made: Made,
    revoked: Revoked,
    _responder: FaultyResponder,
    certificates: Directory,
    machines: Vec<Store>,
    /// None: it was killed.
    pub agents: Vec<Option<Agent>>,
    /// Of the first of them; gone after them.
    pub networks: Vec<Network>,
    maps: Vec<Reader>,
}

impl Crowd {
    /// All agents run, and have no certificates yet. The responder signs anew at each
    /// request, for `life` seconds.
    fn new(fleet: &str, certificates: usize, agents: usize, life: i64) -> Self {
        let settings = vec![with_fleet(SETTINGS, fleet); agents];
        Self::with(&settings, certificates, life, Vec::new(), |_| false)
    }

    /// The same, each with its settings, and the first in networks of their own. Who is true of a
    /// certificate gets no answer for it.
    pub fn with(
        settings: &[String],
        certificates: usize,
        life: i64,
        networks: Vec<Network>,
        refuses: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let ca = Arc::new(Identity::self_signed(&Spec::ca("CA")));
        let here = networks.first().map_or(Ipv4Addr::LOCALHOST, |it| it.here);
        let responder = FaultyResponder::start_at(here, Behaviour::Close);
        let spec = Spec::server().ocsp_url(&responder.url());
        let directory = Directory::new();
        let leaves: Vec<Identity> = (0..certificates).map(|_| ca.issue(&spec)).collect();
        let leaves = Arc::new(leaves);
        for leaf in leaves.iter() {
            directory.write(
                &format!("{}.pem", leaf.sha256_hex()),
                leaf.pem() + &ca.pem(),
            );
        }
        let made = Made::default();
        let (making, by, known) = (Arc::clone(&made), Arc::clone(&ca), Arc::clone(&leaves));
        let revoked = Revoked::default();
        let are_revoked = Arc::clone(&revoked);
        responder.set(Behaviour::Call(Arc::new(move |request| {
            let der = request.der().unwrap_or_default();
            let is_asked = |leaf: &&Identity| {
                let serial = leaf.serial();
                der.windows(serial.len()).any(|part| part == serial)
            };
            let Some(leaf) = known.iter().find(is_asked) else {
                return Behaviour::Close;
            };
            if refuses(&leaf.sha256_hex()) {
                return Behaviour::Close;
            }
            let mut response = Response::good(leaf, &by).this_update(0).next_update(life);
            let are_revoked = are_revoked.lock().expect("no test panicked in it");
            if are_revoked.contains(leaf.serial()) {
                response = response.revoked();
            }
            let response = response.der();
            let mut making = making.lock().expect("no test panicked in it");
            let all = making.entry(leaf.serial().to_vec()).or_default();
            all.push((Instant::now(), response.clone()));
            Behaviour::Answer(response)
        })));
        let machines: Vec<Store> = settings.iter().map(|_| Store::new()).collect();
        let start = |(at, machine): (usize, &Store)| {
            let program = machine.program(&settings[at]);
            let program = match networks.get(at) {
                Some(network) => program.under(network.enter()),
                None => program,
            };
            Some(machine.adopt(program.start()))
        };
        let agents: Vec<Option<Agent>> = machines.iter().enumerate().map(start).collect();
        let open = |machine: &Store| Reader::open(&machine.layout().map(), 64 << 20);
        Self {
            maps: machines
                .iter()
                .map(|machine| open(machine).expect("a map"))
                .collect(),
            leaves,
            made,
            revoked,
            _responder: responder,
            certificates: directory,
            machines,
            agents,
            networks,
        }
    }

    /// Names all certificates to all agents.
    pub fn name_them(&self) {
        let line = format!("{}\n", self.certificates.path().display());
        for machine in &self.machines {
            machine.directory.write("certificates", &line);
        }
    }

    pub fn requests(&self) -> usize {
        let made = self.made.lock().expect("no test panicked in it");
        made.values().map(Vec::len).sum()
    }

    /// Waits until the maps of all agents that run serve what is newer than `than`, and
    /// returns how long after it was made each had it.
    pub fn wait_for_newer(&self, than: Option<Instant>) -> Vec<Duration> {
        let begun = Instant::now();
        let mut had = Vec::new();
        let running = (0..self.agents.len()).filter(|agent| self.agents[*agent].is_some());
        let running: Vec<usize> = running.collect();
        let mut missing: Vec<(&Identity, Key, Vec<usize>)> = self
            .leaves
            .iter()
            .map(|leaf| (leaf, key(leaf), running.clone()))
            .collect();
        while !missing.is_empty() {
            let time = now();
            for (leaf, key, agents) in &mut missing {
                let newer = self.newer(leaf, than);
                // Looking costs the agents time, too.
                agents.retain(|agent| {
                    if newer.is_empty() {
                        return true;
                    }
                    let der = read_key(&self.maps[*agent], key, time).ok();
                    let found = newer.iter().find(|(_, known)| der.as_ref() == Some(known));
                    had.extend(found.map(|(at, _)| at.elapsed()));
                    found.is_none()
                });
            }
            missing.retain(|(_, _, agents)| !agents.is_empty());
            assert!(begun.elapsed() < LIMIT, "{} are missing", missing.len());
            std::thread::sleep(Duration::from_millis(5));
        }
        had
    }

    /// Revokes some, and waits until all agents serve nothing for them. Returns how long that
    /// took for each from when the responder was asked first.
    fn revoke(&self, count: usize) -> Vec<Duration> {
        let mut missing: Vec<(&Identity, Key, Vec<usize>)> = self.leaves[..count]
            .iter()
            .map(|leaf| (leaf, key(leaf), (0..self.agents.len()).collect()))
            .collect();
        let begun = Instant::now();
        let serials = missing.iter().map(|(leaf, ..)| leaf.serial().to_vec());
        let mut revoked = self.revoked.lock().expect("no test panicked in it");
        revoked.extend(serials);
        drop(revoked);
        let mut had = Vec::new();
        while !missing.is_empty() {
            let time = now();
            for (leaf, key, agents) in &mut missing {
                let Some((at, _)) = self.newer(leaf, Some(begun)).into_iter().next() else {
                    continue;
                };
                agents.retain(|agent| {
                    let has = read_key(&self.maps[*agent], key, time) == Err(Miss::Withdrawn);
                    had.extend(has.then(|| at.elapsed()));
                    !has
                });
            }
            missing.retain(|(_, _, agents)| !agents.is_empty());
            assert!(begun.elapsed() < LIMIT, "{} are missing", missing.len());
            std::thread::sleep(Duration::from_millis(5));
        }
        had
    }

    /// What was made for that leaf after that.
    fn newer(&self, leaf: &Identity, than: Option<Instant>) -> Vec<(Instant, Vec<u8>)> {
        let made = self.made.lock().expect("no test panicked in it");
        let all = made.get(leaf.serial()).into_iter().flatten();
        all.filter(|(at, _)| Some(*at) > than).cloned().collect()
    }

    /// Why the responder was asked, and why it was waited for.
    pub fn told(&self) -> String {
        let all = [
            "fetches_leased",
            "fetches_alone",
            "waits",
            "waits_expired",
            "store_lost",
            "store_commands",
        ];
        let told = all.map(|name| {
            format!(
                "{name} {}",
                self.sum(&format!("staplegun_fleet_{name}_total"))
            )
        });
        told.join(", ")
    }

    fn sum(&self, name: &str) -> u64 {
        let of = |(at, agent): (usize, &Option<Agent>)| {
            let agent = agent.as_ref()?;
            Some(match self.networks.get(at) {
                Some(network) => network.inside(|| metric(agent, name)),
                None => metric(agent, name),
            })
        };
        self.agents.iter().enumerate().filter_map(of).sum()
    }
}

/// The one below which so many of a hundred are.
fn percentile(mut all: Vec<Duration>, part: usize) -> Duration {
    all.sort();
    all[(all.len() * part / 100).min(all.len() - 1)]
}

#[test]
#[ignore = "long, and changes the network: make check-fleet"]
fn in_a_fill_and_in_a_cycle_the_responder_is_asked_once_for_each_and_all_have_it_soon() {
    let networks: Vec<Network> = (0..APART).map(|_| Network::new()).collect();
    let redis = Redis::start_for(&networks);
    // Own questions come on top; the simulation counts them.
    let url = format!("url = 'redis://{}:{}'", networks[0].here, redis.port());
    let fleet = with_fleet(SETTINGS, &format!("{url}\nown-question = 1000000"));
    let crowd = Crowd::with(&vec![fleet; AGENTS], CERTIFICATES, 100, networks, |_| false);
    let begun = Instant::now();
    crowd.name_them();
    let had = crowd.wait_for_newer(None);
    let filled = Instant::now();
    let requests = crowd.requests();
    println!(
        "fill: {requests} requests for {CERTIFICATES} certificates by {AGENTS} agents in {:?}; from \
         made to in a map: p50 {:?}, p99 {:?}; {}",
        begun.elapsed(),
        percentile(had.clone(), 50),
        percentile(had, 99),
        crowd.told(),
    );
    assert!(requests * 100 <= CERTIFICATES * 102, "{requests}");
    // At 40 % of 100 seconds the first are due.
    let commands = crowd.sum("staplegun_fleet_store_commands_total");
    let had = crowd.wait_for_newer(Some(filled));
    let (p50, p99) = (percentile(had.clone(), 50), percentile(had, 99));
    let in_cycle = crowd.requests() - requests;
    let commands = crowd.sum("staplegun_fleet_store_commands_total") - commands;
    println!(
        "cycle: {in_cycle} requests; from made to in a map: p50 {p50:?}, p99 {p99:?}; {commands} \
         commands; since the start {}",
        crowd.told()
    );
    assert!(in_cycle * 100 <= CERTIFICATES * 102, "{in_cycle}");
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
    // Whoever is due next meets them.
    let had = crowd.revoke(CERTIFICATES / 10);
    let (p50, last) = (percentile(had.clone(), 50), percentile(had, 100));
    println!("revoked: withdrawn by {AGENTS} agents: p50 {p50:?}, the last {last:?}");
    assert!(last < Duration::from_secs(2), "{last:?}");
    assert_eq!(crowd.sum("staplegun_fleet_store_lost_total"), 0);
}

#[test]
#[ignore = "long: make check-fleet"]
fn agents_that_are_killed_with_their_leases_leave_nobody_without_a_response() {
    let redis = Redis::start(&[]);
    let mut crowd = Crowd::new(&redis.url(), 100, 8, 1_000);
    crowd.name_them();
    // One after the other, wherever it is just then.
    for victim in 0..4 {
        let before = crowd.requests();
        staplegun_testkit::wait::until("some are asked for", || {
            let requests = crowd.requests();
            (requests > before + 3 || requests >= 100).then_some(())
        });
        crowd.agents[victim].take().expect("it runs").kill();
    }
    let begun = Instant::now();
    crowd.wait_for_newer(None);
    let requests = crowd.requests();
    println!(
        "{requests} requests for 100; the last had all {:?} after the last kill",
        begun.elapsed()
    );
    // What the four had under way is asked for again by one.
    assert!(requests <= 100 + 4 * 4, "{requests}");
}

#[test]
#[ignore = "long: make check-fleet"]
fn a_store_that_is_killed_in_the_middle_of_a_fill_leaves_nobody_without_a_response() {
    let mut redis = Redis::start(&[]);
    let crowd = Crowd::new(&redis.url(), 100, 8, 1_000);
    crowd.name_them();
    staplegun_testkit::wait::until("some are asked for", || {
        (crowd.requests() > 20).then_some(())
    });
    redis.kill();
    let begun = Instant::now();
    staplegun_testkit::wait::until("more are asked for", || {
        (crowd.requests() > 40).then_some(())
    });
    println!(
        "without the store they go on after {:?} at most",
        begun.elapsed()
    );
    redis.revive();
    crowd.wait_for_newer(None);
    // Beside them may lie that the responder had nothing newer for who asked in the same second.
    let responses = ["KEYS", "sg:1:*:r"];
    redis.wait_until("all are in the store again", &responses, |keys| {
        keys.lines().count() == 100
    });
}
