//! What a fleet shares, in numbers: there only where there is a fleet.

use std::sync::atomic::Ordering;

use super::exposition::{Exposition, Labels};
use crate::fleet::{CAUSES, Counters};

/// What is counted of it.
pub fn fleet(text: &mut Exposition, counters: &Counters) {
    text.gauge("fleet_connected", "1 if the fleet's store is used.")
        .value(u8::from(counters.is_connected.load(Ordering::Relaxed)));
    for (name, help, count) in [
        (
            "fleet_taken_total",
            "Responses taken from the fleet.",
            &counters.taken,
        ),
        (
            "fleet_fetches_leased_total",
            "Fetches for the fleet.",
            &counters.leased,
        ),
        (
            "fleet_fetches_alone_total",
            "Fetches without the fleet, or as its own question.",
            &counters.alone,
        ),
        (
            "fleet_waits_total",
            "Times that another fetched, or had just fetched in vain.",
            &counters.waits,
        ),
        (
            "fleet_waits_expired_total",
            "Waits after which nothing had come: leases of agents that are gone, and back-offs.",
            &counters.expired,
        ),
        (
            "fleet_store_lost_total",
            "Times that the fleet's store was lost.",
            &counters.lost,
        ),
        (
            "fleet_store_commands_total",
            "Commands sent to the fleet's store.",
            &counters.commands,
        ),
    ] {
        text.counter(name, help)
            .value(count.load(Ordering::Relaxed));
    }
    let mut refused = text.counter(
        "fleet_refused_total",
        "What the fleet's store held and did not count, by cause.",
    );
    for (cause, count) in CAUSES.iter().zip(&counters.refused) {
        refused.sample(&Labels::of("cause", cause), count.load(Ordering::Relaxed));
    }
}
