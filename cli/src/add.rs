//! `staplegun add`: names certificates to the agent of a store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use staplegun_ocsp::Unstapled;
use staplegun_store::spool;

use crate::agent::{Configuration, Place, list, now, sentence};
use crate::as_agent::Agent;
use crate::complain::complain;
use crate::fetch::{Issuers, responders_of};

const AFTER_HELP: &str = "\
What is of no use is told, with what to do about it; the others are added all the same.

Exit status: 0 they are looked after, 1 one of them cannot be read now or after its renewal, or is \
refused, or the list cannot be written.";

/// Name certificates that the agent is to look after
///
/// They are written to the store's list, so that the agent also notices when they
/// are renewed. What the agent's user may not read itself reaches it through the
/// spool, once for each time this is run.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Files of certificates (PEM with the leaf first, or DER), or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    configuration: Configuration,
}

/// The exit status when one of them is of no use, or none can be added.
pub const FAILED: u8 = 1;

/// Adds them.
///
/// # Errors
///
/// If the list cannot be written, or nobody reads what is told.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    let manner = args.configuration.manner(args.place.is_system(), &[])?;
    let agent = Agent::of(&layout);
    let mut looked = Looked::default();
    for path in &args.paths {
        if let Err(error) = looked.look(path, agent.as_ref()) {
            looked.complaints.push(format!("{error:#}"));
        }
    }
    if !looked.named.is_empty() {
        list::add(&layout, &looked.named)?;
    }
    let mut out = std::io::stdout().lock();
    for (path, subject) in &mut looked.found {
        if !subject.has_valid_issuer(now()) {
            subject.complete_from(&manner.trust, true, &Issuers::default());
        }
        let certificate = subject.leaf.display_subject();
        let responders = responders_of(subject, &manner.overrides);
        match sentence::of_file(subject, !responders.is_empty(), now()) {
            None => {
                let urls: Vec<&str> = responders.iter().map(|one| one.url.as_str()).collect();
                writeln!(out, "{certificate}: {}", urls.join(" "))?;
            }
            Some(why @ (Unstapled::NoResponder | Unstapled::SelfSigned)) => {
                writeln!(out, "{certificate}: {why}")?;
            }
            Some(why) => {
                let why = sentence::of_named(&why, path.display());
                let complaint = format!("{}: {certificate}: {why}", path.display());
                looked.complaints.push(complaint);
            }
        }
        // There is no spool before the first agent, which reads the list itself.
        if layout.spool().is_dir()
            && let Err(why) = spool::publish(&layout.spool(), &subject.key(), &subject.ders())
        {
            let complaint = format!("the agent was not told of {certificate} at once: {why}");
            looked.complaints.push(complaint);
        }
    }
    for complaint in &looked.complaints {
        complain(complaint);
    }
    Ok(match looked.complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

/// What was found where the operator points.
#[derive(Default)]
struct Looked {
    /// The paths for the list.
    named: Vec<PathBuf>,
    /// The certificates.
    found: Vec<list::Found>,
    /// What is the matter with any of it.
    complaints: Vec<String>,
}

impl Looked {
    fn look(&mut self, path: &Path, agent: Option<&Agent>) -> anyhow::Result<()> {
        let path = std::path::absolute(path)
            .with_context(|| format!("cannot use the path {}", path.display()))?;
        if path.to_str().is_none_or(|text| text.contains('\n')) {
            bail!("the path {path:?} cannot stand in the list: rename it");
        }
        let mut seen = list::Seen::default();
        let found = seen.look_at(&path, &Issuers::default())?;
        if found.is_empty() {
            complain(format_args!(
                "{} holds no certificate yet; it is looked at again when it changes",
                path.display()
            ));
        }
        self.complaints.extend(seen.failed().values().cloned());
        if let Some(agent) = agent {
            let inside = seen
                .directories()
                .filter(|directory| directory.starts_with(&path));
            let files = found.iter().map(|(file, _)| file);
            let all = [&path].into_iter().chain(inside).chain(files);
            self.complaints.extend(unreadable(agent, all));
        }
        self.found.extend(found);
        self.named.push(path);
        Ok(())
    }
}

/// What the agent cannot read of `paths`; of a directory that it cannot read, only
/// the directory is told.
fn unreadable<'p>(agent: &Agent, paths: impl Iterator<Item = &'p PathBuf>) -> Vec<String> {
    let mut failed: Vec<&Path> = Vec::new();
    let mut complaints = Vec::new();
    for path in paths {
        if failed.iter().any(|above| path.starts_with(above)) {
            continue;
        }
        if let Err(error) = agent.open(path) {
            let what = format!(
                "the agent's user {} cannot read {}",
                agent.name(),
                path.display()
            );
            let error = anyhow::Error::new(error).context(what);
            complaints.push(sentence::unreadable(path, &error));
            failed.push(path);
        }
    }
    complaints
}
