//! What follows from what was seen: how each certificate and program stands, why, and the
//! one thing to do next.

use std::collections::HashMap;
use std::path::Path;

use staplegun_ocsp::{Certificate, Unstapled};
use staplegun_store::name;

use super::group::{Group, Key, Machine};
use super::known::Known;
use super::next;
use super::prospect::{Ask, Prospect};
use super::row::{Reach, Row, Silent, Status, Why};
use super::standing::Standing;
use crate::agent::now;
use crate::check::carried::Carriers;
use crate::check::finding::Finding;
use crate::machine::process::Keeper;
use crate::machine::served::{Certified, Door, Served};
use crate::probe::Answer;
use crate::status::read::State;

/// What was seen of a group's ports.
pub type Seen = Vec<(Door, Served)>;

/// Decides by all that is known.
#[derive(Debug)]
pub struct Decider<'a> {
    /// What the agent's store says.
    pub known: &'a Known,
    /// What runs.
    pub machine: &'a Machine,
    /// The library that the operator named.
    pub lib: Option<&'a Path>,
    /// Tells what enabling a unit would come to.
    pub prospect: Ask,
    /// What is known of files.
    pub carriers: &'a Carriers,
}

impl Decider<'_> {
    /// The rows, and the ports that show nothing.
    pub fn rows(&self, mut served: HashMap<Key, Seen>) -> (Vec<Row>, Vec<Silent>) {
        let (mut rows, mut silent) = (Vec::new(), Vec::new());
        for (key, group) in &self.machine.groups {
            let seen = served.remove(key).unwrap_or_default();
            let found = self.group(group, seen, &mut silent);
            rows.extend(found);
        }
        next::merge(&mut rows);
        (rows, silent)
    }

    /// The rows of one group.
    fn group(&self, group: &Group, seen: Seen, silent: &mut Vec<Silent>) -> Vec<Row> {
        let standing = Standing::of(group, self.machine, self.lib, self.carriers);
        let mut rows: Vec<Row> = Vec::new();
        for (door, served) in seen {
            let mut row = match served {
                Served::Certificate(certified) => self.certified(group, &standing, &certified),
                Served::Refused(reason) => {
                    let next = format!("staplegun probe {} --servername NAME", door.address);
                    Row::of(group, Status::NoHandshake).because("no_handshake", reason, next, false)
                }
                Served::NoTls(reason) => {
                    silent.push(Silent::new(group, door.address, Why::NoTls).because(reason));
                    continue;
                }
                Served::NoAnswer(reason) => {
                    silent.push(Silent::new(group, door.address, Why::NoAnswer).because(reason));
                    continue;
                }
            };
            let same = rows.iter_mut().find(|known| {
                known.sha256 == row.sha256 && known.status == row.status && known.cause == row.cause
            });
            match same {
                Some(known) => known.ports.push(door),
                None => {
                    row.ports.push(door);
                    rows.push(row);
                }
            }
        }
        if rows.is_empty() && !group.tls.is_empty() {
            rows.push(without_certificate(group));
        }
        rows.extend(unchecked(group, &standing));
        for row in &mut rows {
            row.library = standing.reach;
            row.client_policy.clone_from(&standing.policy);
        }
        rows
    }

    /// The row of a certificate that a port shows.
    fn certified(&self, group: &Group, standing: &Standing<'_>, it: &Certified) -> Row {
        let outcome = &it.outcome;
        let reason = outcome.reason.clone().unwrap_or_default();
        let cause = outcome.cause.unwrap_or_default();
        let row = |status| Row::of(group, status);
        let mut row = match outcome.answer {
            Answer::Good
                if self.known.agent_running == Some(false) && standing.has_map(self.known) =>
            {
                row(Status::Stapled).because(
                    "no_agent",
                    "the agent that would renew it does not run",
                    next::agent(self.known.layout()),
                    true,
                )
            }
            Answer::Good if standing.is_replaced() => row(Status::Stapled).because(
                "replaced",
                "the library was replaced since it was started; the new one comes with",
                next::restart(group),
                false,
            ),
            Answer::Good => row(Status::Stapled),
            Answer::EndsSoon => {
                row(Status::EndsSoon).because(cause, reason, "staplegun status", true)
            }
            Answer::Bad if cause == "revoked" => {
                row(Status::Revoked).because(cause, reason, next::REPLACE, true)
            }
            Answer::Bad => row(Status::Bad).because(
                cause,
                reason,
                next::bad(group, standing.reach, cause),
                true,
            ),
            Answer::NotStapled | Answer::Untrusted => self.unstapled(group, standing, &it.leaf),
        };
        let known = self.known.of(&it.leaf.sha256());
        let named = it.leaf.responders().first().cloned();
        row.certificate = Some(it.leaf.display_subject());
        row.sha256 = Some(name::of_key(&it.leaf.sha256()));
        row.responder = known.and_then(|one| one.responder.clone()).or(named);
        let stapled = outcome.chain.iter().filter(|link| link.stapled).count();
        row.chain_stapled = (!outcome.chain.is_empty()).then_some(stapled);
        row.until = it
            .until
            .filter(|_| matches!(row.status, Status::Stapled | Status::EndsSoon));
        row
    }

    /// The row of a certificate that is not stapled.
    fn unstapled(&self, group: &Group, standing: &Standing<'_>, leaf: &Certificate) -> Row {
        let known = self.known.of(&leaf.sha256());
        if let Some(one) = known.filter(|one| one.status == State::Revoked) {
            let reason = one.sentence.clone().unwrap_or_default();
            let row = Row::of(group, Status::Revoked);
            return row.because("revoked", reason, next::REPLACE, true);
        }
        let has_responder =
            !leaf.responders().is_empty() || known.is_some_and(|one| one.responder.is_some());
        if let Some(why) = Unstapled::of(leaf, has_responder, now()) {
            let status = match why.needs_operator() {
                true => Status::NotStapled,
                false => Status::NothingToStaple,
            };
            let next = next::of_itself(why.cause(), None);
            return Row::of(group, status).because(
                why.cause(),
                why.to_string(),
                next,
                why.needs_operator(),
            );
        }
        let row = Row::of(group, Status::NotStapled);
        let say = |cause: &str, reason: &str, next: String| {
            row.clone().because(cause, reason, next, true)
        };
        match standing.reach {
            Reach::Unknown => say(
                "not_seen",
                "who listens there cannot be seen by this user, or has ended",
                next::AS_ROOT.to_owned(),
            ),
            Reach::Reachable | Reach::Unreachable => {
                self.without_library(group, standing.against.as_ref(), row)
            }
            Reach::Partly => say(
                "partly_loaded",
                "some of its processes run without the library",
                next::restart(group),
            ),
            Reach::Loaded => self.loaded(group, standing, leaf, row),
        }
    }

    /// The library is not in it, and nothing is stapled.
    fn without_library(&self, group: &Group, against: Option<&Finding>, row: Row) -> Row {
        // A unit may start it otherwise than it is started now.
        let lasts = |it: &Finding| !["secure_execution", "not_executable"].contains(&it.cause);
        let prospect = match &group.keeper {
            Keeper::Unit(name) if against.is_none_or(|it| !lasts(it)) => {
                Some((self.prospect)(name, self.lib))
            }
            _ => None,
        };
        let row = |cause: &str, reason: &str, next: String| row.because(cause, reason, next, true);
        match (prospect, against) {
            (Some(Prospect::Enabled), _) => row(
                "not_restarted",
                "it was enabled, and started before",
                next::restart(group),
            ),
            (Some(Prospect::Cannot(why)), _) => {
                let next = format!("{}, which tells what is in its way", next::enable(group));
                row("cannot_enable", &why, next)
            }
            (Some(Prospect::Possible), _) | (None, None) => row(
                "not_loaded",
                "the library is not in it",
                next::enable(group),
            ),
            (None, Some(it)) => {
                let advice = it.advice.clone();
                row(
                    it.cause,
                    &it.text,
                    advice.unwrap_or_else(|| next::check(group)),
                )
            }
        }
    }

    /// The library is in it, and nothing is stapled.
    fn loaded(&self, group: &Group, standing: &Standing<'_>, leaf: &Certificate, row: Row) -> Row {
        let say = |cause: &str, reason: &str, next: String| {
            row.clone().because(cause, reason, next, true)
        };
        if self.known.agent_running == Some(false) {
            return say(
                "no_agent",
                "the library is in it, and no agent runs that would fetch its response",
                next::agent(self.known.layout()),
            );
        }
        if let Some(why) = &self.known.unreadable {
            return say("store_unreadable", why, next::AS_ROOT.to_owned());
        }
        match self.known.of(&leaf.sha256()) {
            Some(one) if one.status != State::Stapled => {
                let cause = one.cause.clone().unwrap_or_default();
                let next = next::of_itself(&cause, one.path.as_deref());
                let reason = one.sentence.clone().unwrap_or_default();
                row.clone().because(cause, reason, next, one.needs_operator)
            }
            Some(_) if standing.reads_files(self.carriers) => say(
                "no_live_file",
                "it reads the file that the agent shows, and finds none",
                "set live-files = true in agent.toml, and: systemctl reload staplegun".to_owned(),
            ),
            _ if !(standing.has_map(self.known) || standing.reads_files(self.carriers)) => say(
                "no_live_map",
                "the library is in it, and it has no live map of this store: it was started \
                 before there was one, or may not read it",
                next::restart(group),
            ),
            Some(_) => say(
                "kept_back",
                "its response is in the live map that it has, and does not come out of it",
                next::check(group),
            ),
            None => say(
                "agent_not_told",
                "the agent does not know of its certificate",
                "staplegun add FILE, with the file of its certificate".to_owned(),
            ),
        }
    }
}

/// The row of a group that shows no certificate.
fn without_certificate(group: &Group) -> Row {
    if group.is_elsewhere {
        let pid = group.pids.first().copied().unwrap_or_default();
        let row = Row::of(group, Status::OtherNetwork);
        let reason = "its network is not this one, so that its ports are not seen";
        let next = format!("nsenter --target {pid} --net staplegun scan");
        return row.because("other_network", reason, next, false);
    }
    match group.ports.is_empty() {
        true => Row::of(group, Status::NoPort),
        false => Row::of(group, Status::NoTls),
    }
}

/// The row of a client policy that lets connections pass.
fn unchecked(group: &Group, standing: &Standing<'_>) -> Option<Row> {
    let pid = standing.unchecked?;
    let policy = standing.policy.as_deref().unwrap_or_default();
    let reason = format!(
        "process {pid} was started with STAPLEGUN_CLIENT={policy}, and connections of it pass \
         unchecked"
    );
    let row = Row::of(group, Status::Unchecked);
    let next = format!("staplegun check --pid {pid}");
    Some(row.because("policy_not_in_force", reason, next, true))
}
