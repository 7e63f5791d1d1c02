//! The units that are enabled, by their drop-ins, and what each of them has noted there: several may
//! need the same, and then it stays until the last of them is disabled.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::file::read;
use super::owned::{self, Owned};
use super::undo::Undo;
use crate::machine::unit::full_name;

const UNITS: &str = "/etc/systemd/system";

/// Where the drop-in of a unit lies.
pub fn drop_in(name: &str) -> PathBuf {
    Path::new(UNITS).join(format!("{name}.d/staplegun.conf"))
}

/// Their names, as people type them.
///
/// # Errors
///
/// If it cannot be seen which there are.
pub fn names() -> Result<Vec<String>> {
    let cannot = || format!("cannot list {UNITS}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(UNITS).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name();
        let Some(unit) = name.to_str().and_then(|name| name.strip_suffix(".d")) else {
            continue;
        };
        let text = read(&drop_in(unit)).ok().flatten();
        if !matches!(
            owned::owner(text.as_deref()),
            Owned::Missing | Owned::Foreign
        ) {
            names.push(unit.strip_suffix(".service").unwrap_or(unit).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The names of those that are not `unit`, in full.
///
/// # Errors
///
/// As of [`names`].
pub fn others(unit: &str) -> Result<Vec<String>> {
    let mut others: Vec<String> = names()?.iter().map(|name| full_name(name)).collect();
    others.retain(|other| other != unit);
    Ok(others)
}

/// What those of these names have noted.
pub fn notes(names: &[String]) -> Vec<Undo> {
    let texts = names.iter().map(|name| read(&drop_in(&full_name(name))));
    texts
        .filter_map(|text| Some(owned::notes(&text.ok()??)))
        .flatten()
        .collect()
}
