//! What a unit needs, as a plan: nothing is changed here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::User;
use rustix::process::geteuid;
use staplegun_store::layout::Layout;

use super::apparmor;
use super::enabled::{self, drop_in};
use super::file::read;
use super::fit;
use super::journal::Step;
use super::node::{self, Node, percent};
use super::owned::{self, Owned};
use super::places::{Change, Place};
use super::sandbox::{self, Reach};
use super::squid;
use super::undo::Undo;
use super::wanted::{CLIENT, PRELOAD, Wanted};
use crate::check::elf::Image;
use crate::check::finding::obstacle;
use crate::check::privileges::Starter;
use crate::check::program;
use crate::client::Client;
use crate::machine::unit::Unit;
use crate::scan::Prospect;
use crate::{library, lookup, naming, preload};

/// What is to be done for a unit.
#[derive(Debug)]
pub struct Plan {
    /// The unit.
    pub unit: Unit,
    /// What its programs get.
    pub wanted: Wanted,
    /// What it needs besides if it starts Node.js with an OpenSSL of its own.
    pub node: Option<Node>,
    /// Where its programs have their environment from.
    pub place: Place,
    /// What is to be done; nothing if it is done already.
    pub steps: Vec<Step>,
    /// What the operator should know.
    pub remarks: Vec<String>,
    /// Whether somebody else wrote the drop-in, so that nothing is done.
    pub is_by_hand: bool,
}

/// Why a unit cannot be enabled whatever it starts.
///
/// # Errors
///
/// That.
fn refuse(unit: &Unit) -> Result<()> {
    let name = unit.short_name();
    match unit.load_state() {
        "loaded" => {}
        "masked" => bail!("it is masked: systemctl unmask {name}"),
        "not-found" => bail!("there is no such unit: systemctl list-units shows those that run"),
        state => bail!("its file is not right ({state}): {}", unit.load_error()),
    }
    if !unit.name.ends_with(".service") {
        bail!("it is no service: name the one that it starts (systemctl show -P Triggers {name})");
    }
    if name == "staplegun" || name == "staplegun-fill" {
        bail!("the agent staples nothing itself");
    }
    Ok(())
}

/// Makes the plan.
///
/// # Errors
///
/// Why the unit cannot be reached, and the nearest way that works.
pub fn plan(unit: Unit, lib: Option<&Path>, client: Option<Client>) -> Result<Plan> {
    refuse(&unit)?;
    let layout = Layout::system();
    let programs = programs(&unit)?;
    let libc = programs.first().and_then(|program| program::libc(program));
    let library = fit::path(&library::find_for(lib, libc)?)?;
    let node = reachable(&unit, &programs, &Image::read(&library)?)?;
    let node = node.map(|program| Node::of(&unit, program)).transpose()?;
    let mut wanted = Wanted {
        library: library.display().to_string(),
        client,
    };
    let removed = unit
        .unset()
        .into_iter()
        .find(|word| word.starts_with(PRELOAD));
    if removed.is_some() {
        bail!(
            "its unit takes {PRELOAD} away (UnsetEnvironment=): empty that with systemctl edit {}",
            unit.short_name()
        );
    }
    let path = drop_in(&unit.name);
    let there = read(&path)?;
    let known = match owned::owner(there.as_deref()) {
        Owned::Missing => Vec::new(),
        Owned::Whole => owned::notes(there.as_deref().unwrap_or_default()),
        Owned::Changed | Owned::Foreign => return by_hand(unit, wanted, &path),
    };
    let ours = there.as_deref().unwrap_or_default();
    wanted.client = wanted.client.or_else(|| policy(&known));
    if node.is_some() && wanted.client.is_some_and(|client| client != Client::Off) {
        bail!(
            "the policy would not be in force: the library does not reach the clients in Node.js with \
             an OpenSSL of its own"
        );
    }
    let place = Place::of(&unit)?;
    let library = library
        .canonicalize()
        .with_context(|| format!("cannot find {}", wanted.library))?;
    let reach = Reach {
        library: library.parent().unwrap_or(Path::new("/")).to_owned(),
        runtime: layout.runtime().to_owned(),
        spool: layout.spool(),
    };
    let mut change = place.enable(&unit, &wanted, &known)?;
    if let Some(profile) = apparmor::profile(&unit, &programs, &reach)? {
        let (steps, undo) = profile.enable(&unit, &reach)?;
        change.steps.extend(steps);
        change.undo.push(undo);
    }
    let mut service = Vec::new();
    if place == Place::Unit {
        let environment = unit.environment();
        let value = |wanted: &str| environment.iter().find(|(name, _)| name == wanted);
        let preloaded = value(PRELOAD).map_or("", |(_, value)| value.as_str());
        let preloaded = preload::without(preloaded);
        let variables = wanted.variables(&preloaded).into_iter();
        service.extend(
            variables.map(|(name, value)| format!("Environment={name}={}", percent(&value))),
        );
    }
    if let Some(node) = &node {
        service.push(node.line());
        change.remarks.push(node.remark());
        let (steps, undo) = node::show_files()?;
        change.steps.extend(steps);
        change.undo.extend(undo);
    }
    service.extend(sandbox::lines(&unit, &reach, ours)?);
    if let Some((line, remark)) = squid::start(&unit, ours)? {
        service.extend(line);
        change.remarks.push(remark);
    }
    let others = enabled::notes(&enabled::others(&unit.name)?);
    certificates(&place, &layout, &known, &others, &mut change);
    note_directories(&path, &mut change);
    let policy = wanted.client.map(|client| Undo::Policy { client });
    change.undo.extend(policy);
    keep(&known, &mut change.undo);
    let body = body(&place, &service);
    let text = owned::text(unit.short_name(), &change.undo, &body);
    let mut steps = change.steps;
    if there.as_deref() != Some(text.as_str()) {
        // First, since it says what is to be undone.
        let step = Step::Write {
            path,
            before: there,
            text,
            shown: body,
        };
        steps.insert(0, step);
    }
    Ok(Plan {
        unit,
        wanted,
        node,
        place,
        steps,
        remarks: change.remarks,
        is_by_hand: false,
    })
}

/// Notes the directories that are made for the drop-in and for what is written elsewhere.
fn note_directories(drop_in: &Path, change: &mut Change) {
    let written = change.steps.iter().filter_map(|step| match step {
        Step::Write { path, .. } => Some(path.as_path()),
        _ => None,
    });
    let directories = written.chain([drop_in]).filter_map(Path::parent);
    let missing = directories.filter(|directory| !directory.exists());
    let notes = missing.map(|path| Undo::Directory {
        path: path.to_owned(),
    });
    change.undo.extend(notes.collect::<Vec<_>>());
}

/// Keeps what was noted before: what was done then is to be undone as well, though the unit may have
/// its environment or its certificates from elsewhere now.
fn keep(known: &[Undo], notes: &mut Vec<Undo>) {
    for note in known {
        if !notes.contains(note) && !matches!(note, Undo::Policy { .. }) {
            notes.push(note.clone());
        }
    }
}

/// The policy that was asked for before.
fn policy(known: &[Undo]) -> Option<Client> {
    known.iter().find_map(|note| match note {
        Undo::Policy { client } => Some(*client),
        _ => None,
    })
}

/// The drop-in, after its first lines.
fn body(place: &Place, service: &[String]) -> String {
    let mut text = String::new();
    if *place != Place::Unit {
        // What stands elsewhere is all that it needs; but what it loads before the agent knows
        // it, it must find in the map.
        let fill = "staplegun-fill.service";
        text.push_str(&format!("[Unit]\nWants={fill}\nAfter={fill}\n"));
    }
    if !service.is_empty() {
        text.push_str(&format!("[Service]\n{}\n", service.join("\n")));
    }
    text
}

/// A drop-in that somebody wrote or changed is left alone: that is right if it does what is
/// wanted.
fn by_hand(unit: Unit, wanted: Wanted, path: &Path) -> Result<Plan> {
    let environment = unit.environment();
    let value = |name: &str| {
        let mut all = environment.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let preloaded = value(PRELOAD).is_some_and(|list| preload::without(list) != list);
    let client = wanted.client.map(|client| client.name());
    let is_wanted = client.is_none() || client.as_deref() == value(CLIENT);
    let whose = "is not as `staplegun enable` writes it";
    if !preloaded || !is_wanted {
        bail!(
            "{} {whose}: move your lines into another file of that directory, remove it, and try \
             again",
            path.display()
        );
    }
    let remark = format!(
        "{} {whose}, and brings the library in: it stays as it is",
        path.display()
    );
    Ok(Plan {
        unit,
        wanted,
        node: None,
        place: Place::Unit,
        steps: Vec::new(),
        remarks: vec![remark],
        is_by_hand: true,
    })
}

/// What it starts, and what runs in the end, if it runs.
fn programs(unit: &Unit) -> Result<Vec<PathBuf>> {
    let mut programs: Vec<PathBuf> = Vec::new();
    let running = unit
        .main_pid()
        .and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
    // One that was upgraded since is no longer there.
    programs.extend(running.filter(|path| path.exists()));
    for command in unit.commands() {
        // systemd looks for a name as a shell does.
        let path = lookup::program(command.path.as_ref())?;
        if !programs.contains(&path) {
            programs.push(path);
        }
    }
    if programs.is_empty() {
        bail!("it starts nothing");
    }
    Ok(programs)
}

/// Whether the library reaches what runs in the end: the main process's program, or what the unit
/// starts. The program, if it is Node.js with an OpenSSL of its own, which staples otherwise.
fn reachable(unit: &Unit, programs: &[PathBuf], shim: &Image) -> Result<Option<PathBuf>> {
    let starter = starter(unit);
    let Some(program) = programs.first() else {
        return Ok(None);
    };
    let examined = program::examine_as(program, shim, &starter)?;
    let Some(obstacle) = obstacle(&examined.findings) else {
        return Ok(Some(examined.program).filter(|_| examined.is_node));
    };
    bail!(
        "the library cannot reach {}: {}",
        examined.program.display(),
        obstacle
    )
}

/// Who starts its programs.
fn starter(unit: &Unit) -> Starter {
    let user = User::from_name(unit.user()).ok().flatten();
    let number = unit.user().parse().ok();
    // A user that is made when it is started is not root.
    const SOMEBODY: u32 = 65_534;
    let uid = user.as_ref().map(|user| user.uid.as_raw()).or(number);
    Starter {
        uid: uid.filter(|_| !unit.is_dynamic()).unwrap_or(SOMEBODY),
        gid: user.map_or(SOMEBODY, |user| user.gid.as_raw()),
        gains_nothing: unit.gains_no_privileges(),
    }
}

/// Names the certificates to the agent that a server shows and does not tell it of. One that was
/// named for another unit, by the notes of the `others`, is named for this one as well: it stays
/// named until the last of them is disabled.
fn certificates(
    place: &Place,
    layout: &Layout,
    known: &[Undo],
    others: &[Undo],
    change: &mut Change,
) {
    let listed = naming::all(layout).unwrap_or_default();
    let is_in = |notes: &[Undo], path: &Path| {
        let mut notes = notes.iter();
        notes.any(|note| matches!(note, Undo::Certificate { path: it } if it == path))
    };
    let mut ours = place.certificates();
    ours.retain(|path| !listed.contains(path) || is_in(known, path) || is_in(others, path));
    let mut new = ours.clone();
    new.retain(|path| !listed.contains(path) || !is_in(known, path));
    let notes = ours.into_iter().map(|path| Undo::Certificate { path });
    change.undo.extend(notes);
    if !new.is_empty() {
        change.steps.push(Step::Name(new));
    }
}

/// What enabling a unit would come to; nothing is changed.
pub fn prospect(name: &str, lib: Option<&Path>) -> Prospect {
    let plan = Unit::read(name).and_then(|unit| plan(unit, lib, None));
    match plan {
        Ok(plan) if plan.steps.is_empty() => Prospect::Enabled,
        // What only root may read is in the way of nobody else.
        Err(error) if geteuid().is_root() => Prospect::Cannot(format!("{error:#}")),
        Ok(_) | Err(_) => Prospect::Possible,
    }
}
