//! The agent in numbers: all metrics for Prometheus (what is counted, and how it, the live map and
//! each responder stand), and of responders and fleet in JSON. Times are Unix times in seconds; an
//! age is `time()` less one of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::{Exposition, Labels};
use super::figures_of_certificates::certificates;
use super::figures_of_fleet::fleet;
use super::responders::{BOUNDS, Responder, State};
use super::survey::Survey;
use crate::fleet::CAUSES;
use crate::{libc_version, libcrypto};

/// All metrics, in Prometheus' text format.
pub fn metrics(survey: &Survey) -> String {
    let mut text = Exposition::default();
    agent(&mut text, survey);
    counters(&mut text, survey);
    map(&mut text, survey);
    certificates(&mut text, &survey.tally);
    responders(&mut text, &survey.responders);
    if let Some(counters) = &survey.fleet {
        fleet(&mut text, counters);
    }
    text.0
}

/// How each responder does, and the fleet if there is one, in JSON.
pub fn responders_json(survey: &Survey) -> String {
    let fleet = survey.fleet.as_ref().map(|it| {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let refused = CAUSES.iter().zip(&it.refused);
        let refused: BTreeMap<_, _> = refused.map(|(cause, it)| (cause, count(it))).collect();
        serde_json::json!({
            "connected": it.is_connected.load(Ordering::Relaxed),
            "taken": count(&it.taken),
            "fetched_for_it": count(&it.leased),
            "fetched_alone": count(&it.alone),
            "waits": count(&it.waits),
            "waits_in_vain": count(&it.expired),
            "lost": count(&it.lost),
            "refused": refused,
        })
    });
    serde_json::json!({ "responders": survey.responders, "fleet": fleet }).to_string()
}

fn agent(text: &mut Exposition, survey: &Survey) {
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
    .value(survey.swept);
}

fn counters(text: &mut Exposition, survey: &Survey) {
    let counters = &survey.counters;
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

fn map(text: &mut Exposition, survey: &Survey) {
    let (fill, size) = survey.map;
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
