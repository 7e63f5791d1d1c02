//! `staplegun add`: names certificates to the agent of a store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use staplegun_ocsp::Unstapled;
use staplegun_store::files::Files;
use staplegun_store::layout::Layout;
use staplegun_store::spool;

use crate::agent::{Configuration, Named, Place, list, now, sentence};
use crate::as_agent::Agent;
use crate::awaited::{self, Told};
use crate::complain::complain;
use crate::duration;
use crate::fetch::{Issuers, responders_of};
use crate::naming;

const AFTER_HELP: &str = "\
What is of no use is told, with what to do about it; the others are added all the same.

What only root can read, as certificates in /etc/letsencrypt/live, root tells the agent: under \
systemd each minute (staplegun-renewed.timer), and by what runs at each renewal: \
staplegun add --renewed --wait 10s FILE. For certbot and dehydrated it is in \
/usr/share/staplegun/hooks.

Exit status: 0 they are looked after, 1 one of them cannot be read now or after its renewal, or is \
refused, or the list cannot be written.";

/// Name certificates that the agent is to look after
///
/// They are written to the store's list, so that the agent also notices when they
/// are renewed. What the agent's user may not read itself reaches it through the
/// spool, and again each time this is run.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Files of certificates (PEM with the leaf first, or DER), or directories of them
    #[arg(required_unless_present = "renewed", value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// They were renewed: tell the agent now, and name nothing; without a file, what was named
    /// and only root can read
    #[arg(long)]
    renewed: bool,
    /// How long to wait until the agent has an answer for each, so that a server that loads it
    /// then staples at once
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
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
    let (_, manner) = args.configuration.manner(args.place.is_system(), &[])?;
    let agent = Agent::of(&layout).filter(|_| !args.renewed);
    let is_for_all = args.paths.is_empty();
    let paths = match is_for_all {
        true => Named::to_root(&layout).read()?,
        false => args.paths,
    };
    let mut looked = Looked::default();
    for path in &paths {
        if let Err(error) = looked.look(path, agent.as_ref()) {
            looked.complaints.push(match is_for_all {
                true => sentence::unreadable(path, &error),
                false => format!("{error:#}"),
            });
        }
    }
    if args.renewed && !paths.is_empty() && !layout.spool().is_dir() {
        bail!(
            "there is no {}: no agent has run here, or it is another store (--dir)",
            layout.spool().display()
        );
    }
    if !args.renewed && !looked.named.is_empty() {
        let unread: Vec<PathBuf> = looked.unread.iter().map(|(path, _)| path.clone()).collect();
        naming::add(&layout, &looked.named, &unread)?;
    }
    if is_for_all {
        looked.leave_news(&layout);
    }
    let begun = SystemTime::now();
    let mut told = Vec::new();
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
                told.push(Told {
                    file: path.clone(),
                    key: subject.key(),
                });
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
    if !args.renewed {
        let is_told = args.place.is_system() && !looked.unread.is_empty() && naming::starts_timer();
        for (path, why) in &looked.unread {
            let why = format!("{}: {why}", path.display());
            if is_told {
                writeln!(out, "{why}: {} has root tell it of renewals", naming::TIMER)?;
            } else {
                let complaint = sentence::missed(&why, path);
                looked.complaints.push(complaint);
            }
        }
    }
    for complaint in &looked.complaints {
        complain(complaint);
    }
    if let Some(patience) = args.wait {
        // No failure: the agent has been told, and asks again.
        for complaint in awaited::complaints(&layout, &told, begun, patience) {
            complain(&complaint);
        }
    }
    Ok(match looked.complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

/// What was found where the operator points.
#[derive(Default)]
struct Looked {
    /// The paths for the lists.
    named: Vec<PathBuf>,
    /// Those of them with something in them that the agent cannot read, and what that is.
    unread: Vec<(PathBuf, String)>,
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
            let mut all = [&path].into_iter().chain(inside).chain(files);
            let unread = all.find_map(|path| Some((path, agent.open(path).err()?)));
            if let Some((at, error)) = unread {
                let (name, at) = (agent.name(), at.display());
                let why = format!("the agent's user {name} cannot read {at}: {error}");
                self.unread.push((path.clone(), why));
            }
        }
        self.found.extend(found);
        self.named.push(path);
        Ok(())
    }

    /// Leaves what the agent does not have. Copies from before the renewal may lie there, too.
    fn leave_news(&mut self, layout: &Layout) {
        let kept = Files::of_anybody(layout.lasting()).certificates;
        self.found.retain(|(_, subject)| {
            subject.leaf.not_after() >= now() && !kept.path_of(&subject.key()).exists()
        });
    }
}
