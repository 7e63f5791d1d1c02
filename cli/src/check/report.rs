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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::libssl::Call;

    #[test]
    fn people_are_told_the_verdict_each_reason_what_to_do_and_who_calls_openssl() {
        let examined = Examined {
            findings: vec![
                Finding::new(Effect::Note, "script", "it is a script"),
                Finding::new(Effect::Allows, "libssl", "it uses OpenSSL"),
                Finding::new(Effect::Open, "starts_programs", "it starts others"),
                Finding::new(Effect::Prevents, "setuid", "it is setuid").advise("do without"),
            ],
            libssl: vec![Libssl {
                path: "/lib/libssl.so.3".into(),
                needed_by: "/bin/server".into(),
                calls: vec![Call {
                    from: "/bin/server".into(),
                    functions: vec!["SSL_new".to_owned(), "SSL_CTX_new".to_owned()],
                }],
            }],
            ..Examined::default()
        };
        let mut out = anstream::StripStream::new(Vec::new());
        let verdict = Verdict::of(&examined.findings);
        for_people(&mut out, "/bin/server", &examined, verdict).expect("memory");
        let said = String::from_utf8(out.into_inner()).expect("UTF-8");
        assert_eq!(
            said,
            "/bin/server: cannot be reached\n\
             \x20   it is a script\n\
             \x20 + it uses OpenSSL\n\
             \x20 ? it starts others\n\
             \x20 - it is setuid\n\
             \x20     do without\n\
             \x20   /bin/server calls SSL_new, SSL_CTX_new of /lib/libssl.so.3\n"
        );
    }
}
