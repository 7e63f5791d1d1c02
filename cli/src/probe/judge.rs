//! What the staple is worth to a client that checks it.

use std::time::Duration;

use serde::Serialize;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{Certificate, Policy, Response, Single, Status, Unstapled};

use super::handshake::Seen;
use super::link::{self, Link, explain};
use crate::agent::now;
use crate::duration;
use crate::fetch::{Issuers, Subject, judge as judge_response};

/// The exit status for: There was no connection or no handshake.
pub const FAILED: u8 = 3;

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Stapled, verified, good, and valid now.
    Good,
    /// Good, but not for long.
    EndsSoon,
    /// No response is stapled.
    NotStapled,
    /// A response that clients refuse.
    Bad,
    /// The server's certificate is not trusted, so that its staple means nothing.
    Untrusted,
}

/// What is to be reported.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// In one word.
    pub answer: Answer,
    /// Why, if it is not good: a stable word and a sentence.
    pub cause: Option<&'static str>,
    /// The sentence.
    pub reason: Option<String>,
    /// The certificate's subject, for people.
    pub subject: Option<String>,
    /// Its serial number in hexadecimal.
    pub serial: Option<String>,
    /// Whether the certificate demands a staple (RFC 7633).
    pub must_staple: bool,
    /// What the response says of the certificate, verified or not.
    pub status: Option<&'static str>,
    /// Its thisUpdate.
    pub this_update: Option<String>,
    /// Its nextUpdate.
    pub next_update: Option<String>,
    /// Seconds until nothing of it is valid any more; negative afterwards.
    pub seconds_left: Option<i64>,
    /// What is stapled for the intermediates that were sent in TLS 1.3.
    pub chain: Vec<Link>,
}

impl Outcome {
    /// The exit status of `staplegun probe`.
    pub fn status(&self) -> u8 {
        match self.answer {
            Answer::Good => 0,
            Answer::NotStapled => 1,
            Answer::Bad => 2,
            Answer::Untrusted => FAILED,
            Answer::EndsSoon => 4,
        }
    }

    fn because(mut self, answer: Answer, cause: &'static str, reason: impl Into<String>) -> Self {
        self.answer = answer;
        self.cause = Some(cause);
        self.reason = Some(reason.into());
        self
    }
}

/// Judges what was seen, by the policy of whoever staples.
pub fn judge(
    seen: &Seen,
    insecure: bool,
    warn_before: Option<Duration>,
    policy: &Policy,
) -> Outcome {
    let leaf = seen.certificates.first();
    let leaf = leaf.and_then(|der| Certificate::from_der(der).ok());
    let subject = Subject::new(seen.certificates.clone(), &Issuers::default()).ok();
    let mut outcome = Outcome {
        answer: Answer::Good,
        cause: None,
        reason: None,
        subject: leaf.as_ref().map(Certificate::display_subject),
        serial: leaf.as_ref().map(Certificate::serial_hex),
        must_staple: leaf.as_ref().is_some_and(Certificate::must_staple),
        status: None,
        this_update: None,
        next_update: None,
        seconds_left: None,
        chain: link::judge_all(&seen.chain, &seen.certificates, policy),
    };
    let issuer = subject.as_ref().and_then(Subject::issuer);
    if let (Some(der), Some(issuer)) = (&seen.staple, issuer)
        && let Ok(response) = Response::parse(der)
        && let Ok(single) = response.single_for(&issuer.identity)
    {
        outcome.describe(&single);
    }
    if let Some(why) = seen.untrusted.as_ref().filter(|_| !insecure) {
        let reason = format!(
            "the certificate is not trusted: {why}; name its CA with --cafile, or use --insecure"
        );
        return outcome.because(Answer::Untrusted, "untrusted", reason);
    }
    let Some(der) = &seen.staple else {
        return outcome.because(
            Answer::NotStapled,
            "not_stapled",
            not_stapled(leaf.as_ref()),
        );
    };
    let Some(issuer) = issuer else {
        let reason = "the certificate's issuer is neither sent nor trusted, so that nobody can \
                      check the response; name it with --cafile";
        return outcome.because(Answer::Bad, "no_issuer", reason);
    };
    // What a server may staple: some clients allow no skew.
    match judge_response(der, issuer, now(), policy) {
        Ok(staple) if staple.is_good() => {
            let left = staple.validity.until.saturating_sub(now());
            outcome.seconds_left = Some(left);
            // Clients that look at one look at all.
            let mut bad = outcome
                .chain
                .iter()
                .filter_map(|link| Some((link, link.cause?)));
            if let Some((link, cause)) = bad.next() {
                let reason = format!("of its chain, {}", link.in_words());
                return outcome.because(Answer::Bad, cause, reason);
            }
            if warn_before.is_some_and(|limit| ends_within(left, limit)) {
                let reason = format!(
                    "the response ends in {} and was not renewed; \
                     look at the server's agent: staplegun status",
                    duration::in_words(left)
                );
                return outcome.because(Answer::EndsSoon, "ends_soon", reason);
            }
            outcome
        }
        Ok(_) => outcome.because(Answer::Bad, "revoked", "the certificate is revoked"),
        Err(kind) => {
            let failure = explain(kind);
            outcome.because(Answer::Bad, failure.0, failure.1)
        }
    }
}

/// The sentence about a server that staples nothing for its certificate.
fn not_stapled(leaf: Option<&Certificate>) -> String {
    match leaf.and_then(without_responder) {
        Some(why) => format!("no response is stapled: the certificate {why}"),
        None if leaf.is_some_and(Certificate::must_staple) => {
            "no response is stapled, though the certificate demands one: clients that honour \
             must-staple fail"
                .to_owned()
        }
        None => "no response is stapled".to_owned(),
    }
}

/// Whether less than `limit` is left of so many seconds.
fn ends_within(left: i64, limit: Duration) -> bool {
    left < limit.as_secs().cast_signed()
}

/// The sentence about a certificate that names no responder.
fn without_responder(leaf: &Certificate) -> Option<Unstapled> {
    let has_responder = !leaf.responders().is_empty();
    // Of its purposes and its life is told by whether it is trusted.
    Unstapled::of(leaf, has_responder, leaf.not_before()).filter(|why| {
        let must_staple = Unstapled::MustStapleWithoutResponder;
        [Unstapled::NoResponder, Unstapled::SelfSigned, must_staple].contains(why)
    })
}

impl Outcome {
    /// Takes over what the response says, whether or not it may be believed.
    fn describe(&mut self, single: &Single) {
        self.status = Some(match single.status {
            Status::Good => "good",
            Status::Revoked { .. } => "revoked",
            Status::Unknown => "unknown",
        });
        self.this_update = Some(Rfc3339(single.this_update).to_string());
        self.next_update = single.next_update.map(|time| Rfc3339(time).to_string());
        let until = single.next_update;
        self.seconds_left = until.map(|until| until.saturating_sub(now()));
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Identity, Spec};

    use super::*;

    #[test]
    fn what_a_missing_staple_means_is_told_by_what_the_certificate_demands_and_names() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let told = |spec: &Spec| {
            let leaf = Certificate::from_der(&ca.issue(spec).der()).unwrap();
            not_stapled(Some(&leaf))
        };
        let named = Spec::server().ocsp_url("http://responder.invalid/");
        assert_eq!(told(&named), "no response is stapled");
        let demanding = told(&named.must_staple());
        assert!(
            demanding.contains("clients that honour must-staple fail"),
            "{demanding}"
        );
        let unnamed = told(&Spec::server());
        assert!(
            unnamed.starts_with("no response is stapled: the certificate "),
            "{unnamed}"
        );
        assert_eq!(not_stapled(None), "no response is stapled");
    }

    #[test]
    fn a_response_ends_soon_that_has_less_time_left_than_is_wanted() {
        let day = Duration::from_secs(86_400);
        let ends = [-1, 0, 86_399, 86_400, 86_401].map(|left| ends_within(left, day));
        assert_eq!(ends, [true, true, true, false, false]);
    }
}
