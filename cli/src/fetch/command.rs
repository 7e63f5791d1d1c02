//! `staplegun fetch`: asks once for each certificate, tells what came, stores it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{UnixTime, Verdict};
use staplegun_store::name;

use super::output::{self, Output};
use super::store::{Stored, keep};
use super::{
    Client, Failure, Fetched, Issuers, Manner, Override, Question, Received, Responders, Subject,
    fetch,
};
use crate::agent::{Configuration, Place, now, start_log};

const AFTER_HELP: &str = "\
Exit status: 0 there is a good response for each, 1 for one there is none or the agent that was \
handed it has not acted, 2 what was asked for cannot be done, 3 one is revoked.";

/// Fetch the responses for certificates once
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Certificates: PEM with the leaf first, or DER
    #[arg(required = true, value_name = "CERT")]
    certificates: Vec<PathBuf>,
    /// The certificate of the issuer, if it is not in the same file
    #[arg(long, value_name = "FILE")]
    issuer: Vec<PathBuf>,
    /// Ask URL where a certificate's responder begins with PREFIX; for an issuer:
    /// sha256:HEX=URL
    #[arg(long = "responder", value_name = "PREFIX=URL", value_parser = Override::parse)]
    responders: Vec<Override>,
    /// Write the response (DER) to this file, unless a better one is there
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write it there even if it says "revoked"
    #[arg(long, requires = "output")]
    even_revoked: bool,
    /// Do not keep the responses in the store
    #[arg(long)]
    no_store: bool,
    /// Tell it in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    configuration: Configuration,
}

/// The exit status when it could not even be asked.
pub const FAILED: u8 = 2;

/// The exit status for a revoked certificate.
const REVOKED: u8 = 3;

/// What is told of one certificate.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    sha256: Option<String>,
    subject: Option<String>,
    /// good, revoked or failed.
    status: &'static str,
    responder: Option<String>,
    this_update: Option<UnixTime>,
    /// When the response ends: nextUpdate, or what stands in for it.
    until: Option<UnixTime>,
    cause: Option<&'static str>,
    error: Option<String>,
    /// What became of the file that was named.
    output: Option<Output>,
    /// What became of it in the store.
    stored: Option<Stored>,
}

/// Fetches.
///
/// # Errors
///
/// If what was asked for cannot be done; responders that fail are told as such.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    start_log(tracing::Level::WARN);
    if args.output.is_some() && args.certificates.len() != 1 {
        bail!("--output takes the response for one certificate");
    }
    let mut reports = Vec::new();
    let is_system = args.place.is_system();
    let (settings, manner) = args.configuration.manner(is_system, &args.responders)?;
    let manner = Arc::new(manner);
    let mut asker = Asker {
        issuers: Issuers::default(),
        responders: Responders::default(),
        client: Client::new(manner.patience, Arc::clone(&manner.proxies)),
        manner,
        map_size: settings.map_size,
    };
    for file in &args.certificates {
        reports.push(one(file, &args, &mut asker)?);
    }
    // `println!` would panic once nobody reads it any more.
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&reports)?)?;
    } else {
        for report in &reports {
            print(&mut out, report)?;
        }
    }
    let has = |status| reports.iter().any(|report| report.status == status);
    Ok(if has("revoked") {
        ExitCode::from(REVOKED)
    } else if has("failed") || reports.iter().any(is_unanswered) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn is_unanswered(report: &Report) -> bool {
    report.stored == Some(Stored::Unanswered)
}

/// What asking for one certificate after another takes.
struct Asker {
    manner: Arc<Manner>,
    issuers: Issuers,
    responders: Responders,
    client: Client,
    /// Of a map that is made.
    map_size: usize,
}

impl Asker {
    fn ask(&mut self, subject: &Subject) -> Fetched {
        let question = Question {
            subject: Arc::new(subject.clone()),
            manner: Arc::clone(&self.manner),
            turn: 0,
            is_ours: true,
            heed: Duration::ZERO,
        };
        let (issuers, responders) = (&self.issuers, &self.responders);
        fetch(&question, issuers, responders, &mut self.client, now())
    }
}

fn one(file: &Path, args: &Args, asker: &mut Asker) -> anyhow::Result<Report> {
    let issuers = &asker.issuers;
    let mut subject = Subject::from_file(file, issuers)?;
    let order = wrong_order(&subject).unwrap_or_default();
    for issuer in &args.issuer {
        let bytes = super::subject::read(issuer)
            .with_context(|| format!("cannot read the issuer {}", issuer.display()))?;
        let mut candidates = super::subject::certificates_in(&bytes);
        if candidates.is_empty() {
            bail!("{} holds no certificate", issuer.display());
        }
        candidates.retain(|der| subject.complete(der, issuers));
    }
    let fetched = asker.ask(&subject);
    let policy = &asker.manner.policy;
    let subject = fetched.completed.unwrap_or(subject);
    let mut report = Report {
        file: file.display().to_string(),
        sha256: Some(name::of_key(&subject.key())),
        subject: Some(subject.leaf.display_subject()),
        status: "failed",
        responder: None,
        this_update: None,
        until: None,
        cause: None,
        error: None,
        output: None,
        stored: None,
    };
    match fetched.outcome {
        Ok(received) => {
            if let Some(file) = &args.output {
                let (staple, even_revoked) = (&received.staple, args.even_revoked);
                let written = output::write(file, &subject, staple, even_revoked, policy, now())?;
                report.output = Some(written);
            }
            if !args.no_store {
                let layout = args.place.layout()?;
                report.stored = Some(keep(
                    &layout,
                    &subject,
                    &received.staple,
                    policy,
                    asker.map_size,
                )?);
            }
            fill(&mut report, received);
        }
        Err(failure) => {
            report.cause = Some(failure.cause());
            report.error = Some(format!("{failure}{order}"));
            let Failure { responder, .. } = failure;
            report.responder = Some(responder).filter(|responder| !responder.is_empty());
        }
    }
    Ok(report)
}

/// What is told of a file that begins with an authority's certificate, and goes on.
fn wrong_order(subject: &Subject) -> Option<&'static str> {
    (subject.leaf.is_ca() && subject.ders().len() > 1).then_some(
        " (the first certificate in the file is an authority's: the server's own must come first)",
    )
}

fn fill(report: &mut Report, received: Received) {
    report.responder = Some(received.responder);
    report.this_update = Some(received.staple.validity.from);
    report.until = Some(received.staple.validity.until);
    match received.staple.verdict {
        Verdict::Good => report.status = "good",
        Verdict::Revoked { since, .. } => {
            report.status = "revoked";
            report.cause = Some("revoked");
            report.error = Some(format!("revoked since {}; replace it", Rfc3339(since)));
        }
    }
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let time = |time: Option<UnixTime>| time.map(|time| Rfc3339(time).to_string());
    let fields = [
        ("certificate", report.subject.clone()),
        ("status", Some(report.status.to_owned())),
        ("responder", report.responder.clone()),
        ("thisUpdate", time(report.this_update)),
        ("until", time(report.until)),
        ("error", report.error.clone()),
        ("output", report.output.as_ref().map(ToString::to_string)),
        ("store", report.stored.as_ref().map(ToString::to_string)),
    ];
    writeln!(out, "{}:", report.file)?;
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(out, "  {name:<12} {value}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use staplegun_ocsp::Policy;
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::fetch::Patience;

    /// What is told of the file of these, for which nobody can be asked.
    fn error(chain: &[&Identity], issuers: &[&Identity]) -> String {
        let directory = Directory::new();
        let pem = |all: &[&Identity]| all.iter().map(|one| one.pem()).collect::<String>();
        let file = directory.write("chain.pem", pem(chain));
        let issuer = directory.write("issuers.pem", pem(issuers));
        let mut words = vec!["fetch".as_ref(), file.as_os_str()];
        if !issuers.is_empty() {
            words.extend(["--issuer".as_ref(), issuer.as_os_str()]);
        }
        let command = <Args as clap::Args>::augment_args(clap::Command::new("fetch"));
        let args = Args::from_arg_matches(&command.get_matches_from(words)).unwrap();
        let manner = Manner {
            patience: Patience::DEFAULT,
            policy: Policy::STAPLING,
            proxies: Arc::default(),
            overrides: Vec::new(),
            trust: Arc::default(),
        };
        let mut asker = Asker {
            issuers: Issuers::default(),
            responders: Responders::default(),
            client: Client::new(manner.patience, Arc::clone(&manner.proxies)),
            manner: Arc::new(manner),
            map_size: 0,
        };
        one(&file, &args, &mut asker).unwrap().error.unwrap()
    }

    #[test]
    fn a_file_is_told_of_in_which_an_authoritys_certificate_stands_before_others() {
        let root = Identity::self_signed(&Spec::ca("Root"));
        let ca = root.issue(&Spec::ca("CA"));
        let leaf = ca.issue(&Spec::server());
        let is_told = |chain: &[&Identity], issuers: &[&Identity]| {
            error(chain, issuers).contains("the server's own must come first")
        };
        assert!(is_told(&[&ca, &leaf], &[]));
        assert!(!is_told(&[&leaf, &ca], &[]));
        // It is meant, and its issuer stands in another file.
        assert!(!is_told(&[&ca], &[]));
        assert!(!is_told(&[&ca], &[&root]));
    }
}
