//! The store's status as a person wants to read it.

use staplegun_ocsp::UnixTime;
use staplegun_ocsp::time::Rfc3339;

use super::read::{One, State, Status};
use crate::agent::CAUSE_REVOKED;

/// Prints it to standard output.
pub fn print(status: &Status) {
    println!("store       {}", status.store);
    match &status.map_error {
        None => println!("live map    {}", status.map),
        Some(error) => println!("live map    cannot be used: {error}"),
    }
    let agent = match status.agent_running {
        Some(true) => "running",
        Some(false) => "not running: nothing is refreshed",
        None => "unknown: ask as the agent's user or root",
    };
    println!("agent       {agent}");
    println!("in use by   {}", users(status));
    println!();
    if status.certificates.is_empty() {
        println!(
            "No certificates yet: start a program under staplegun, or name some by staplegun add."
        );
        return;
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
    print_row(&heads, &widths);
    for (row, one) in rows.iter().zip(&status.certificates) {
        print_row(row, &widths);
        if let Some(since) = one.revoked_since {
            println!("    revoked since {}: replace it", Rfc3339(since));
        }
        let is_told =
            one.revoked_since.is_some() && one.last_cause.as_deref() == Some(CAUSE_REVOKED);
        if let Some(error) = one.last_error.as_ref().filter(|_| !is_told) {
            let times = match one.failures {
                0 | 1 => String::new(),
                times => format!(" ({times} times in a row)"),
            };
            println!("    {error}{times}");
        }
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
        State::Damaged => "damaged",
    }
}

fn print_row(cells: &[String; 5], widths: &[usize]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    println!("{}", padded.join("  ").trim_end());
}
