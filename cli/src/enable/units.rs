//! The units that a name means: mostly one.

use std::path::Path;

use anyhow::{Result, bail};

use crate::machine::unit::{Unit, full_name, systemctl};

/// Those that it means. One that starts nothing itself stands for those that are part of it, as
/// postgresql does for its clusters, and a target for its services.
///
/// # Errors
///
/// If it means none.
pub fn named(name: &str) -> Result<Vec<Unit>> {
    let name = full_name(name);
    if name.contains('/') {
        bail!("that is a path: a unit's name is wanted");
    }
    if let Some((template, ".service")) = name.split_once('@') {
        bail!(
            "it is a template: name an instance, {template}@NAME{}",
            instances(template)
        );
    }
    let unit = Unit::read(&name)?;
    let commands = unit.commands();
    let starts_nothing = commands.iter().all(|command| {
        let program = Path::new(&command.path).file_name();
        program == Some("true".as_ref())
    });
    let parts: Vec<String> = unit
        .parts()
        .into_iter()
        .filter(|part| part.ends_with(".service"))
        .collect();
    let is_group = unit.name.ends_with(".service") || unit.name.ends_with(".target");
    if unit.load_state() != "loaded" || !starts_nothing || !is_group {
        return Ok(vec![unit]);
    }
    if parts.is_empty() {
        bail!("it starts nothing itself, and no service is part of it");
    }
    parts.iter().map(|part| Unit::read(part)).collect()
}

/// The instances that systemd has.
fn instances(template: &str) -> String {
    let pattern = format!("{template}@*.service");
    let words = ["list-units", "--all", "--plain", "--no-legend", &pattern];
    let text = systemctl(&words).unwrap_or_default();
    let names = text.lines().filter_map(|line| {
        let name = line.split_whitespace().next()?;
        name.strip_suffix(".service")
    });
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (there are: {})", names.join(", "))
    }
}
