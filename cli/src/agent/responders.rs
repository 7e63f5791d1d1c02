//! How each responder does, by its host: how long it takes, what failed there, and until when
//! it is not asked. Noted by the main thread as fetches end, for the metrics and whoever else
//! shows it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;
use staplegun_ocsp::UnixTime;

use super::addresses::host_and_port;
use super::counters::Causes;
use super::roster::Watched;
use crate::fetch::{Asked, Failed, Override, responders_of};

/// The most hosts that are told apart: more than there are responders, whoever names some.
/// Those beyond are one, [`OTHERS`].
const MOST: usize = 1_000;
/// The name of all that are not told apart.
const OTHERS: &str = "others";
/// The longest name of a host (RFC 1035), with a port.
const LONGEST: usize = 255 + ":65535".len();
/// Of how many requests the median is told.
const RECENT: usize = 64;
/// For how long a responder is left alone at most that wants to be.
const LONGEST_ALONE: Duration = Duration::from_secs(86_400);

/// The bounds between which requests are counted by how long they took, in seconds.
pub const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A responder as it does now.
#[derive(Clone, Debug, Serialize)]
pub struct Responder {
    /// Its host, with the port unless that is the usual one.
    pub host: String,
    /// Its address, as it was asked last or would be asked.
    pub url: String,
    /// How many certificates it is asked for.
    pub certificates: usize,
    /// Whether it does its work.
    pub state: State,
    /// How long the last request took, in seconds.
    last_seconds: Option<f64>,
    /// The median of the last ones, in seconds.
    median_seconds: Option<f64>,
    /// Requests that brought nothing that counts, by cause.
    pub failures: Causes,
    /// The cause of the last one that failed, unless one has succeeded since.
    pub last_cause: Option<&'static str>,
    /// When it gave a response that counts.
    pub last_success: Option<UnixTime>,
    /// When it is asked again, if it failed or wants to be left alone.
    pub retry_at: Option<UnixTime>,
    /// All requests, by how long they took.
    #[serde(skip)]
    pub times: Times,
}

/// Whether a responder does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was not asked since the agent's start.
    Unasked,
    /// It answered the last request, if only that it has nothing for that certificate.
    Up,
    /// The last request failed.
    Failing,
    /// It wants to be left alone (Retry-After).
    BackingOff,
}

/// Requests, counted by how long they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Those that took as long as each of [`BOUNDS`] and longer than the one before; the last
    /// are those beyond all.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Times {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += took;
    }
}

/// What is known of all responders that were asked.
#[derive(Debug, Default)]
pub struct Ledger {
    hosts: BTreeMap<String, Account>,
}

#[derive(Debug, Default)]
struct Account {
    url: String,
    times: Times,
    recent: VecDeque<Duration>,
    failures: Causes,
    /// It failed last, and by what.
    last_cause: Option<&'static str>,
    /// What failed was the responder.
    is_failing: bool,
    last_success: Option<UnixTime>,
    alone_until: Option<Instant>,
}

impl Ledger {
    /// Notes how requests went, which are over at the time `now`.
    pub fn note(&mut self, asked: &[Asked], now: UnixTime) {
        for one in asked {
            let account = self.account(&one.responder);
            account.url.clone_from(&one.responder);
            account.times.add(one.took);
            if account.recent.len() == RECENT {
                account.recent.pop_front();
            }
            account.recent.push_back(one.took);
            match &one.failed {
                None => {
                    account.last_success = Some(now);
                    (account.last_cause, account.is_failing) = (None, false);
                    account.alone_until = None;
                }
                Some(failed) => account.fail(failed),
            }
        }
    }

    fn account(&mut self, url: &str) -> &mut Account {
        let mut host = host_of(url);
        if !self.hosts.contains_key(&host) && self.hosts.len() >= MOST {
            host = OTHERS.to_owned();
        }
        self.hosts.entry(host).or_default()
    }

    /// The responders that certificates name, in the order of their hosts. Of one that is
    /// named no more nothing is told: nobody will ask it whether it is well again.
    pub fn view(&self, demands: Demands, at: Instant, now: UnixTime) -> Vec<Responder> {
        let Demands { mut of, hosts } = demands;
        for (url, host) in hosts {
            if let Some(one) = of.get_mut(&host) {
                one.url = url;
            }
        }
        let unasked = Account::default();
        of.into_iter()
            .map(|(host, one)| {
                let account = self.hosts.get(&host).unwrap_or(&unasked);
                account.tell(host, one, at, now)
            })
            .collect()
    }
}

/// What certificates want of the responders that they name.
#[derive(Debug, Default)]
pub struct Demands {
    /// Of each, by its host.
    of: BTreeMap<String, Demand>,
    /// Many certificates have the same responder: the host of each address.
    hosts: HashMap<String, String>,
}

/// What they want of one.
#[derive(Debug, Default)]
struct Demand {
    url: String,
    certificates: usize,
    /// When the next of those is asked for that failed last.
    retry: Option<Instant>,
}

impl Demands {
    /// Adds those of one certificate.
    pub fn add(&mut self, watched: &Watched, overrides: &[Override], ledger: &Ledger) {
        let retry = watched.waits_until().filter(|_| watched.notes.failures > 0);
        for responder in responders_of(&watched.subject, overrides) {
            let hosts = self.hosts.entry(responder.url);
            let host = hosts.or_insert_with_key(|url| host_of(url));
            let is_told_apart = ledger.hosts.contains_key(host) || self.of.len() < MOST;
            let host = if is_told_apart { host.as_str() } else { OTHERS };
            if !self.of.contains_key(host) {
                self.of.insert(host.to_owned(), Demand::default());
            }
            if let Some(one) = self.of.get_mut(host) {
                one.certificates += 1;
                one.retry = one.retry.into_iter().chain(retry).min();
            }
        }
    }
}

impl Account {
    fn fail(&mut self, failed: &Failed) {
        self.failures.count(failed.cause);
        self.last_cause = Some(failed.cause);
        self.is_failing = !failed.is_the_certificates;
        let wait = failed.retry_after.filter(|wait| !wait.is_zero());
        let until = wait.map(|wait| Instant::now() + wait.min(LONGEST_ALONE));
        self.alone_until = until.or(self.alone_until);
    }

    fn tell(&self, host: String, demand: Demand, at: Instant, now: UnixTime) -> Responder {
        let alone_until = self.alone_until.filter(|until| *until > at);
        let state = match () {
            () if alone_until.is_some() => State::BackingOff,
            () if self.is_failing => State::Failing,
            () if self.recent.is_empty() => State::Unasked,
            () => State::Up,
        };
        let retry = match state {
            // Not all that it wishes for is heeded.
            State::BackingOff | State::Failing => demand.retry.or(alone_until),
            State::Up | State::Unasked => None,
        };
        let mut recent: Vec<Duration> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        let is_asked = !self.url.is_empty();
        Responder {
            host,
            url: if is_asked {
                self.url.clone()
            } else {
                demand.url
            },
            certificates: demand.certificates,
            state,
            last_seconds: self.recent.back().map(Duration::as_secs_f64),
            median_seconds: recent.get(recent.len() / 2).map(Duration::as_secs_f64),
            failures: self.failures.clone(),
            last_cause: self.last_cause,
            last_success: self.last_success,
            retry_at: retry.map(|retry| {
                let left = retry.saturating_duration_since(at).as_secs();
                now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
            }),
            times: self.times,
        }
    }
}

/// The host of an address, with the port unless that is the usual one of its scheme. The
/// certificate's owner wrote it: it is cut, and what stands in no name of a host is replaced.
fn host_of(url: &str) -> String {
    let whole = host_and_port(url);
    let usual = match url
        .get(..6)
        .is_some_and(|it| it.eq_ignore_ascii_case("https:"))
    {
        true => ":443",
        false => ":80",
    };
    let host = whole.strip_suffix(usual).unwrap_or(&whole);
    let fit = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    host.chars()
        .take(LONGEST)
        .map(|c| if fit(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use staplegun_store::files::Notes;
    use staplegun_testkit::{Identity, Spec};

    use super::*;
    use crate::agent::roster::{Roster, Source};
    use crate::fetch::{Issuers, Subject};

    const NOW: UnixTime = 1_000_000;

    fn asked(url: &str, millis: u64, failed: Option<Failed>) -> Asked {
        Asked {
            responder: url.to_owned(),
            took: Duration::from_millis(millis),
            failed,
        }
    }

    fn failed(cause: &'static str, retry_after: Option<u64>) -> Option<Failed> {
        Some(Failed {
            cause,
            is_the_certificates: cause == "unknown",
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// Certificates that name these responders, one each.
    fn naming<'a>(urls: impl IntoIterator<Item = &'a str>) -> Roster {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let mut roster = Roster::default();
        for url in urls {
            let der = ca.issue(&Spec::server().ocsp_url(url)).der();
            let subject = Subject::new(vec![der], &Issuers::default()).expect("a certificate");
            assert!(roster.admit(subject, Source::List, Notes::default(), Instant::now()));
        }
        roster
    }

    fn view(ledger: &Ledger, roster: &Roster) -> Vec<Responder> {
        let mut demands = Demands::default();
        for (_, watched) in roster.iter() {
            demands.add(watched, &[], ledger);
        }
        ledger.view(demands, Instant::now(), NOW)
    }

    #[test]
    fn hosts_are_told_without_what_only_makes_them_differ() {
        for (url, told) in [
            ("http://OCSP.example/a", "ocsp.example"),
            ("https://user:secret@ocsp.example:443/", "ocsp.example"),
            ("http://ocsp.example:443/", "ocsp.example:443"),
            ("http://[::1]:80/", "[::1]"),
            ("http://a\"b\n{c}/", "a?b??c?"),
        ] {
            assert_eq!(host_of(url), told, "{url}");
        }
        assert_eq!(host_of(&"x".repeat(70_000)).len(), LONGEST);
    }

    #[test]
    fn the_last_request_says_how_a_responder_does_and_all_are_counted() {
        let url = "http://a/one";
        let (mut ledger, roster) = (Ledger::default(), naming([url, "http://a/two"]));
        let told = |ledger: &Ledger| view(ledger, &roster).remove(0);
        assert_eq!(told(&ledger).state, State::Unasked);
        ledger.note(&[asked(url, 30, None), asked(url, 20_000, None)], NOW);
        let up = told(&ledger);
        assert_eq!((up.host.as_str(), up.certificates), ("a", 2));
        assert_eq!((up.state, up.last_success), (State::Up, Some(NOW)));
        assert_eq!(up.last_seconds, Some(20.0));
        assert_eq!((up.times.counts[3], up.times.counts[BOUNDS.len()]), (1, 1));
        ledger.note(&[asked(url, 5, failed("timeout", None))], NOW + 1);
        let failing = told(&ledger);
        assert_eq!(failing.state, State::Failing);
        assert_eq!(failing.last_cause, Some("timeout"));
        assert_eq!(failing.median_seconds, Some(0.03));
        // It answers, though not for that certificate.
        ledger.note(&[asked(url, 5, failed("unknown", None))], NOW + 2);
        let up = told(&ledger);
        assert_eq!((up.state, up.last_success), (State::Up, Some(NOW)));
        let failures: Vec<_> = up.failures.iter().collect();
        assert_eq!(failures, [("timeout", 1), ("unknown", 1)]);
        assert_eq!(up.times.counts.iter().sum::<u64>(), 4);
    }

    #[test]
    fn who_wants_to_be_left_alone_is_asked_again_when_he_said_or_answers() {
        let url = "http://a/";
        let (mut ledger, roster) = (Ledger::default(), naming([url]));
        ledger.note(&[asked(url, 5, failed("http_status", Some(600)))], NOW);
        let told = view(&ledger, &roster).remove(0);
        assert_eq!(told.state, State::BackingOff);
        let left = told.retry_at.expect("a time") - NOW;
        assert!((590..=600).contains(&left), "{left}");
        ledger.note(&[asked(url, 5, failed("timeout", Some(u64::MAX)))], NOW);
        let left = view(&ledger, &roster)[0].retry_at.expect("a time") - NOW;
        assert!(left <= 86_400, "{left}");
        ledger.note(&[asked(url, 5, None)], NOW);
        let told = view(&ledger, &roster).remove(0);
        assert_eq!((told.state, told.retry_at), (State::Up, None));
    }

    #[test]
    fn only_so_many_are_told_apart_and_none_that_no_certificate_names() {
        let mut ledger = Ledger::default();
        let urls: Vec<String> = (0..MOST + 2).map(|it| format!("http://h{it}/")).collect();
        for url in &urls {
            ledger.note(&[asked(url, 5, None)], NOW);
        }
        assert_eq!(ledger.hosts.len(), MOST + 1);
        assert_eq!(ledger.hosts[OTHERS].times.counts[0], 2);
        let roster = naming([urls[0].as_str()]);
        let told = view(&ledger, &roster);
        assert_eq!((told.len(), told[0].host.as_str()), (1, "h0"));
    }
}
