//! `staplegun add`: names certificates to the agent of a store.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use staplegun_store::spool;

use crate::agent::Place;
use crate::agent::list;
use crate::complain::complain;
use crate::fetch::Issuers;

/// Name certificates that the agent is to look after
///
/// They are written to the store's list, so that the agent also notices when they
/// are renewed. What the agent's user may not read itself reaches it through the
/// spool, once for each time this is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of certificates (PEM with the leaf first, or DER), or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// The exit status when they cannot be added.
pub const FAILED: u8 = 1;

/// Adds them.
///
/// # Errors
///
/// If one cannot be read or holds no certificate, or the list cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    let mut paths = Vec::new();
    let (mut subjects, issuers) = (Vec::new(), Issuers::default());
    for path in &args.paths {
        let path = std::path::absolute(path)
            .with_context(|| format!("cannot use the path {}", path.display()))?;
        let unfit = path.to_str().is_none_or(|text| text.contains('\n'));
        if unfit {
            bail!("the path {path:?} cannot stand in the list: rename it");
        }
        let found = list::Seen::default().look_at(&path, &issuers)?;
        if found.is_empty() {
            complain(format_args!(
                "{} holds no certificate yet; it is looked at again when it changes",
                path.display()
            ));
        }
        subjects.extend(found.into_iter().map(|(_, subject)| subject));
        paths.push(path);
    }
    list::add(&layout, &paths)?;
    for subject in &subjects {
        let responders = match subject.leaf.responders() {
            [] => "no responder: it is asked for only if the configuration names one".to_owned(),
            urls => urls.join(" "),
        };
        writeln!(
            std::io::stdout().lock(),
            "{}: {responders}",
            subject.leaf.display_subject()
        )?;
        // There is no spool before the first agent, which reads the list itself.
        if layout.spool().is_dir()
            && let Err(why) = spool::publish(&layout.spool(), &subject.key(), &subject.ders())
        {
            complain(format_args!("the agent was not told of it at once: {why}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
