//! The store's status as a person wants to read it.

use std::io::{self, Write};

use staplegun_ocsp::UnixTime;
use staplegun_ocsp::time::Rfc3339;

use super::read::{One, State, Status};

/// Prints it.
///
/// # Errors
///
/// If nobody reads it any more.
pub fn print(out: &mut impl Write, status: &Status) -> io::Result<()> {
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
    writeln!(out, "agent       {agent}")?;
    writeln!(out, "in use by   {}", users(status))?;
    writeln!(out)?;
    if status.certificates.is_empty() {
        return writeln!(
            out,
            "No certificates yet: start a program under staplegun, or name some by staplegun add."
        );
    }
    let rows: Vec<[String; 5]> = status.certificates.iter().map(row).collect();
    let heads = [
        "CERTIFICATE",
        "STATUS",
        "UNTIL",
        "NEXT REFRESH",
        "RESPONDER",
    ]
    .map(str::to_owned);
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows
                .iter()
                .chain([&heads])
                .map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    print_row(out, &heads, &widths)?;
    for (row, one) in rows.iter().zip(&status.certificates) {
        print_row(out, row, &widths)?;
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
        one.subject.clone(),
        word(one.status).to_owned(),
        time(one.until),
        time(one.next_refresh),
        one.responder.clone().unwrap_or_else(|| "-".to_owned()),
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

fn print_row(out: &mut impl Write, cells: &[String; 5], widths: &[usize]) -> io::Result<()> {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    writeln!(out, "{}", padded.join("  ").trim_end())
}
