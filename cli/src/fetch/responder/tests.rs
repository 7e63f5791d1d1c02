//! Whom a certificate's question goes to, and what is told of how that went.

use staplegun_ocsp::{Validity, Verdict};
use staplegun_testkit::responder::{Behaviour, FaultyResponder, Refused};
use staplegun_testkit::{Identity, Response as Minted, Spec};

use super::*;
use crate::agent::now;

fn subject(chain: &[&Identity]) -> Subject {
    let ders = chain.iter().map(|one| one.der()).collect();
    Subject::new(ders, &Issuers::default()).unwrap()
}

fn question(chain: &[&Identity], turn: usize, is_ours: bool) -> Question {
    let patience = Patience {
        total: Duration::from_secs(60),
        ..Patience::DEFAULT
    };
    Question {
        subject: Arc::new(subject(chain)),
        manner: Arc::new(Manner {
            patience,
            policy: Policy::STAPLING,
            proxies: Arc::default(),
            overrides: Vec::new(),
            trust: Arc::default(),
        }),
        turn,
        is_ours,
        heed: Duration::ZERO,
    }
}

fn fetched(question: &Question, now: UnixTime) -> Fetched {
    let manner = &question.manner;
    let mut client = Client::new(manner.patience, Arc::clone(&manner.proxies));
    let (issuers, remembered) = (Issuers::default(), Responders::default());
    fetch(question, &issuers, &remembered, &mut client, now)
}

fn failure(question: &Question, now: UnixTime) -> Failure {
    fetched(question, now).outcome.unwrap_err()
}

#[test]
fn of_more_responders_than_one_attempt_asks_another_comes_first_each_time() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let silent: [Refused; 4] = std::array::from_fn(|_| Refused::new());
    let urls = silent.each_ref().map(Refused::url);
    let spec = urls
        .iter()
        .fold(Spec::server(), |spec, url| spec.ocsp_url(url));
    let leaf = ca.issue(&spec);
    for (turn, order) in [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 0]), (6, [2, 3, 0, 1])] {
        let asked = fetched(&question(&[&leaf, &ca], turn, false), now()).asked;
        let asked = asked.iter().map(|one| one.responder.as_str());
        let expected = order.map(|at: usize| urls[at].as_str());
        assert_eq!(asked.collect::<Vec<_>>(), expected, "attempt {turn}");
    }
}

#[test]
fn where_a_missing_issuer_was_looked_for_is_told_of_our_own_certificates() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let (responder, nobody) = (Refused::new(), Refused::new());
    let spec = Spec::server().ocsp_url(&responder.url());
    let told = |spec: &Spec, is_ours| {
        let failure = failure(&question(&[&ca.issue(spec)], 0, is_ours), now());
        assert_eq!(failure.cause(), "no_issuer");
        failure.to_string()
    };
    let nowhere = "the certificate does not say where it lies";
    let not_there = "not where the certificate says";
    let silent = told(&spec, true);
    assert!(silent.contains(nowhere), "{silent}");
    let spec = spec.ca_issuers_url(&nobody.url());
    let wrong = told(&spec, true);
    assert!(wrong.contains(not_there), "{wrong}");
    // Where others' certificates say is not looked.
    let others = told(&spec, false);
    assert!(
        !others.contains(nowhere) && !others.contains(not_there),
        "{others}"
    );
}

#[test]
fn an_issuers_certificate_is_to_blame_when_it_has_ended_and_not_in_its_last_second() {
    let ca = Identity::self_signed(&Spec::ca("CA").validity(-86_400, 3_600));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let response = Minted::good(&leaf, &ca).next_update(1_800).der();
    responder.set(Behaviour::Answer(response));
    let question = question(&[&leaf, &ca], 0, false);
    let end = question.subject.issuer().unwrap().by.facts.not_after();
    assert_eq!(failure(&question, end).cause(), "expired");
    assert_eq!(failure(&question, end + 1).cause(), "issuer_expired");
}

#[test]
fn a_responder_repeats_our_nonce_or_none() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server());
    let staple = |response: Minted| Staple {
        der: response.der(),
        verdict: Verdict::Good,
        validity: Validity { from: 0, until: 1 },
    };
    let good = || Minted::good(&leaf, &ca);
    let sent = [7; 32];
    let ours = staple(good().nonce(&sent));
    let others = staple(good().nonce(&[8; 32]));
    let none = staple(good());
    for accepted in [&ours, &none] {
        assert!(same_nonce(accepted.clone(), Some(&sent)).is_ok());
    }
    let refused = same_nonce(others.clone(), Some(&sent));
    assert!(matches!(refused, Err(Kind::OtherNonce)), "{refused:?}");
    // None was sent: caches may have been asked with one.
    assert!(same_nonce(others, None).is_ok());
}

#[test]
fn there_may_be_a_responder_only_if_an_issuer_is_given_one() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let named = ca.issue(&Spec::server().ocsp_url("http://responder.invalid/"));
    let (named, unnamed) = (subject(&[&named]), subject(&[&ca.issue(&Spec::server())]));
    let issuer = "ab".repeat(32);
    let may_have = |subject, settings: &str| {
        let one: Override = toml::from_str(settings).unwrap();
        one.check().unwrap();
        may_have_responder(subject, &[one])
    };
    let of_issuer = format!("issuer = '{issuer}'\nurl = 'http://a/'");
    assert!(may_have(&unnamed, &of_issuer));
    let only_how = format!("issuer = '{issuer}'\nnonce = true");
    let by_prefix = "prefix = 'http://a/'\nurl = 'http://b/'";
    for settings in [&only_how, by_prefix] {
        assert!(!may_have(&unnamed, settings), "{settings}");
        assert!(may_have(&named, settings), "{settings}");
    }
}
