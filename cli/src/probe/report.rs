//! Shows what was seen: for people, or as JSON for programs.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;

use super::handshake::Seen;
use super::judge::{Answer, Outcome};
use super::target::Target;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Json<'r> {
    target: String,
    tls: &'r str,
    stapled: bool,
    trusted: bool,
    #[serde(flatten)]
    outcome: &'r Outcome,
}

/// Prints the outcome.
pub fn print(target: &Target, seen: &Seen, outcome: &Outcome, json: bool) -> Result<()> {
    let mut out = anstream::stdout();
    if json {
        let report = Json {
            target: target.to_string(),
            tls: seen.version,
            stapled: seen.staple.is_some(),
            trusted: seen.untrusted.is_none(),
            outcome,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        for_people(&mut out, target, seen, outcome)?;
    }
    out.flush()?;
    Ok(())
}

fn for_people(out: &mut impl Write, target: &Target, seen: &Seen, outcome: &Outcome) -> Result<()> {
    let (colour, words) = match outcome.answer {
        Answer::Good => (AnsiColor::Green, "a good response is stapled"),
        Answer::EndsSoon => (
            AnsiColor::Yellow,
            "a good response is stapled, but it ends soon",
        ),
        Answer::NotStapled => (AnsiColor::Yellow, "not stapled"),
        Answer::Bad => (AnsiColor::Red, "a response is stapled that clients refuse"),
        Answer::Untrusted => (AnsiColor::Red, "not trusted"),
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    writeln!(out, "{target}: {style}{words}{style:#}")?;
    if let Some(reason) = &outcome.reason {
        writeln!(out, "  {reason}")?;
    }
    let must_staple = if outcome.must_staple {
        ", must-staple"
    } else {
        ""
    };
    let lines = [
        ("TLS", Some(seen.version.to_owned())),
        (
            "certificate",
            outcome.subject.as_ref().map(|subject| {
                let serial = outcome.serial.as_deref().unwrap_or("unknown");
                format!("{subject} (serial {serial}{must_staple})")
            }),
        ),
        ("status", outcome.status.map(str::to_owned)),
        ("thisUpdate", outcome.this_update.clone()),
        ("nextUpdate", outcome.next_update.clone()),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            writeln!(out, "  {name:<12} {value}")?;
        }
    }
    // Where a server staples for its certificate alone there is nothing to be said.
    if outcome.chain.iter().any(|link| link.stapled) {
        for link in &outcome.chain {
            writeln!(out, "  {:<12} {}", "chain", link.in_words())?;
        }
    }
    if seen.staple.is_some()
        && let Some(why) = &seen.untrusted
    {
        writeln!(out, "  {:<12} no: {why}", "trusted")?;
    }
    Ok(())
}
