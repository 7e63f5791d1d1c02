//! `staplegun status`: what an agent's store holds, read without disturbing it.

mod chains;
mod evidence;
mod paths;
pub mod read;
mod table;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use staplegun_store::layout::Layout;

use crate::agent::Place;
use crate::agent::now;

const AFTER_HELP: &str = "\
Each certificate that is not stapled has a sentence that says why, and what to do.

Exit status: 0 nothing is to be done, 1 something is, or no agent runs, 2 the store cannot be read.";

/// Show the certificates of a store, what is stapled, and what is the matter
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Tell it in JSON
    #[arg(long)]
    json: bool,
    /// Show it again and again, with this pause: those first for which something is to be done
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u16).range(1..=3_600),
        conflicts_with = "json"
    )]
    watch: Option<u16>,
    #[command(flatten)]
    place: Place,
}

/// The exit status when the store cannot be looked at: no answer.
pub const FAILED: u8 = 2;

/// How all certificates of a store stand now, as `--json` tells it; without the paths of files,
/// if they are not to be shown.
///
/// # Errors
///
/// If the store cannot be read.
pub fn json(layout: &Layout, are_paths_shown: bool) -> anyhow::Result<String> {
    let mut status = read::read(layout, now())?;
    if !are_paths_shown {
        paths::hide(&mut status);
    }
    Ok(serde_json::to_string_pretty(&status)?)
}

/// Shows it.
///
/// # Errors
///
/// If the store cannot be read, or the answer not be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    if let Some(seconds) = args.watch {
        return watch::run(&layout, Duration::from_secs(seconds.into()));
    }
    let status = read::read(&layout, now())?;
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        table::print(&mut out, &status, table::Order::BySubject)?;
    }
    Ok(status.exit_status())
}
