//! `staplegun fleet`: what the fleet's store holds for the certificates of this machine,
//! and whether it counts here.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{UnixTime, Verdict};
use staplegun_store::Key;
use staplegun_store::files::Files;
use staplegun_store::layout::Layout;
use staplegun_store::name;

use super::greeting::{PATIENCE, Talk, Way};
use super::judging;
use super::keys::Part;
use super::resp::Value;
use super::settings::FleetSettings;
use crate::agent::{Configuration, Place};
use crate::fetch::{Issuers, Manner, Subject};

const AFTER_HELP: &str = "\
Exit status: 0 all that the store holds counts, 1 something in it does not, 2 the store cannot be \
used or there is none.";

/// Show what the fleet's store holds for this machine's certificates
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Tell it in JSON
    #[arg(long)]
    json: bool,
    /// The store; by default that of the configuration
    #[arg(long, value_name = "URL", value_parser = FleetSettings::check_url)]
    fleet: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    configuration: Configuration,
}

/// The exit status when there is no answer.
pub const FAILED: u8 = 2;

/// What the store holds.
#[derive(Debug, Serialize)]
struct Shared {
    /// What answers there.
    store: String,
    /// The certificates of this machine, by subject.
    certificates: Vec<One>,
}

/// One certificate.
#[derive(Debug, Serialize)]
struct One {
    sha256: String,
    subject: String,
    /// What the store has.
    status: Status,
    /// Why it does not count; none if it does, or if there is nothing.
    error: Option<String>,
    /// thisUpdate of it.
    this_update: Option<UnixTime>,
    /// When it ends.
    until: Option<UnixTime>,
    /// For how many seconds an agent has the right to ask the responder.
    leased_for: Option<u64>,
    /// For how many seconds nobody is to ask, since that failed or brought nothing newer.
    backs_off_for: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// Good, and it counts.
    Good,
    /// It tells a revocation.
    Revoked,
    /// It does not count.
    Refused,
    /// There is none.
    Missing,
}

/// Shows it.
///
/// # Errors
///
/// If there is no fleet, its store cannot be used, or nobody reads the answer.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let is_system = args.place.is_system();
    let mut settings = args.configuration.for_command(is_system)?;
    settings.fleet.url = args.fleet.or(settings.fleet.url);
    let Some(address) = settings.fleet.address() else {
        bail!("there is no fleet: set url in [fleet] of the configuration, or --fleet");
    };
    let way = Way::new(address, &settings.fleet)?;
    let (_, manner) = args.configuration.manner(is_system, &[])?;
    let (mut talk, store) = way
        .connect(false)
        .map_err(|trouble| anyhow::anyhow!("the fleet's store cannot be used: {trouble}"))?;
    let mut certificates = Vec::new();
    for (key, subject) in subjects(&args.place.layout()?)? {
        let one = one(&mut talk, &way, &manner, &key, &subject)
            .with_context(|| format!("cannot ask {store}"))?;
        certificates.push(one);
    }
    certificates.sort_by(|a, b| (&a.subject, &a.sha256).cmp(&(&b.subject, &b.sha256)));
    let shared = Shared {
        store,
        certificates,
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&shared)?)?;
    } else {
        print(&mut out, &shared)?;
    }
    let is_refused = |one: &One| one.status == Status::Refused;
    Ok(match shared.certificates.iter().any(is_refused) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The certificates that the agent looks after.
fn subjects(layout: &Layout) -> anyhow::Result<Vec<(Key, Subject)>> {
    let files = Files::of_anybody(layout.lasting());
    let issuers = Issuers::default();
    let mut subjects = Vec::new();
    let keys = files.certificates.keys();
    for key in keys.context("there is no store here: no agent has run, or name it by --dir")? {
        let is_passed_over = files
            .notes(&key)
            .ok()
            .flatten()
            .is_some_and(|notes| notes.passed_over.is_some());
        if let Some(pem) = files.certificates.read(&key)?
            && !is_passed_over
            && let Ok(subject) = Subject::from_bytes(&pem, &issuers)
        {
            subjects.push((key, subject));
        }
    }
    Ok(subjects)
}

fn one(
    talk: &mut Talk,
    way: &Way,
    manner: &Manner,
    key: &Key,
    subject: &Subject,
) -> anyhow::Result<One> {
    talk.deadline = Instant::now() + PATIENCE;
    let value = talk.exchange(["GET", &way.keys.of(key, Part::Response)])?;
    let mut left = |part| -> anyhow::Result<Option<u64>> {
        let left = talk.exchange(["PTTL", &way.keys.of(key, part)])?;
        let Value::Number(millis) = left else {
            return Ok(None);
        };
        let left = u64::try_from(millis).ok().map(Duration::from_millis);
        Ok(left.map(|left| left.as_secs()))
    };
    let mut one = One {
        sha256: name::of_key(key),
        subject: subject.leaf.display_subject(),
        status: Status::Missing,
        error: None,
        this_update: None,
        until: None,
        leased_for: left(Part::Lease)?,
        backs_off_for: left(Part::BackOff)?,
    };
    if let Value::Bytes(value) = value {
        match judging::judge(&value, subject, manner, None) {
            Ok(staple) => {
                one.status = match staple.verdict {
                    Verdict::Good => Status::Good,
                    Verdict::Revoked { .. } => Status::Revoked,
                };
                one.this_update = Some(staple.validity.from);
                one.until = Some(staple.validity.until);
            }
            Err(why) => {
                one.status = Status::Refused;
                one.error = Some(why.to_string());
            }
        }
    }
    Ok(one)
}

fn print(out: &mut impl Write, shared: &Shared) -> io::Result<()> {
    writeln!(out, "store  {}\n", shared.store)?;
    let longest = shared
        .certificates
        .iter()
        .map(|one| one.subject.chars().count());
    let width = longest.max().unwrap_or(0).max("CERTIFICATE".len());
    writeln!(
        out,
        "{:<width$}  {:<8}  {:<20}  NOW",
        "CERTIFICATE", "STATUS", "UNTIL"
    )?;
    for one in &shared.certificates {
        let status = match one.status {
            Status::Good => "good",
            Status::Revoked => "REVOKED",
            Status::Refused => "refused",
            Status::Missing => "-",
        };
        let until = one
            .until
            .map_or_else(|| "-".to_owned(), |until| Rfc3339(until).to_string());
        let now = match (one.leased_for, one.backs_off_for) {
            (Some(left), _) => format!("an agent asks the responder ({left} s left)"),
            (None, Some(left)) => format!("nobody asks for {left} s"),
            (None, None) => "-".to_owned(),
        };
        writeln!(
            out,
            "{:<width$}  {status:<8}  {until:<20}  {now}",
            one.subject
        )?;
        if let Some(error) = &one.error {
            writeln!(out, "    {error}")?;
        }
    }
    Ok(())
}
