//! What the ports of a unit show once it was restarted, as `scan` sees it: told when all of them
//! staple, or when waiting is of no use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use staplegun_ocsp::printable;
use staplegun_ocsp::time::Rfc3339;

use super::plan::{Plan, prospect};
use super::tell;
use crate::machine::protocol::Protocol;
use crate::scan;
use crate::scan::report::Report;
use crate::scan::row::{Row, Status, Why};

/// How long the agent may take for a response, and a server that was just started to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until the second look; each one later takes twice as long.
const FIRST_STEP: Duration = Duration::from_millis(100);

/// Looks until all that listens with TLS staples, and tells how each port stands; whether nobody
/// has to do anything.
///
/// # Errors
///
/// If the machine cannot be looked at.
pub fn look(plan: &Plan) -> Result<bool> {
    let end = Instant::now() + PATIENCE;
    let mut step = FIRST_STEP;
    let report = loop {
        let report = scan::of_unit(&plan.unit.name, Path::new(&plan.wanted.library), prospect)?;
        let now = Instant::now();
        if !may_change(&report) || now >= end {
            break report;
        }
        thread::sleep(step.min(end - now));
        step *= 2;
    };
    tell(&report);
    // That nothing of it speaks TLS is for who watches it, and not for who enables it.
    Ok(!report.rows.iter().any(|row| row.needs_operator))
}

/// Whether another look may see more.
fn may_change(report: &Report) -> bool {
    let is_late = |row: &Row| {
        // What the agent has not got to yet.
        const LASTING: [&str; 5] = [
            "no_agent",
            "no_issuer",
            "spool_no_issuer",
            "untrusted_issuer",
            "must_staple",
        ];
        let cause = row.cause.as_deref().unwrap_or_default();
        row.status == Status::NotStapled && !LASTING.contains(&cause)
    };
    let mut ports = report.other_ports.iter();
    report.rows.iter().any(is_late) || ports.any(|port| port.why == Why::NoAnswer)
}

fn tell(report: &Report) {
    let mut lines: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
    for row in &report.rows {
        for port in &row.ports {
            let spoken = match port.protocol {
                Protocol::Tls => String::new(),
                protocol => format!(" ({protocol})"),
            };
            let mut all = words(row);
            all[0] = format!("{}{spoken}: {}", port.address, all[0]);
            lines.entry(port.address).or_default().extend(all);
        }
    }
    for port in &report.other_ports {
        let what = match port.why {
            Why::NoTls => "does not speak TLS",
            Why::NoAnswer => "does not answer",
            Why::NotProbed => continue,
        };
        lines
            .entry(port.address)
            .or_default()
            .push(format!("{}: {what}", port.address));
    }
    if lines.is_empty() {
        tell::line("it listens nowhere, as far as can be seen");
    }
    let others = report.rows.iter();
    let others = others.filter(|row| row.ports.is_empty() && row.needs_operator);
    for line in others.flat_map(words) {
        tell::line(&line);
    }
    for line in lines.values().flatten() {
        tell::line(line);
    }
}

/// How it stands, why, and what to do.
fn words(row: &Row) -> Vec<String> {
    const LONGEST: usize = 300;
    let shown = |text: &str| printable(text.as_bytes(), LONGEST);
    let until = row.until.map(|until| Rfc3339(until).to_string());
    let state = match (row.status, until) {
        (Status::Stapled | Status::EndsSoon, Some(until)) => format!("stapled until {until}"),
        (Status::NothingToStaple, _) => "nothing to staple".to_owned(),
        (Status::Bad, _) => "what is stapled is refused by clients".to_owned(),
        (Status::Revoked, _) => "revoked".to_owned(),
        (Status::NoHandshake, _) => "no handshake".to_owned(),
        (Status::Unchecked, _) => "not checked by a policy".to_owned(),
        _ => "not stapled".to_owned(),
    };
    let first = match &row.reason {
        Some(reason) => format!("{state}: {}", shown(reason)),
        None => state,
    };
    let next = Some(format!("    {}", shown(&row.next)));
    let next = next.filter(|_| row.reason.is_some() && !row.next.is_empty());
    [Some(first), next].into_iter().flatten().collect()
}
