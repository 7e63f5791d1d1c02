//! The agent in numbers, for Prometheus: what is counted, and how it, the live map and each
//! responder stand. Times are Unix times in seconds; an age is `time()` less one of them.

use super::clock;
use super::daemon::Daemon;
use super::exposition::{Exposition, Labels};
use super::figures_of_certificates::certificates;
use super::figures_of_fleet::fleet;
use super::responders::{BOUNDS, Responder, State};
use crate::{libc_version, libcrypto};

/// All metrics.
pub fn render(daemon: &Daemon) -> String {
    let mut text = Exposition::default();
    agent(&mut text, daemon);
    counters(&mut text, daemon);
    map(&mut text, daemon);
    certificates(&mut text, &daemon.roster, clock::now());
    responders(&mut text, &daemon.responders());
    if let Some(shared) = &daemon.fleet {
        fleet(&mut text, &shared.counters);
    }
    text.0
}

fn agent(text: &mut Exposition, daemon: &Daemon) {
    let labels = Labels::of("version", env!("CARGO_PKG_VERSION"))
        .and("openssl", openssl::version::version())
        .and("openssl_from", libcrypto::from())
        .and("libc", &libc_version::in_words())
        .and("arch", std::env::consts::ARCH);
    text.gauge("build_info", "Always 1: what the agent is made of.")
        .sample(&labels, 1);
    text.gauge(
        "agent_last_sweep_timestamp_seconds",
        "When the agent last looked at everything, as it does each minute.",
    )
    .value(daemon.swept);
}

fn counters(text: &mut Exposition, daemon: &Daemon) {
    let counters = &daemon.counters;
    text.counter("fetches_total", "Responses fetched that count.")
        .value(counters.fetched);
    let mut failures = text.counter("fetch_failures_total", "Fetches that failed, by cause.");
    failures.by_cause(&Labels::default(), &counters.failed);
    let mut refused = text.counter(
        "spool_refused_total",
        "What was left in the spool and refused, by cause.",
    );
    refused.by_cause(&Labels::default(), &counters.spool_refused.get());
    text.counter("revocations_total", "Responses that told a revocation.")
        .value(counters.revocations);
}

fn map(text: &mut Exposition, daemon: &Daemon) {
    let (fill, size) = daemon.keeper.fill();
    text.gauge("map_size_bytes", "The size of the live map.")
        .value(size);
    text.gauge("map_used_bytes", "How much of it is in use.")
        .value(fill.used);
    text.gauge(
        "map_entries",
        "Certificates that have a record in the live map.",
    )
    .value(fill.entries);
    text.gauge(
        "map_entries_limit",
        "For how many the index of the live map has room.",
    )
    .value(fill.buckets);
}

fn responders(text: &mut Exposition, all: &[Responder]) {
    let all: Vec<(Labels, &Responder)> = all
        .iter()
        .map(|one| (Labels::of("responder", &one.host), one))
        .collect();
    let mut gauge = |name, help, value: &dyn Fn(&Responder) -> Option<i64>| {
        let mut family = text.gauge(name, help);
        for (labels, one) in &all {
            if let Some(value) = value(one) {
                family.sample(labels, value);
            }
        }
    };
    gauge(
        "responder_certificates",
        "For how many certificates it is asked.",
        &|it| i64::try_from(it.certificates).ok(),
    );
    gauge(
        "responder_up",
        "1 if it answered the last request, 0 if that failed or it wants to be left alone.",
        &|it| match it.state {
            State::Unasked => None,
            State::Up => Some(1),
            State::Failing | State::BackingOff => Some(0),
        },
    );
    gauge(
        "responder_backing_off",
        "1 while it wants to be left alone (Retry-After).",
        &|it| Some(i64::from(it.state == State::BackingOff)),
    );
    gauge(
        "responder_retry_timestamp_seconds",
        "When it is asked again, if it is not up.",
        &|it| it.retry_at,
    );
    gauge(
        "responder_last_success_timestamp_seconds",
        "When it last gave a response that counts.",
        &|it| it.last_success,
    );
    let mut failures = text.counter(
        "responder_failures_total",
        "Requests that brought no response that counts, by cause.",
    );
    for (labels, one) in &all {
        failures.by_cause(labels, &one.failures);
    }
    let mut times = text.histogram(
        "responder_request_duration_seconds",
        "How long requests took until the answer was judged, or nothing was waited for any more.",
    );
    for (labels, one) in all {
        let Responder { times: it, .. } = one;
        times.buckets(&labels, &BOUNDS, &it.counts, it.sum.as_secs_f64());
    }
}
