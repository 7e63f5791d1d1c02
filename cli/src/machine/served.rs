//! What the ports of this machine show to a client that asks for a staple.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Serialize;
use staplegun_ocsp::{Certificate, Policy, UnixTime};
use staplegun_store::files::Files;

use super::protocol::Protocol;
use crate::agent::now;
use crate::fetch::{Issuers, Subject, Trust};
use crate::probe::{Outcome, Seen, judge, look};

/// A port, and how TLS begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Door {
    /// Where to connect to.
    pub address: SocketAddr,
    /// What to speak: `tls`, or the protocol before it.
    pub protocol: Protocol,
    /// Whether the connection is to stand open until what was seen is dropped. A server may
    /// have time for one only.
    #[serde(skip)]
    pub is_held: bool,
}

/// What a port shows.
#[derive(Debug)]
pub enum Served {
    /// A certificate.
    Certificate(Box<Certified>),
    /// It speaks TLS and wants no handshake with us.
    Refused(String),
    /// It does not speak TLS, or not so.
    NoTls(String),
    /// It says nothing in time, or is gone.
    NoAnswer(String),
}

/// A certificate and what its staple is worth.
#[derive(Debug)]
pub struct Certified {
    /// The certificate.
    pub leaf: Certificate,
    /// What is stapled, judged.
    pub outcome: Outcome,
    /// When the response that counts ends.
    pub until: Option<UnixTime>,
}

/// Looks at the ports, each once, many at a time; each may take `timeout`. `progress` is
/// called with each that is done.
pub fn look_at(
    doors: &[Door],
    timeout: Duration,
    mut progress: impl FnMut(&Door),
) -> Vec<anyhow::Result<Seen>> {
    // They wait rather than work; a machine with so many ports has time for them.
    const AT_ONCE: usize = 16;
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    let mut seen: Vec<Option<anyhow::Result<Seen>>> = doors.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(doors.len()) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(door) = doors.get(at) else {
                        return;
                    };
                    let starttls = match door.protocol {
                        Protocol::Tls => None,
                        Protocol::Starttls(protocol) => Some(protocol),
                    };
                    let mut result = look(door.address, starttls, Instant::now() + timeout);
                    if let Ok(seen) = &mut result
                        && !door.is_held
                    {
                        seen.hang_up();
                    }
                    // Who waits for them ends only after this thread.
                    let _ = done.send((at, result));
                }
            });
        }
        drop(done);
        for (at, result) in results {
            progress(&doors[at]);
            seen[at] = Some(result);
        }
    });
    let missing = || Err(anyhow::anyhow!("it was not looked at"));
    let all = seen.into_iter();
    all.map(|one| one.unwrap_or_else(missing)).collect()
}

/// Judges what was seen, with all issuers that this machine knows.
#[derive(Debug)]
pub struct Judge {
    /// By which responses are judged.
    pub policy: Policy,
    /// The issuers that the agent and the machine trust.
    pub trust: Trust,
    /// The store, which has the issuers of what it keeps.
    pub files: Files,
    /// How soon is too soon for a response to end.
    pub warn_before: Option<Duration>,
}

impl Judge {
    /// What a port shows; its connection is ended.
    pub fn judge(&self, seen: anyhow::Result<Seen>) -> Served {
        let mut seen = match seen {
            Ok(seen) => seen,
            Err(error) => return why_not(&error),
        };
        let leaf = seen.certificates.first();
        let Some(leaf) = leaf.and_then(|der| Certificate::from_der(der).ok()) else {
            return Served::Refused("the certificate cannot be read".to_owned());
        };
        self.complete(&leaf, &mut seen.certificates);
        // A client of this machine knows no name that it could hold against the certificate.
        let outcome = judge(&seen, true, self.warn_before, &self.policy);
        let until = outcome.seconds_left.map(|left| now().saturating_add(left));
        Served::Certificate(Box::new(Certified {
            leaf,
            outcome,
            until,
        }))
    }

    /// Adds what may be the issuer: servers do not always send it.
    fn complete(&self, leaf: &Certificate, certificates: &mut Vec<Vec<u8>>) {
        let sent: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        let trusted = self.trust.issuer_of(&sent);
        let kept = self.files.certificates.read(&leaf.sha256()).ok().flatten();
        let kept = kept.and_then(|pem| Subject::from_bytes(&pem, &Issuers::default()).ok());
        certificates.extend(trusted);
        if let Some(kept) = kept {
            certificates.extend(kept.ders().into_iter().skip(1).map(<[u8]>::to_vec));
        }
    }
}

/// What a handshake that did not come about says of a port.
fn why_not(error: &anyhow::Error) -> Served {
    let reason = format!("{error:#}");
    let causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    let mut kinds = causes.map(io::Error::kind);
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    let unanswered = [
        ConnectionRefused,
        HostUnreachable,
        NetworkUnreachable,
        TimedOut,
    ];
    if kinds.any(|kind| unanswered.contains(&kind)) {
        Served::NoAnswer(reason)
    } else if reason.contains("alert") {
        Served::Refused(reason)
    } else {
        Served::NoTls(reason)
    }
}
