//! The machine as a person wants to read it: one line for each finding, and a sentence where
//! one is needed.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use rustix::process::geteuid;
use staplegun_ocsp::printable;
use staplegun_ocsp::time::Rfc3339;

use super::report::Report;
use super::row::{Reach, Row, Silent, Status, Why};
use crate::check::maps;
use crate::columns::Columns;
use crate::machine::tls::{Origin, Tls};

/// Prints it.
///
/// # Errors
///
/// If nobody reads it any more.
pub fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let agent = match report.agent_running {
        Some(true) => "running",
        Some(false) => "not running: nothing is fetched",
        None => "unknown: ask as root",
    };
    writeln!(out, "agent       {agent}")?;
    if report.hidden > 0 {
        let (processes, is_root) = (report.hidden, geteuid().is_root());
        let advice = if is_root { "" } else { ": ask as root" };
        writeln!(
            out,
            "hidden      {processes} that may not be looked into{advice}"
        )?;
    }
    for name in &report.not_found {
        let name = shown(name);
        writeln!(
            out,
            "not found   {name}: nothing of that name runs that has a TLS library or listens"
        )?;
    }
    writeln!(out)?;
    if report.rows.is_empty() {
        writeln!(out, "No process with a TLS library was seen.")?;
    } else {
        table(out, &report.rows)?;
    }
    for (why, words) in [
        (Why::NoTls, "no TLS on"),
        (Why::NoAnswer, "no answer on"),
        (Why::NotProbed, "not probed (--probe PORT)"),
    ] {
        let ports = report.other_ports.iter().filter(|port| port.why == why);
        let mut ports: Vec<&Silent> = ports.collect();
        ports.sort_by_key(|port| port.address.port());
        let ports: Vec<String> = ports.into_iter().map(Silent::in_words).collect();
        if !ports.is_empty() {
            writeln!(out, "\n{words}: {}", ports.join(", "))?;
        }
    }
    Ok(())
}

fn table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    const HEADS: [&str; 8] = [
        "NAME",
        "PORTS",
        "TLS",
        "LIBRARY",
        "CERTIFICATE",
        "STATUS",
        "UNTIL",
        "RESPONDER",
    ];
    let all: Vec<[String; 8]> = rows.iter().map(Row::cells).collect();
    let columns = Columns::new(HEADS, &all, "STATUS");
    columns.write_heads(out)?;
    for (cells, row) in all.iter().zip(rows) {
        columns.write(out, cells, row.status.style())?;
        if let Some(reason) = &row.reason {
            // A sentence of the certificate's own says what to do already.
            let says_it = reason.contains("nothing to do") || reason.ends_with(&row.next);
            let words = match says_it {
                true => reason.clone(),
                false => format!("{reason}: {}", row.next),
            };
            writeln!(out, "    {}", shown(&words))?;
        }
    }
    Ok(())
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Revoked => "REVOKED",
            Self::Bad => "bad response",
            Self::NotStapled => "not stapled",
            Self::EndsSoon => "ends soon",
            Self::Unchecked => "UNCHECKED",
            Self::Stapled => "stapled",
            Self::NothingToStaple => "no response to staple",
            Self::NoHandshake => "no handshake",
            Self::OtherNetwork => "other network",
            Self::NoTls => "no TLS seen",
            Self::NoPort => "no port",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Self::Revoked | Self::Bad | Self::Unchecked => AnsiColor::Red,
            Self::NotStapled | Self::EndsSoon | Self::NoHandshake => AnsiColor::Yellow,
            Self::Stapled => AnsiColor::Green,
            Self::NothingToStaple | Self::OtherNetwork | Self::NoTls | Self::NoPort => {
                return Style::new();
            }
        };
        Style::new().bold().fg_color(Some(color.into()))
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let joined = |texts: Vec<String>| Some(texts.join(", ")).filter(|text| !text.is_empty());
        let mut ports: Vec<u16> = self.ports.iter().map(|port| port.address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        let ports = ports.iter().map(u16::to_string).collect();
        let library = match self.library {
            Reach::Loaded => "loaded",
            Reach::Partly => "in some",
            Reach::Reachable => "not loaded",
            Reach::Unreachable => "cannot",
            Reach::Unknown => "-",
        };
        let policy = self.client_policy.as_deref().filter(|it| *it != "unknown");
        let library = match policy {
            Some(policy) => format!("{library}, client: {policy}"),
            None => library.to_owned(),
        };
        let name = match self.unit.is_none() && self.pids.len() > 1 {
            true => format!("{} ({} processes)", self.name, self.pids.len()),
            false => self.name.clone(),
        };
        [
            Some(name).filter(|name| !name.is_empty()),
            joined(ports),
            joined(self.tls.iter().map(Tls::in_words).collect()),
            Some(library),
            self.certificate.clone(),
            Some(match (self.status, self.chain_stapled) {
                (Status::Stapled, Some(count @ 1..)) => format!("stapled, {count} of its chain"),
                (status, _) => status.word().to_owned(),
            }),
            self.until.map(|time| Rfc3339(time).to_string()),
            self.responder.as_deref().map(shown),
        ]
        .map(or_none)
    }
}

impl Tls {
    fn in_words(&self) -> String {
        let origin = match self.origin {
            Origin::System => "system",
            Origin::Wheel => "wheel",
            Origin::Static => "static",
            Origin::Other => "other",
        };
        match self.is_openssl() {
            true => format!("{} ({origin})", shown(&maps::short(&self.path))),
            false => format!("{} ({origin})", self.make),
        }
    }
}

impl Silent {
    fn in_words(&self) -> String {
        let port = self.address.port();
        match &self.name {
            Some(name) => format!("{port} ({name})"),
            None => port.to_string(),
        }
    }
}

/// Fit to be shown, whatever it holds.
fn shown(text: &str) -> String {
    const LONGEST: usize = 600;
    printable(text.as_bytes(), LONGEST)
}
