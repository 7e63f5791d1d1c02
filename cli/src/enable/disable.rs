//! `staplegun disable`: undoes what `staplegun enable` did, and nothing else.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::apparmor;
use super::block;
use super::enabled::{self, drop_in};
use super::file::read;
use super::journal::{Journal, Step};
use super::node;
use super::owned::{self, Owned};
use super::places::Place;
use super::postfix::Postfix;
use super::undo::Undo;
use super::{needs, take_back, tell, units};
use crate::complain::complain;
use crate::machine::unit::{Unit, full_name, systemctl};

/// The exit status when a unit could not be disabled.
pub const FAILED: u8 = 1;

const AFTER_HELP: &str = "\
What was written goes, and what was changed is as it was. What somebody changed since is left alone, \
and told.

Examples:
  staplegun disable redis-server --restart
  staplegun disable --all --restart

Exit status: 0 they are disabled, 1 one of them is not.";

/// Take the library out of services again
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Services, with or without .service
    #[arg(required_unless_present = "all", value_name = "UNIT")]
    units: Vec<String>,

    /// All that are enabled
    #[arg(long, conflicts_with = "units")]
    all: bool,

    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,

    /// Restart those that run
    #[arg(long)]
    restart: bool,
}

/// Disables them.
///
/// # Errors
///
/// If nothing can be done for any.
pub fn run(args: Args) -> Result<ExitCode> {
    needs(args.dry_run, "disable")?;
    let names = if args.all {
        enabled::names()?
    } else {
        args.units
    };
    if names.is_empty() {
        tell::line("no service is enabled");
    }
    let mut is_well = true;
    let mut changed = Vec::new();
    for name in &names {
        if let Err(error) = one(name, args.dry_run, &mut changed) {
            complain(format_args!("{name}: {error:#}"));
            is_well = false;
        }
    }
    if !args.dry_run && !changed.is_empty() {
        systemctl(&["daemon-reload"])?;
        for unit in changed.iter().filter(|unit| unit.is_active()) {
            let name = unit.short_name();
            if !args.restart {
                let words = format!(
                    "{name} keeps the library until it is restarted: systemctl restart {name}"
                );
                tell::line(&words);
                continue;
            }
            tell::line(&format!("restarts {name}"));
            if let Err(error) = systemctl(&["restart", &unit.name]) {
                complain(format_args!("{name}: {error:#}"));
                is_well = false;
            }
        }
    }
    Ok(ExitCode::from(if is_well { 0 } else { FAILED }))
}

/// Disables what a name means; `changed` gets those for which something was done.
fn one(name: &str, is_dry: bool, changed: &mut Vec<Unit>) -> Result<()> {
    let full = full_name(name);
    // Its drop-in may have outlived the unit.
    let units = match drop_in(&full).exists() {
        true => vec![Unit::read(&full)?],
        false => units::named(name)?,
    };
    for unit in units {
        if unit.load_state() == "not-found" && !drop_in(&unit.name).exists() {
            bail!("there is no such unit");
        }
        let steps = steps(&unit)?;
        tell::unit(&unit);
        if steps.is_empty() {
            tell::line("it is not enabled");
            continue;
        }
        let mut journal = Journal::default();
        for step in &steps {
            if !is_dry && let Err(error) = journal.step(step) {
                take_back(journal);
                return Err(error);
            }
            tell::step(step, is_dry);
        }
        changed.push(unit);
    }
    Ok(())
}

/// What undoes all that was done for a unit.
fn steps(unit: &Unit) -> Result<Vec<Step>> {
    let path = drop_in(&unit.name);
    let text = read(&path)?;
    let (notes, is_ours) = match owned::owner(text.as_deref()) {
        Owned::Whole => (owned::notes(text.as_deref().unwrap_or_default()), true),
        // Somebody removed it, or never had it: then what it told is looked for.
        Owned::Missing => (likely(unit), false),
        Owned::Foreign => bail!(
            "{} is not by `staplegun enable`: if you do not want it any more, remove it",
            path.display()
        ),
        Owned::Changed => bail!(
            "{} was changed since `staplegun enable` wrote it: see what in it is yours, remove the \
             rest, and the comments at its beginning",
            path.display()
        ),
    };
    let mut steps = Vec::new();
    for note in &notes {
        steps.extend(undo(note, unit)?);
    }
    // After that, since it says what else there is to be undone.
    if let Some(text) = text.filter(|_| is_ours) {
        steps.push(Step::Remove { path, text });
    }
    let directories = notes.into_iter().filter_map(|note| match note {
        Undo::Directory { path } => Some(Step::RemoveDirectory(path)),
        _ => None,
    });
    steps.extend(directories);
    Ok(steps)
}

/// Where there may be something, if no drop-in tells.
fn likely(unit: &Unit) -> Vec<Undo> {
    match Place::of(unit) {
        Ok(Place::Postfix(instance)) => vec![Undo::Postfix {
            instance,
            before: None,
            was_cut: false,
        }],
        Ok(Place::Dovecot) => super::dovecot::Dovecot::look()
            .map(|dovecot| Undo::File {
                path: dovecot.path(),
            })
            .into_iter()
            .collect(),
        Ok(Place::Cluster(path) | Place::Apache(path) | Place::File(path)) => {
            vec![Undo::Block { path }]
        }
        Ok(Place::Unit) | Err(_) => Vec::new(),
    }
}

fn undo(note: &Undo, unit: &Unit) -> Result<Vec<Step>> {
    match note {
        Undo::Block { path } => remove_block(path, unit),
        Undo::Profile { profile, local } => {
            let mut steps = remove_block(local, unit)?;
            if !steps.is_empty() && profile.exists() {
                steps.extend(apparmor::reload(profile));
            }
            Ok(steps)
        }
        Undo::File { path } => {
            let text = read(path)?;
            match (owned::owner(text.as_deref()), text) {
                (Owned::Whole, Some(text)) => {
                    let path = path.clone();
                    Ok(vec![Step::Remove { path, text }])
                }
                (Owned::Changed, _) => bail!(
                    "{} was changed since `staplegun enable` wrote it: remove what is not yours",
                    path.display()
                ),
                _ => Ok(Vec::new()),
            }
        }
        Undo::Postfix {
            instance,
            before,
            was_cut,
        } => Ok(match Postfix::look(instance) {
            Ok(postfix) => postfix.disable(before.as_deref(), *was_cut),
            // It was removed, and its configuration with it.
            Err(_) if unit.load_state() == "not-found" => Vec::new(),
            Err(error) => return Err(error),
        }),
        // What is in them goes first.
        Undo::Policy { .. } | Undo::Directory { .. } => Ok(Vec::new()),
        Undo::LiveFiles => node::show_no_files(is_needed(note, unit)?),
        Undo::Certificate { .. } if is_needed(note, unit)? => Ok(Vec::new()),
        Undo::Certificate { path } => Ok(vec![Step::Forget(vec![path.clone()])]),
    }
}

/// Whether another enabled unit needs what is noted: by its own note, or since it shows that
/// certificate now.
fn is_needed(note: &Undo, unit: &Unit) -> Result<bool> {
    let others = enabled::others(&unit.name)?;
    if enabled::notes(&others).contains(note) {
        return Ok(true);
    }
    let Undo::Certificate { path } = note else {
        return Ok(false);
    };
    let places = others.iter().filter_map(|name| Unit::read(name).ok());
    let mut places = places.filter_map(|other| Place::of(&other).ok());
    Ok(places.any(|place| place.certificates().contains(path)))
}

fn remove_block(path: &Path, unit: &Unit) -> Result<Vec<Step>> {
    let name = unit.short_name();
    let Some(text) = read(path)? else {
        return Ok(Vec::new());
    };
    let Some(found) = block::find(&text, name) else {
        return Ok(Vec::new());
    };
    if !found.is_whole {
        bail!(
            "the lines of `staplegun enable {name}` in {} were changed since: remove them, from \
             `# Begin` to `# End`",
            path.display()
        );
    }
    let rest = block::without(&text, Some(&found));
    let path = path.to_owned();
    Ok(vec![if rest.is_empty() && found.is_new_file {
        Step::Remove { path, text }
    } else {
        Step::Write {
            path,
            before: Some(text),
            text: rest,
            shown: "(without the lines of `staplegun enable`)\n".to_owned(),
        }
    }])
}
