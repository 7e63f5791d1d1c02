//! Shows what was found out: for people, or as JSON for programs.

use std::io::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;

use super::finding::{Effect, Finding, Verdict};
use super::libssl::{Examined, Libssl};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Json<'r> {
    subject: &'r str,
    program: &'r Path,
    library: &'r Path,
    verdict: Verdict,
    findings: &'r [Finding],
    libssl: &'r [Libssl],
}

/// Prints the report; `subject` is what was asked about.
pub fn print(subject: &str, examined: &Examined, library: &Path, json: bool) -> Result<Verdict> {
    let verdict = Verdict::of(&examined.findings);
    let mut out = anstream::stdout();
    if json {
        let report = Json {
            subject,
            program: &examined.program,
            library,
            verdict,
            findings: &examined.findings,
            libssl: &examined.libssl,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        for_people(&mut out, subject, examined, verdict)?;
    }
    out.flush()?;
    Ok(verdict)
}

fn for_people(
    out: &mut impl Write,
    subject: &str,
    examined: &Examined,
    verdict: Verdict,
) -> Result<()> {
    let (colour, words) = match verdict {
        Verdict::Reachable => (AnsiColor::Green, "can be reached"),
        Verdict::NotReachable => (AnsiColor::Red, "cannot be reached"),
        Verdict::CannotTell => (AnsiColor::Yellow, "may or may not be reached"),
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    writeln!(out, "{subject}: {style}{words}{style:#}")?;
    for finding in &examined.findings {
        let mark = match finding.effect {
            Effect::Prevents => "-",
            Effect::Allows => "+",
            Effect::Open => "?",
            Effect::Note => " ",
        };
        writeln!(out, "  {mark} {}", finding.text)?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "      {advice}")?;
        }
    }
    for libssl in &examined.libssl {
        for call in &libssl.calls {
            writeln!(
                out,
                "    {} calls {} of {}",
                call.from.display(),
                call.functions.join(", "),
                libssl.path.display()
            )?;
        }
    }
    Ok(())
}
