//! Tells the operator what is done: where standard output cannot be written, on standard error. What
//! is done does not depend on it.

use std::fmt::Display;
use std::io::Write;

use super::journal::Step;
use crate::complain::complain;
use crate::machine::unit::Unit;
use crate::shell;

/// Which unit it is about.
pub fn unit(unit: &Unit) {
    let bold = anstyle::Style::new().bold();
    let name = unit.short_name();
    say(format_args!("{bold}{name}{bold:#}:"));
}

/// A line about it.
pub fn line(text: &str) {
    say(format_args!("  {text}"));
}

fn say(words: impl Display) {
    if writeln!(anstream::stdout(), "{words}").is_err() {
        complain(anstream::adapter::strip_str(&words.to_string()));
    }
}

/// What is done, or would be.
pub fn step(step: &Step, is_dry: bool) {
    let verb = |done: &str, would: &str| if is_dry { would } else { done }.to_owned();
    let (what, shown) = match step {
        Step::Write { path, shown, .. } => {
            let verb = verb("wrote", "would write");
            (format!("{verb} {}", path.display()), shown.as_str())
        }
        Step::Remove { path, .. } => {
            let verb = verb("removed", "would remove");
            (format!("{verb} {}", path.display()), "")
        }
        // It may stay, and nobody misses it.
        Step::RemoveDirectory(_) => return,
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
    line(&what);
    for shown in shown.lines() {
        line(&format!("    {shown}"));
    }
}
