//! A unit after its change: restarted, running, listening where it did, and with a policy in force.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::places::Place;
use super::plan::Plan;
use super::wanted::{CLIENT, PRELOAD};
use crate::check::carried::Carriers;
use crate::check::elf::Image;
use crate::check::finding::Effect;
use crate::check::libssl::is_libssl;
use crate::check::process::{Seen, examine_seen};
use crate::client::Client;
use crate::machine::ports;
use crate::machine::process::{self, Keeper, Process};
use crate::machine::unit::{Unit, systemctl};

/// How long a server may take to listen again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const STEP: Duration = Duration::from_millis(100);

/// The processes of a unit.
///
/// # Errors
///
/// If there is no /proc.
fn processes(unit: &str) -> Result<Vec<Process>> {
    let mut all = process::all()?.processes;
    all.retain(|process| process.keeper == Keeper::Unit(unit.to_owned()));
    Ok(all)
}

/// The addresses at which a unit listens.
///
/// # Errors
///
/// If there is no /proc.
fn addresses(unit: &str) -> Result<BTreeSet<SocketAddr>> {
    let pids: BTreeSet<u32> = processes(unit)?.iter().map(|process| process.pid).collect();
    let ports = ports::listening()?.into_iter();
    let ours = ports.filter(|port| !port.pids.is_disjoint(&pids));
    Ok(ours.map(|port| port.address).collect())
}

/// Whether the library runs in a unit that is enabled: it was restarted since, and the library
/// not replaced.
pub fn has_library(plan: &Plan) -> Result<bool> {
    let processes = processes(&plan.unit.name)?;
    let has = |process: &Process| {
        let library = process.seen.library();
        library.is_some_and(|path| !path.to_string_lossy().ends_with(" (deleted)"))
    };
    // What is started first has it from the unit; where a server hands out an environment of its
    // own, what is started by that.
    Ok(match (&plan.place, plan.unit.main_pid()) {
        (Place::Postfix(_) | Place::Dovecot, _) | (_, None) => processes.iter().any(has),
        (_, Some(main)) => processes
            .iter()
            .any(|process| process.pid == main && has(process)),
    })
}

/// Restarts it, and waits until it listens where it did before.
///
/// # Errors
///
/// If it cannot be started, or listens there no more.
pub fn restart(unit: &Unit) -> Result<()> {
    let before = addresses(&unit.name)?;
    systemctl(&["restart", &unit.name]).with_context(|| see(unit))?;
    let end = Instant::now() + PATIENCE;
    loop {
        let now = Unit::read(&unit.name)?;
        if !now.is_active() {
            bail!("it is {} after its restart; {}", now.state(), see(unit));
        }
        let listens = addresses(&unit.name)?;
        let missing: Vec<String> = before
            .difference(&listens)
            .map(SocketAddr::to_string)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            bail!(
                "it no longer listens at {} {} seconds after its restart; {}",
                missing.join(", "),
                PATIENCE.as_secs(),
                see(unit)
            );
        }
        thread::sleep(STEP);
    }
}

fn see(unit: &Unit) -> String {
    format!("see: journalctl -u {}", unit.short_name())
}

/// Whether the policy is in force in the unit that was restarted: a preload that fails is no
/// check, and nothing else would tell.
///
/// # Errors
///
/// Why it is not.
pub fn holds(plan: &Plan, client: Client) -> Result<()> {
    let shim = Image::read(Path::new(&plan.wanted.library))?;
    let unit = Unit::read(&plan.unit.name)?;
    let processes = processes(&unit.name)?;
    // What hands out an environment of its own does no TLS.
    let main = match plan.place {
        Place::Postfix(_) | Place::Dovecot => None,
        _ => unit.main_pid(),
    };
    let carriers = Carriers::default();
    let mut is_anywhere = false;
    for process in &processes {
        let seen = &process.seen;
        let speaks = !seen.loaded(is_libssl).is_empty() || !seen.unreached(&carriers).is_empty();
        if !speaks && seen.library().is_none() && main != Some(process.pid) {
            continue;
        }
        in_force(seen, client, &shim, &carriers).with_context(|| {
            let name = process.path();
            format!(
                "the policy is not in force in process {} ({})",
                process.pid,
                name.display()
            )
        })?;
        is_anywhere = true;
    }
    if !is_anywhere {
        bail!("the policy is not in force: no process of it has the library");
    }
    Ok(())
}

fn in_force(seen: &Seen, client: Client, shim: &Image, carriers: &Carriers) -> Result<()> {
    let examined = examine_seen(seen, shim, carriers);
    let prevents = |finding: &&crate::check::finding::Finding| finding.effect == Effect::Prevents;
    if let Some(finding) = examined.findings.iter().find(prevents) {
        bail!("{}", finding.text);
    }
    let name = client.name();
    let policy = seen.variable(CLIENT.as_bytes());
    // One that has overwritten its environment shows neither, and had both from the same place.
    let is_overwritten = policy.is_none() && seen.variable(PRELOAD.as_bytes()).is_none();
    if policy != Some(name.as_bytes()) && !is_overwritten {
        bail!("its environment does not have {CLIENT}={name}");
    }
    Ok(())
}
