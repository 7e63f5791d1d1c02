//! `staplegun enable`: brings the library into the services of systemd that are named, each in the
//! way that it needs, and sees whether they staple then.

mod apparmor;
mod block;
pub mod disable;
mod dovecot;
mod enabled;
mod file;
mod fit;
mod journal;
mod node;
mod owned;
mod places;
mod plan;
mod postfix;
mod restart;
mod sandbox;
mod seen;
mod squid;
mod tell;
mod undo;
mod units;
mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use self::journal::Journal;
use self::places::Place;
use self::plan::Plan;
pub use self::plan::prospect;
use self::wanted::PRELOAD;
use crate::client::Client;
use crate::complain::complain;
use crate::machine::unit::{self, Unit, systemctl};

/// The exit status when a unit could not be enabled.
pub const FAILED: u8 = 1;
/// The exit status when one is enabled, and does not staple.
const NOT_STAPLED: u8 = 2;

const AFTER_HELP: &str = "\
A drop-in is written with just what the unit needs: the library, and what its sandbox forbids. Where \
a server takes nothing from its unit, its own configuration is changed: Postfix, Dovecot, \
PostgreSQL's clusters and Apache as Debian has them; and AppArmor's local part of a profile. \
staplegun disable undoes all of it. A unit that is enabled already is left as it is.

Examples:
  staplegun enable redis-server nginx --restart
  staplegun enable --dry-run postgresql@15-main
  staplegun enable my-app --client require

Exit status: 0 they are enabled, 1 one of them is not, and nothing of it was changed, 2 one that was \
restarted staples nothing on a port, and somebody has to do something.";

/// Bring the library into services of systemd
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Services, with or without .service
    #[arg(required = true, value_name = "UNIT")]
    units: Vec<String>,

    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,

    /// Restart those that run, since a program gets its environment when it starts
    #[arg(long)]
    restart: bool,

    /// What TLS clients in the service do about the staples that they get, from now on. It is
    /// restarted, and all is taken back unless the policy is in force in its processes then
    #[arg(long, value_enum, value_name = "POLICY")]
    client: Option<Client>,

    /// The library, if it is not where it was installed
    #[arg(
        long,
        env = "STAPLEGUN_LIB",
        hide_env_values = true,
        value_name = "FILE"
    )]
    lib: Option<PathBuf>,
}

/// Refuses to go on where nothing can be done.
fn needs(is_dry: bool, command: &str) -> Result<()> {
    if !unit::is_machine_of_systemd() {
        bail!(
            "systemd does not run this machine: start your program with `staplegun run -- PROGRAM`, \
             or set {PRELOAD} for it where it is started"
        );
    }
    if !is_dry && !geteuid().is_root() {
        bail!("only root can do it: sudo staplegun {command}; --dry-run tells what would be done");
    }
    Ok(())
}

/// Enables them.
///
/// # Errors
///
/// If nothing can be done for any.
pub fn run(args: Args) -> Result<ExitCode> {
    needs(args.dry_run, "enable")?;
    let (mut is_well, mut is_stapled) = (true, true);
    let mut fail = |name: &str, error: &anyhow::Error| {
        complain(format_args!("{name}: {error:#}"));
        is_well = false;
    };
    let mut done = Vec::new();
    for name in &args.units {
        let units = match units::named(name) {
            Ok(units) => units,
            Err(error) => {
                fail(name, &error);
                continue;
            }
        };
        for unit in units {
            let name = unit.short_name().to_owned();
            let plan = plan::plan(unit, args.lib.as_deref(), args.client);
            match plan.and_then(|plan| carry_out(plan, args.dry_run)) {
                Ok(carried) => done.push(carried),
                Err(error) => fail(&name, &error),
            }
        }
    }
    if args.dry_run {
        return Ok(ExitCode::from(if is_well { 0 } else { FAILED }));
    }
    if done.iter().any(|(_, journal)| !journal.is_empty())
        && let Err(error) = systemctl(&["daemon-reload"])
    {
        for (plan, journal) in done {
            take_back(journal);
            fail(plan.unit.short_name(), &error);
        }
        return Ok(ExitCode::from(FAILED));
    }
    let is_one = done.len() == 1;
    for (plan, journal) in done {
        let name = plan.unit.short_name().to_owned();
        if !is_one && (args.restart || args.client.is_some()) {
            tell::unit(&plan.unit);
        }
        let mut is_restarted = false;
        let error = match finish(&plan, &journal, &args, &mut is_restarted) {
            Ok(staples) => {
                is_stapled &= staples;
                continue;
            }
            Err(error) => error,
        };
        fail(&name, &error);
        if journal.is_empty() {
            continue;
        }
        take_back(journal);
        let mut back = systemctl(&["daemon-reload"]).map(drop);
        if is_restarted {
            back = back.and_then(|()| systemctl(&["restart", &plan.unit.name]).map(drop));
        }
        match back {
            Ok(()) if is_restarted => tell::line("all was taken back, and it was restarted"),
            Ok(()) => tell::line("all was taken back"),
            Err(error) => fail(&name, &error),
        }
    }
    Ok(ExitCode::from(match (is_well, is_stapled) {
        (false, _) => FAILED,
        (true, false) => NOT_STAPLED,
        (true, true) => 0,
    }))
}

/// Does what the plan says, or tells it.
fn carry_out(plan: Plan, is_dry: bool) -> Result<(Plan, Journal)> {
    let mut journal = Journal::default();
    tell::unit(&plan.unit);
    if plan.steps.is_empty() && !plan.is_by_hand {
        tell::line("it is enabled already");
    }
    if let Some(node) = plan
        .node
        .as_ref()
        .filter(|_| !is_dry && !plan.steps.is_empty())
    {
        node.try_out(&plan.unit)?;
    }
    for step in &plan.steps {
        if !is_dry && let Err(error) = journal.step(step) {
            take_back(journal);
            return Err(error);
        }
        tell::step(step, is_dry);
    }
    for remark in &plan.remarks {
        tell::line(remark);
    }
    Ok((plan, journal))
}

fn take_back(journal: Journal) {
    for error in journal.take_back() {
        complain(format_args!("it cannot be taken back: {error:#}"));
    }
}

/// Sees that what was written is in force, restarts, and looks at the ports; whether nobody has to
/// do anything about these.
fn finish(plan: &Plan, journal: &Journal, args: &Args, is_restarted: &mut bool) -> Result<bool> {
    in_force(plan)?;
    let unit = &plan.unit;
    let name = unit.short_name();
    let is_up = unit.is_active();
    if args.client.is_some() && !is_up {
        bail!(
            "it does not run, and only a process tells whether the policy is in force: systemctl \
             start {name}, and try again"
        );
    }
    let is_in = journal.is_empty() && restart::has_library(plan)?;
    if !(args.restart || args.client.is_some()) {
        if is_up && !is_in {
            tell::line(&format!(
                "it takes effect when the service is restarted: systemctl restart {name}"
            ));
        }
        return Ok(true);
    }
    if unit.state() == "inactive" {
        tell::line("it does not run: the library comes with its next start");
        return Ok(true);
    }
    if !is_in {
        tell::line("restarts it");
        *is_restarted = true;
        restart::restart(unit)?;
    }
    let is_stapled = seen::look(plan)?;
    // After that: some of its processes are started by a connection.
    if let Some(client) = plan.wanted.client {
        restart::holds(plan, client)?;
        tell::line(&format!("the policy is in force: {}", client.name()));
    }
    Ok(is_stapled)
}

/// Whether the unit, or the server, has what was written.
fn in_force(plan: &Plan) -> Result<()> {
    match plan.place {
        Place::Dovecot => dovecot::verify(&plan.wanted.library),
        Place::Unit => {
            let unit = Unit::read(&plan.unit.name)?;
            let environment = unit.environment();
            let list = environment.iter().find(|(name, _)| name == PRELOAD);
            let (_, list) = list.context("systemd does not have what was written")?;
            if crate::preload::without(list) == *list {
                bail!(
                    "another drop-in sets {PRELOAD} after ours: systemctl cat {}",
                    unit.short_name()
                );
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
