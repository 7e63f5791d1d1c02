//! `staplegun scan`: what of this machine speaks TLS, what it staples, and what to do next.

mod decide;
mod group;
mod known;
mod next;
mod progress;
mod prospect;
pub mod report;
pub mod row;
mod standing;
mod table;

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use self::decide::Decider;
use self::group::{Group, Key, Machine};
use self::known::Known;
use self::progress::Progress;
use self::prospect::Ask;
pub use self::prospect::Prospect;
use self::report::Report;
use self::row::Silent;
use crate::agent::{Configuration, Place};
use crate::check::carried::Carriers;
use crate::machine::process::{Keeper, Process};
use crate::machine::protocol::{Protocol, listens_for_others};
use crate::machine::served::{Door, Judge, Served, look_at};
use crate::probe::Starttls;
use crate::{duration, library};

/// The exit status for: The machine cannot be looked at.
pub const FAILED: u8 = 2;

const AFTER_HELP: &str = "\
A port is connected to, once, if its process has a TLS library, or is one that is known to listen \
for others that have; a server's first certificate is looked at, as a client sees it that knows no \
name. What ports of other processes show is told by --probe. One that does not answer in time is \
listed, and is no failure: many that do not speak TLS wait for more. Nothing is changed. This user \
sees what the kernel shows him: root, all.

Examples:
  staplegun scan
  staplegun scan nginx postgresql@15-main
  staplegun scan --probe 8025:smtp --json

Exit status: 0 nothing is to be done, 1 something is, 2 the machine cannot be looked at.";

/// Show what of this machine speaks TLS, what it staples, and what to do next
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only these units, programs or processes
    #[arg(value_name = "NAME|PID")]
    names: Vec<String>,

    /// Connect to this port as well; its protocol is that of its number or program, `tls`, or one
    /// that begins without TLS: smtp, imap, pop3, ftp, postgres, mysql, ldap, xmpp
    #[arg(long, value_name = "PORT[:PROTOCOL]")]
    probe: Vec<Probe>,

    /// How long each port may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,

    /// Complain of a response that ends within this time
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    warn_before: Option<Duration>,

    /// The library, if it is not where it was installed
    #[arg(
        long,
        env = "STAPLEGUN_LIB",
        hide_env_values = true,
        value_name = "FILE"
    )]
    lib: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    configuration: Configuration,
}

/// A port that the operator wants to be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    port: u16,
    protocol: Option<Protocol>,
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, protocol) = match text.split_once(':') {
            Some((port, protocol)) => (port, Some(protocol)),
            None => (text, None),
        };
        let port = port.parse().ok().filter(|port| *port != 0);
        let protocol = protocol.map(|name| match name {
            "tls" => Ok(Protocol::Tls),
            name => Starttls::from_str(name, true).map(Protocol::Starttls),
        });
        let protocol = protocol.transpose();
        match (port, protocol) {
            (Some(port), Ok(protocol)) => Ok(Self { port, protocol }),
            (None, _) => Err("a port from 1 to 65535 is expected, e.g. 8443 or 8025:smtp".into()),
            (_, Err(_)) => Err("this protocol is not known; see --help".into()),
        }
    }
}

/// Scans and prints; the exit status says whether something is to be done. `prospect` tells of
/// a unit what enabling it would come to.
///
/// # Errors
///
/// If the machine cannot be looked at, or the answer not be written.
pub fn run(args: Args, prospect: Ask) -> Result<ExitCode> {
    let report = look(&args, prospect)?;
    print(&report, args.json)?;
    Ok(ExitCode::from(u8::from(report.needs_operator())))
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = anstream::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        table::print(&mut out, report)?;
    }
    out.flush()?;
    Ok(())
}

/// Scans one unit; `lib` is the library that it is to have.
///
/// # Errors
///
/// If the machine cannot be looked at.
pub fn of_unit(unit: &str, lib: &Path, prospect: Ask) -> Result<Report> {
    let args = Args {
        names: vec![unit.to_owned()],
        probe: Vec::new(),
        timeout: Duration::from_secs(5),
        warn_before: None,
        lib: Some(lib.to_owned()),
        json: false,
        place: Place { directory: None },
        configuration: Configuration::default(),
    };
    let report = look(&args, prospect)?;
    // Not every unit has TLS that could be seen.
    Ok(report.without_missing())
}

fn look(args: &Args, prospect: Ask) -> Result<Report> {
    let settings = args.configuration.for_command(true)?;
    let layout = known::layout(&args.place)?;
    let known = Known::read(&layout);
    let judge = Judge {
        policy: settings.policy(),
        trust: settings.trust().0,
        files: known.files(),
        warn_before: args.warn_before,
    };
    let lib = args.lib.as_deref();
    library::find(lib)?;
    let carriers = Carriers::default();
    let is_probed = |port| args.probe.iter().any(|probe| probe.port == port);
    let look = || Machine::look(&carriers, |group| is_wanted(group, args), is_probed);
    let mut machine = look()?;
    machine.look_at_waiting(lib, &carriers);
    let (doors, mut silent) = doors(&machine, &args.probe);
    silent.extend(deserted(&machine, &args.probe));
    let all: Vec<Door> = doors.iter().map(|(_, door)| *door).collect();
    let mut progress = Progress::new(all.len());
    let seen = look_at(&all, args.timeout, |door| progress.done(door));
    drop(progress);
    // What a connection has started has its TLS library only now, and perhaps only as long as
    // that stands open.
    if all.iter().any(|door| door.is_held) {
        let mut now = look()?;
        for (key, group) in &mut machine.groups {
            if let Some(found) = now.groups.remove(key) {
                group.update(found);
            }
        }
        machine.survey = now.survey;
    }
    let mut served: HashMap<Key, Vec<(Door, Served)>> = HashMap::new();
    for ((key, door), seen) in doors.into_iter().zip(seen) {
        served
            .entry(key)
            .or_default()
            .push((door, judge.judge(seen)));
    }
    let decider = Decider {
        known: &known,
        machine: &machine,
        lib,
        prospect,
        carriers: &carriers,
    };
    let (rows, mut other_ports) = decider.rows(served);
    other_ports.extend(silent);
    let mut not_found = args.names.clone();
    not_found.retain(|name| !machine.groups.values().any(|group| is_named(group, name)));
    let hidden = machine.survey.hidden;
    Ok(Report::new(&known, hidden, rows, other_ports, not_found))
}

/// Whether the operator asked for it.
fn is_wanted(group: &Group, args: &Args) -> bool {
    args.names.is_empty() || args.names.iter().any(|name| is_named(group, name))
}

fn is_named(group: &Group, name: &str) -> bool {
    let unit = match &group.keeper {
        Keeper::Unit(name) | Keeper::UserUnit(_, name) => name,
        Keeper::Container | Keeper::Nobody => "",
    };
    *name == group.name()
        || name == unit
        || name.parse().is_ok_and(|pid| group.pids.contains(&pid))
        || group.program().is_some_and(|path| path.ends_with(name))
}

/// The ports to connect to, by group, and those that are left alone.
fn doors(machine: &Machine, probe: &[Probe]) -> (Vec<(Key, Door)>, Vec<Silent>) {
    let (mut doors, mut silent) = (Vec::new(), Vec::new());
    for (key, group) in &machine.groups {
        for port in &group.ports {
            let listener = machine.listener(group, port);
            let listener = listener.as_deref();
            let is_known = !group.tls.is_empty() || listener.is_some_and(listens_for_others);
            let pids: Vec<u32> = port.pids.iter().copied().collect();
            let is_harmed = machine.processes(&pids).any(Process::is_openssl_ocsp);
            let number = port.address.port();
            let wanted = probe.iter().find(|wanted| wanted.port == number);
            if (!is_known || is_harmed) && wanted.is_none() {
                silent.push(Silent::new(group, port.address, row::Why::NotProbed));
                continue;
            }
            let usual = || Protocol::of(listener, number);
            let protocol = wanted.and_then(|it| it.protocol).unwrap_or_else(usual);
            let address = port.address;
            // There is more to be seen of it while somebody is there.
            let is_held = group.tls.is_empty() || group.pids.is_empty();
            let door = Door {
                address,
                protocol,
                is_held,
            };
            doors.push((key.clone(), door));
        }
    }
    (doors, silent)
}

/// The ports that the operator named and nobody listens on.
fn deserted(machine: &Machine, probe: &[Probe]) -> Vec<Silent> {
    let ports = || machine.groups.values().flat_map(|group| &group.ports);
    let is_there = |number| ports().any(|port| port.address.port() == number);
    let deserted = probe.iter().filter(|probe| !is_there(probe.port));
    let deserted = deserted.map(|probe| Silent {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, probe.port)),
        name: None,
        why: row::Why::NoAnswer,
        reason: Some("nobody listens on it".to_owned()),
    });
    deserted.collect()
}
