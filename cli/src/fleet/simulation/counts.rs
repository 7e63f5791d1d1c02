//! What a simulated fleet costs, and how it is told.

use std::collections::HashMap;
use std::time::Duration;

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: u64,
    /// Responses that were newer than what lay in the store.
    pub stored: u64,
    pub commands: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub keys: u64,
    pub notices: u64,
    /// Commands by second, from the first.
    pub by_second: HashMap<u64, u64>,
    /// How long it took from a publication to each agent's having it, at most.
    pub slowest: Duration,
    /// Looks whose belief in others was over.
    pub unheeded: u64,
    /// How often an agent lost the store.
    pub lost: u64,
    pub events: u64,
}

pub fn merge(sum: &mut Counts, part: Counts) {
    sum.requests += part.requests;
    sum.stored += part.stored;
    sum.commands += part.commands;
    sum.bytes_in += part.bytes_in;
    sum.bytes_out += part.bytes_out;
    sum.keys += part.keys;
    sum.notices += part.notices;
    sum.events += part.events;
    sum.lost += part.lost;
    sum.unheeded += part.unheeded;
    sum.slowest = sum.slowest.max(part.slowest);
    for (second, count) in part.by_second {
        *sum.by_second.entry(second).or_insert(0) += count;
    }
}

pub fn tell(what: &str, counts: &Counts, agents: usize, certificates: u32) -> f64 {
    let ratio = counts.requests as f64 / counts.stored as f64;
    let per = f64::from(certificates) * agents as f64;
    let busiest = counts.by_second.values().max().copied().unwrap_or(0);
    println!(
        "{what}: {certificates} certificates, {agents} agents: {ratio:.4} requests for \
         each response, of which there were {:.3} per certificate; {} commands, at most {busiest} in a second; {:.2} keys per certificate and \
         agent; {:.1} MB to the store, {:.1} MB from it; slowest {:?}",
        counts.stored as f64 / f64::from(certificates),
        counts.commands,
        counts.keys as f64 / per,
        counts.bytes_in as f64 / 1e6,
        counts.bytes_out as f64 / 1e6,
        counts.slowest,
    );
    ratio
}
