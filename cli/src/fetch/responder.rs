//! Asking for one certificate's response: every responder in turn, until one
//! gives a response that counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::request::{self, HttpRequest};
use staplegun_ocsp::{Fault, HashAlgorithm, Policy, UnixTime};

use super::ca_issuers;
use super::client::{Client, Message, Patience};
use super::failure::{Failure, Kind};
use super::issuer::Issuers;
use super::judge::{Staple, judge};
use super::overrides::{Override, responders};
use super::proxy::Proxies;
use super::subject::Subject;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How long it may take.
    pub patience: Patience,
    /// How answers are judged.
    pub policy: Policy,
    /// Through whom.
    pub proxies: Arc<Proxies>,
    /// Responders that the operator names.
    pub overrides: Vec<Override>,
}

/// What came of it.
#[derive(Debug)]
pub struct Fetched {
    /// The certificate with its issuer, if that was found on the way.
    pub completed: Option<Subject>,
    /// The response, or why there is none.
    pub outcome: Result<Received, Failure>,
}

/// A response that counts, good or revoked.
#[derive(Clone, Debug)]
pub struct Received {
    /// The response.
    pub staple: Staple,
    /// Who gave it.
    pub responder: String,
    /// For how long caches will give out the same one.
    pub max_age: Option<Duration>,
}

/// The responders that would be asked for `subject`.
pub fn responders_of(subject: &Subject, overrides: &[Override]) -> Vec<String> {
    let issuer = subject.issuer().map(|issuer| issuer.by.sha256.as_str());
    responders(&subject.leaf, issuer, overrides)
}

/// Fetches the response for `subject` at the time `now`. `turn` counts attempts,
/// so that another address comes first each time. Waits no longer than the
/// client's [`Patience::total`] in all.
pub fn fetch(
    subject: &Subject,
    manner: &Manner,
    issuers: &Issuers,
    client: &mut Client,
    turn: usize,
    now: UnixTime,
) -> Fetched {
    let deadline = Instant::now() + client.patience().total;
    let mut completed = None;
    if subject.issuer().is_none() {
        let mut found = subject.clone();
        ca_issuers::complete(&mut found, issuers, client, deadline, turn, now);
        completed = Some(found).filter(|found| found.issuer().is_some());
    }
    let mut asking = Asking {
        subject: completed.as_ref().unwrap_or(subject),
        manner,
        client,
        turn,
        now,
    };
    let outcome = asking.ask_all(deadline);
    Fetched { completed, outcome }
}

/// One certificate's question.
struct Asking<'a> {
    subject: &'a Subject,
    manner: &'a Manner,
    client: &'a mut Client,
    turn: usize,
    now: UnixTime,
}

/// How a request is made and sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Usual,
    Sha256,
    Post,
}

impl Asking<'_> {
    fn ask_all(&mut self, deadline: Instant) -> Result<Received, Failure> {
        let urls = responders_of(self.subject, &self.manner.overrides);
        let mut first_failure = None;
        for (tried, url) in urls.iter().enumerate() {
            // A responder that hangs leaves time for the others.
            let others = u32::try_from(urls.len() - tried).unwrap_or(u32::MAX);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ask(url, Instant::now() + left / others) {
                Ok(received) => return Ok(received),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        Err(first_failure.unwrap_or_else(|| Failure::at("", Kind::NoResponder)))
    }

    /// Asks one responder: by SHA-1 and GET, as RFC 5019 wants it. One that says
    /// the request is malformed is asked by SHA-256, one that refuses GET by POST.
    fn ask(&mut self, url: &str, deadline: Instant) -> Result<Received, Failure> {
        let failure = match self.ask_by(Way::Usual, url, deadline) {
            Err(failure) => failure,
            received => return received,
        };
        let other = match &failure.kind {
            Kind::Response { fault, .. } if fault.cause() == "malformed_request" => Way::Sha256,
            Kind::HttpStatus(400 | 403..=405 | 414 | 501) => Way::Post,
            _ => return Err(failure),
        };
        self.ask_by(other, url, deadline).map_err(|_| failure)
    }

    fn ask_by(&mut self, way: Way, url: &str, deadline: Instant) -> Result<Received, Failure> {
        let Some(issuer) = self.subject.issuer() else {
            let why = match self.subject.leaf.ca_issuers() {
                [] => "it is not in the file, and the certificate does not say where it lies",
                _ => "it is not in the file, and not where the certificate says",
            };
            return Err(Failure::at("", Kind::NoIssuer(why.to_owned())));
        };
        let hash = match way {
            Way::Sha256 => HashAlgorithm::Sha256,
            Way::Usual | Way::Post => HashAlgorithm::Sha1,
        };
        let request = request::encode(&[&issuer.identity], hash, None);
        let (target, message) = match HttpRequest::new(url, request.clone()) {
            HttpRequest::Get { url } if way != Way::Post => (url, Message::Get),
            HttpRequest::Get { .. } => (url.to_owned(), Message::Post(request)),
            HttpRequest::Post { url, body } => (url, Message::Post(body)),
        };
        // The address without the request in it.
        let named = |failure| Failure {
            responder: url.to_owned(),
            ..failure
        };
        let (turn, now) = (self.turn, self.now);
        let answer = self
            .client
            .exchange(&target, &message, deadline, turn, now)
            .map_err(named)?;
        let policy = &self.manner.policy;
        let staple = judge(&answer.body, issuer, now, policy).map_err(|kind| Failure {
            retry_after: answer.retry_after,
            ..Failure::at(url, with_type(kind, answer.other_type)).through(url, answer.via.as_ref())
        })?;
        Ok(Received {
            staple,
            responder: url.to_owned(),
            max_age: answer.max_age,
        })
    }
}

/// The type is told where it may explain what is wrong.
fn with_type(kind: Kind, other_type: Option<Box<str>>) -> Kind {
    match kind {
        Kind::Response {
            fault:
                fault @ (Fault::Empty
                | Fault::Html
                | Fault::Pem
                | Fault::Text { .. }
                | Fault::NotResponse
                | Fault::Malformed { .. }
                | Fault::TrailingBytes { .. }),
            ..
        } => Kind::Response {
            fault,
            content_type: other_type,
        },
        other => other,
    }
}
