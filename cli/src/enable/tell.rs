//! Tells the operator what is done.

use std::io::Write;

use anyhow::Result;

use super::journal::Step;
use crate::machine::unit::Unit;
use crate::shell;

/// Which unit it is about.
///
/// # Errors
///
/// If it cannot be written.
pub fn unit(unit: &Unit) -> Result<()> {
    let bold = anstyle::Style::new().bold();
    Ok(writeln!(
        anstream::stdout(),
        "{bold}{}{bold:#}:",
        unit.short_name()
    )?)
}

/// A line about it.
///
/// # Errors
///
/// If it cannot be written.
pub fn line(text: &str) -> Result<()> {
    Ok(writeln!(anstream::stdout(), "  {text}")?)
}

/// What is done, or would be.
///
/// # Errors
///
/// If it cannot be written.
pub fn step(step: &Step, is_dry: bool) -> Result<()> {
    let verb = |done: &str, would: &str| if is_dry { would } else { done }.to_owned();
    let (what, shown) = match step {
        Step::Write { path, shown, .. } => {
            let verb = verb("wrote", "would write");
            (format!("{verb} {}", path.display()), shown.as_str())
        }
        Step::Remove(path) => {
            let verb = verb("removed", "would remove");
            (format!("{verb} {}", path.display()), "")
        }
        Step::Run { words, .. } => {
            let verb = verb("ran", "would run");
            let words: Vec<String> = words.iter().map(|word| shell::word(word)).collect();
            (format!("{verb} {}", words.join(" ")), "")
        }
        Step::Name(paths) | Step::Forget(paths) => {
            let is_named = matches!(step, Step::Name(_));
            let verb = match is_named {
                true => verb("named to the agent:", "would name to the agent:"),
                false => verb(
                    "no longer named to the agent:",
                    "would no longer name to the agent:",
                ),
            };
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            (format!("{verb} {}", paths.join(" ")), "")
        }
    };
    line(&what)?;
    shown
        .lines()
        .try_for_each(|shown| line(&format!("    {shown}")))
}
