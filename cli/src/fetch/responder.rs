//! Asking for one certificate's response: every responder, each in the ways that it may
//! understand, until one gives a response that counts.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::request::{self, HttpRequest};
use staplegun_ocsp::{Fault, Policy, Response, UnixTime};

use super::ca_issuers;
use super::client::{Answer, Client, Message, Patience};
use super::failure::{Failure, Kind};
use super::issuer::Issuers;
use super::judge::judge;
use super::overrides::{Override, Responder, responders};
use super::proxy::Proxies;
use super::remembered::{Responders, Way};
use super::staple::Staple;
use super::subject::{Issued, Subject};
use super::trust::Trust;
use super::ways::{is_answer, is_garbage, is_the_certificates, other_ways, tells_more};

/// The most requests of one attempt that are answered with nothing of use. One that
/// does not understand the first may be asked in two other ways.
const REQUESTS: usize = 3;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How long it may take.
    pub patience: Patience,
    /// How answers are judged.
    pub policy: Policy,
    /// Through whom.
    pub proxies: Arc<Proxies>,
    /// What the operator says of responders.
    pub overrides: Vec<Override>,
    /// Whose certificates count as issuers' whoever left the leaf.
    pub trust: Arc<Trust>,
}

/// One certificate to ask for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The certificate.
    pub subject: Arc<Subject>,
    /// How to ask.
    pub manner: Arc<Manner>,
    /// How many attempts there were before: another address comes first each time.
    pub turn: usize,
    /// Root, or the agent's own user, has the certificate: issuers that root brought with
    /// another one count for it, and addresses in it are asked for one.
    pub is_ours: bool,
    /// How much is heeded of the time for which a responder wants to be left alone
    /// (Retry-After); zero: it is asked now.
    pub heed: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Fetched {
    /// The certificate with its issuer, if that was found on the way.
    pub completed: Option<Subject>,
    /// Every request to a responder, in their order.
    pub asked: Vec<Asked>,
    /// The response, or why there is none.
    pub outcome: Result<Received, Failure>,
}

/// How one request went.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The responder's address.
    pub responder: String,
    /// How long it took until the answer was judged, or nothing was waited for any more.
    pub took: Duration,
    /// Why nothing that counts came of it.
    pub failed: Option<Failed>,
}

/// What a request failed by.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// See [`Failure::cause`].
    pub cause: &'static str,
    /// The responder does its work, and has none for this certificate.
    pub is_the_certificates: bool,
    /// For how long the responder asked to be left alone (Retry-After).
    pub retry_after: Option<Duration>,
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
pub fn responders_of(subject: &Subject, overrides: &[Override]) -> Vec<Responder> {
    let issuer = subject.issuer().map(|issuer| issuer.by.sha256.as_str());
    responders(&subject.leaf, issuer, overrides)
}

/// Whether there may be a responder for `subject`, whoever its issuer turns out to be.
pub fn may_have_responder(subject: &Subject, overrides: &[Override]) -> bool {
    let by_issuer = |one: &Override| one.issuer.is_some() && one.url.is_some();
    !responders_of(subject, overrides).is_empty() || overrides.iter().any(by_issuer)
}

/// Fetches the response at the time `now`. Waits no longer than the client's
/// [`Patience::total`] in all.
pub fn fetch(
    question: &Question,
    issuers: &Issuers,
    remembered: &Responders,
    client: &mut Client,
    now: UnixTime,
) -> Fetched {
    let deadline = Instant::now() + client.patience().total;
    let completed = if question.subject.has_valid_issuer(now) {
        None
    } else {
        completed(question, issuers, client, deadline, now)
    };
    let mut asking = Asking {
        subject: completed.as_ref().unwrap_or(&question.subject),
        question,
        remembered,
        client,
        now,
        asked: Vec::new(),
    };
    let outcome = asking.ask_all(deadline);
    let asked = asking.asked;
    Fetched {
        completed,
        asked,
        outcome,
    }
}

/// The certificate with an issuer that did not come along, or a better one than did.
fn completed(
    question: &Question,
    issuers: &Issuers,
    client: &mut Client,
    deadline: Instant,
    now: UnixTime,
) -> Option<Subject> {
    let mut found = (*question.subject).clone();
    found.complete_from(&question.manner.trust, question.is_ours, issuers);
    if question.is_ours && !found.has_valid_issuer(now) {
        ca_issuers::complete(&mut found, issuers, client, deadline, question.turn, now);
    }
    found.improves(&question.subject).then_some(found)
}

/// One certificate's question, being asked.
struct Asking<'a> {
    subject: &'a Subject,
    question: &'a Question,
    remembered: &'a Responders,
    client: &'a mut Client,
    now: UnixTime,
    asked: Vec<Asked>,
}

/// A request that may be sent.
struct Request {
    way: Way,
    /// The address, with the request in it if it goes by GET.
    target: String,
    message: Message,
    nonce: Option<[u8; 32]>,
}

impl Asking<'_> {
    /// Asks everybody once before anybody is asked in another way.
    fn ask_all(&mut self, deadline: Instant) -> Result<Received, Failure> {
        let responders = responders_of(self.subject, &self.question.manner.overrides);
        if responders.is_empty() {
            return Err(Failure::at("", Kind::NoResponder));
        }
        let issuer = self.issuer()?.clone();
        let firsts = responders.iter().enumerate();
        let mut waiting: VecDeque<_> = firsts
            .map(|(at, responder)| (at, self.remembered.way(&responder.url)))
            .collect();
        if waiting.len() > REQUESTS {
            // No more than these are asked: others come first the next time.
            waiting.rotate_left(self.question.turn % responders.len());
        }
        let mut tried = Vec::new();
        let mut told: Option<Failure> = None;
        let mut answers = 0;
        while answers < REQUESTS
            && let Some((at, way)) = waiting.pop_front()
        {
            let responder = &responders[at];
            let url = responder.url.as_str();
            let is_first = tried.iter().all(|(other, _)| *other != at);
            if is_first && let Some(left) = self.remembered.alone_for(url, self.question.heed) {
                told.get_or_insert(Failure::at(url, Kind::LeftAlone(left)));
                continue;
            }
            let request = Request::new(responder, &issuer, way);
            tried.push((at, request.way));
            // A responder that hangs leaves time for the others.
            let others = u32::try_from(waiting.len() + 1).unwrap_or(u32::MAX);
            let left = deadline.saturating_duration_since(Instant::now());
            let began = Instant::now();
            let answer = self.ask(url, &request, &issuer, began + left / others);
            self.note(url, began.elapsed(), answer.as_ref().err());
            let failure = match answer {
                Ok(received) => {
                    self.remembered.answered(url, request.way);
                    return Ok(received);
                }
                Err(failure) => failure,
            };
            if let Some(wait) = failure.retry_after {
                self.remembered.leave_alone(url, wait);
            }
            if is_answer(&failure) {
                answers += 1;
                self.remembered.forget_way(url);
                let ways = other_ways(request.way, &failure.kind).into_iter().flatten();
                let mut ways = ways.map(|way| (at, way));
                waiting.extend(ways.find(|next| !tried.contains(next)));
            }
            if told.as_ref().is_none_or(|told| tells_more(&failure, told)) {
                told = Some(failure);
            }
        }
        let told = told.unwrap_or_else(|| Failure::at("", Kind::NoResponder));
        let alone = responders
            .iter()
            .map(|responder| self.remembered.alone_for(&responder.url, Duration::MAX));
        Err(Failure {
            // Only if nobody may be asked before.
            retry_after: alone
                .collect::<Option<Vec<_>>>()
                .unwrap_or_default()
                .into_iter()
                .min(),
            ..told
        })
    }

    fn note(&mut self, url: &str, took: Duration, failure: Option<&Failure>) {
        self.asked.push(Asked {
            responder: url.to_owned(),
            took,
            failed: failure.map(|failure| Failed {
                cause: failure.cause(),
                is_the_certificates: is_the_certificates(failure),
                retry_after: failure.retry_after,
            }),
        });
    }

    fn issuer(&self) -> Result<&Issued, Failure> {
        self.subject.issuer().ok_or_else(|| {
            let why = match self.subject.leaf.ca_issuers() {
                _ if !self.question.is_ours => "",
                [] => ", and the certificate does not say where it lies",
                _ => ", and not where the certificate says",
            };
            Failure::at("", Kind::NoIssuer(why))
        })
    }

    /// What is wrong with an answer is told of the responder, unless it is our certificate
    /// of the issuer that has ended: then nothing that it signs counts any more.
    fn blame(&self, kind: Kind, issuer: &Issued) -> Kind {
        let end = issuer.by.facts.not_after();
        match kind {
            Kind::Response {
                fault: Fault::SignerNotValid { .. } | Fault::Expired { .. },
                ..
            } if end < self.now => Kind::IssuerExpired(end),
            kind => kind,
        }
    }

    fn ask(
        &mut self,
        url: &str,
        request: &Request,
        issuer: &Issued,
        deadline: Instant,
    ) -> Result<Received, Failure> {
        // The address without the request in it.
        let named = |failure| Failure {
            responder: url.to_owned(),
            ..failure
        };
        let (turn, now) = (self.question.turn, self.now);
        let answer = self
            .client
            .exchange(&request.target, &request.message, deadline, turn, now)
            .map_err(named)?;
        let policy = &self.question.manner.policy;
        let judged = judge(&answer.body, issuer, now, policy)
            .and_then(|staple| same_nonce(staple, request.nonce.as_ref()));
        let staple = judged.map_err(|kind| Failure {
            retry_after: answer.retry_after,
            ..Failure::at(url, fit_to_tell(self.blame(kind, issuer), &answer))
                .through(url, answer.via.as_ref())
        })?;
        Ok(Received {
            staple,
            responder: url.to_owned(),
            max_age: answer.max_age,
        })
    }
}

impl Request {
    /// By GET only where that can be.
    fn new(responder: &Responder, issuer: &Issued, way: Way) -> Self {
        let mut random = [0; 32];
        let is_random = responder.nonce && openssl::rand::rand_bytes(&mut random).is_ok();
        let nonce = is_random.then_some(random);
        let der = request::encode(&[&issuer.identity], way.hash, nonce.as_ref());
        let by_post = way.by_post || responder.by_post();
        let (target, message) = match HttpRequest::new(&responder.url, der.clone()) {
            HttpRequest::Get { url } if !by_post => (url, Message::Get),
            HttpRequest::Get { .. } => (responder.url.clone(), Message::Post(der)),
            HttpRequest::Post { url, body } => (url, Message::Post(body)),
        };
        let by_post = matches!(message, Message::Post(_));
        Self {
            way: Way { by_post, ..way },
            target,
            message,
            nonce,
        }
    }
}

/// A responder that repeats a nonce repeats ours; most have none.
fn same_nonce(staple: Staple, sent: Option<&[u8; 32]>) -> Result<Staple, Kind> {
    let Some(sent) = sent else {
        return Ok(staple);
    };
    let response = Response::parse(&staple.der).ok();
    match response.as_ref().and_then(Response::nonce) {
        Some(repeated) if repeated != sent => Err(Kind::OtherNonce),
        _ => Ok(staple),
    }
}

/// The type is told where it may explain what is wrong. Of what came from elsewhere than
/// was asked nothing is repeated: whoever redirects must not make the agent's log and
/// notes say what only the agent can read.
fn fit_to_tell(kind: Kind, answer: &Answer) -> Kind {
    match kind {
        Kind::Response { fault, .. } if answer.redirected && is_garbage(&fault) => Kind::Response {
            fault: match fault {
                Fault::Text { .. } => Fault::NotResponse,
                fault => fault,
            },
            content_type: None,
        },
        Kind::Response { fault, .. } if is_garbage(&fault) => Kind::Response {
            fault,
            content_type: answer.other_type.clone(),
        },
        other => other,
    }
}
