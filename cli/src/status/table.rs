//! The store's status as a person wants to read it.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use staplegun_ocsp::UnixTime;
use staplegun_ocsp::time::Rfc3339;

use super::read::{One, State, Status};
use crate::columns::Columns;

/// Which certificates come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By subject.
    BySubject,
    /// Those for which somebody has to do something.
    NeedyFirst,
}

/// Prints it.
///
/// # Errors
///
/// If nobody reads it any more.
pub fn print(out: &mut impl Write, status: &Status, order: Order) -> io::Result<()> {
    writeln!(out, "store       {}", status.store)?;
    match &status.map_error {
        None => writeln!(out, "live map    {}", status.map)?,
        Some(error) => writeln!(out, "live map    cannot be used: {error}")?,
    }
    let agent = match status.agent_running {
        Some(true) => "running",
        Some(false) => "not running: nothing is refreshed",
        None => "unknown: ask as the agent's user or root",
    };
    let is_gone = status.agent_running == Some(false);
    let red = if is_gone {
        AnsiColor::Red.on_default()
    } else {
        Style::new()
    };
    writeln!(out, "agent       {red}{agent}{red:#}")?;
    writeln!(out, "in use by   {}", users(status))?;
    writeln!(out)?;
    if status.certificates.is_empty() {
        return writeln!(
            out,
            "No certificates yet: start a program under staplegun, or name some by staplegun add."
        );
    }
    let mut all: Vec<&One> = status.certificates.iter().collect();
    if order == Order::NeedyFirst {
        all.sort_by_key(|one| !one.needs_operator);
    }
    let rows: Vec<[String; 5]> = all.iter().map(|one| row(one)).collect();
    let heads = [
        "CERTIFICATE",
        "STATUS",
        "UNTIL",
        "NEXT REFRESH",
        "RESPONDER",
    ];
    let columns = Columns::new(heads, &rows, "STATUS");
    columns.write_heads(out)?;
    for (row, one) in rows.iter().zip(all) {
        columns.write(out, row, style(one))?;
        if let Some(sentence) = &one.sentence {
            writeln!(out, "    {sentence}")?;
        }
        // What is stapled may not be renewed; what is revoked, not be asked for.
        let is_told =
            !matches!(one.status, State::Stapled | State::Revoked) || one.last_cause == one.cause;
        if let Some(error) = one.last_error.as_ref().filter(|_| !is_told) {
            let times = match one.failures {
                0 | 1 => String::new(),
                times => format!(" ({times} times in a row)"),
            };
            writeln!(out, "    {error}{times}")?;
        }
    }
    Ok(())
}

/// Of which color the status is: what is well green, what nobody has to care for none.
fn style(one: &One) -> Style {
    match one.status {
        State::Revoked => AnsiColor::Red.on_default().bold(),
        State::Stapled if one.failures > 0 => AnsiColor::Yellow.on_default(),
        State::Stapled => AnsiColor::Green.on_default(),
        _ if one.needs_operator => AnsiColor::Red.on_default(),
        _ => Style::new(),
    }
}

fn users(status: &Status) -> String {
    let mut users: Vec<String> = status
        .mapped_by
        .processes
        .iter()
        .map(|process| format!("{} ({})", process.name, process.pid))
        .collect();
    if users.is_empty() {
        users.push("no process that may be looked into".to_owned());
    }
    if status.mapped_by.hidden > 0 {
        users.push(format!(
            "not to be looked into: {}",
            status.mapped_by.hidden
        ));
    }
    users.join(", ")
}

fn row(one: &One) -> [String; 5] {
    let time = |time: Option<UnixTime>| {
        time.map_or_else(|| "-".to_owned(), |time| Rfc3339(time).to_string())
    };
    [
        match one.leaves {
            None => one.subject.clone(),
            Some(_) => format!("{} (intermediate)", one.subject),
        },
        word(one.status).to_owned(),
        time(one.until),
        time(one.next_refresh),
        match one.fleet_since {
            Some(since) => format!("the fleet since {}", Rfc3339(since)),
            None => one.responder.clone().unwrap_or_else(|| "-".to_owned()),
        },
    ]
}

fn word(state: State) -> &'static str {
    match state {
        State::Stapled => "stapled",
        State::Expired => "expired",
        State::NotYetValid => "not yet valid",
        State::Revoked => "REVOKED",
        State::Missing => "no response",
        State::NoResponder => "no responder",
        State::NoIssuer => "no issuer",
        State::PassedOver => "passed over",
        State::Unreadable => "unreadable",
        State::Damaged => "damaged",
    }
}
