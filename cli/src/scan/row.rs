//! One finding: a unit or program, what it shows on its ports, and the next command.

use std::net::SocketAddr;

use serde::Serialize;
use staplegun_ocsp::UnixTime;

use super::group::Group;
use crate::machine::process::Keeper;
use crate::machine::served::Door;
use crate::machine::tls::Tls;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The certificate is revoked.
    Revoked,
    /// A response is stapled that clients refuse.
    Bad,
    /// There is a responder, and no response is stapled.
    NotStapled,
    /// The response ends soon.
    EndsSoon,
    /// A client policy is wanted, and is not in force.
    Unchecked,
    /// A good response is stapled.
    Stapled,
    /// There is nothing to staple for the certificate.
    NothingToStaple,
    /// It speaks TLS, and no handshake came about.
    NoHandshake,
    /// Its ports are those of another network.
    OtherNetwork,
    /// It listens, and not with TLS, as far as was seen.
    NoTls,
    /// It does not listen.
    NoPort,
}

/// Whether the library is in it, or can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The library is in all its processes that have an OpenSSL.
    Loaded,
    /// It is in some of them.
    Partly,
    /// It is in none, and can be.
    Reachable,
    /// It cannot be.
    Unreachable,
    /// This user may not see it, or it does not run.
    Unknown,
}

/// One row. Names of fields and their words are stable.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The unit without `.service`, else the program's name.
    pub name: String,
    /// The unit.
    pub unit: Option<String>,
    /// The user whose systemd has the unit, if it is not the system's.
    user: Option<u32>,
    /// The program's file; what of its path is not UTF-8 is replaced.
    pub program: Option<String>,
    /// Its processes.
    pub pids: Vec<u32>,
    /// What of it speaks TLS, and where that is from.
    pub tls: Vec<Tls>,
    /// Whether the library is in it.
    pub library: Reach,
    /// The client policy that is in force, or `unknown` if its environment does not tell.
    pub client_policy: Option<String>,
    /// The ports that show this.
    pub ports: Vec<Door>,
    /// The certificate's subject.
    pub certificate: Option<String>,
    /// SHA-256 of the certificate.
    pub sha256: Option<String>,
    /// Its responder.
    pub responder: Option<String>,
    /// How it stands.
    pub status: Status,
    /// When what is stapled ends.
    pub until: Option<UnixTime>,
    /// For how many of the intermediates that it sends a response is stapled, in TLS 1.3.
    pub chain_stapled: Option<usize>,
    /// Why it is so, in one word; none if nothing is the matter.
    pub cause: Option<String>,
    /// Why, as a sentence.
    pub reason: Option<String>,
    /// The one thing to do next.
    pub next: String,
    /// Whether somebody has to do something.
    pub needs_operator: bool,
}

/// A port that shows nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Silent {
    /// Where.
    pub address: SocketAddr,
    /// The unit or program.
    pub name: Option<String>,
    /// In one word.
    pub why: Why,
    /// What was seen, if it was connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a port shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It was not connected to.
    NotProbed,
    /// It does not speak TLS.
    NoTls,
    /// It did not answer in time.
    NoAnswer,
}

impl Silent {
    /// A port of a group.
    pub fn new(group: &Group, address: SocketAddr, why: Why) -> Self {
        let name = Some(group.name()).filter(|name| !name.is_empty());
        Self {
            address,
            name,
            why,
            reason: None,
        }
    }

    /// Says what was seen.
    pub fn because(mut self, reason: String) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl Row {
    /// A row of a group, of which nothing is said yet.
    pub fn of(group: &Group, status: Status) -> Self {
        let (user, unit) = match &group.keeper {
            Keeper::Unit(name) => (None, Some(name.clone())),
            Keeper::UserUnit(user, name) => (Some(*user), Some(name.clone())),
            Keeper::Container | Keeper::Nobody => (None, None),
        };
        Self {
            name: group.name(),
            unit,
            user,
            program: group
                .program()
                .map(|path| path.to_string_lossy().into_owned()),
            pids: group.pids.clone(),
            tls: group.tls.iter().cloned().collect(),
            library: Reach::Unknown,
            client_policy: None,
            ports: Vec::new(),
            certificate: None,
            sha256: None,
            responder: None,
            status,
            until: None,
            chain_stapled: None,
            cause: None,
            reason: None,
            next: "nothing to do".to_owned(),
            needs_operator: false,
        }
    }

    /// Says why it is so and what to do.
    pub fn because(
        mut self,
        cause: impl Into<String>,
        reason: impl Into<String>,
        next: impl Into<String>,
        needs_operator: bool,
    ) -> Self {
        self.cause = Some(cause.into());
        self.reason = Some(reason.into());
        self.next = next.into();
        self.needs_operator = needs_operator;
        self
    }
}
