//! `staplegun status`: what an agent's store holds, read without disturbing it.

mod evidence;
pub mod read;
mod table;

use std::io::Write;
use std::process::ExitCode;

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
    #[command(flatten)]
    place: Place,
}

/// The exit status when the store cannot be looked at: no answer.
pub const FAILED: u8 = 2;

/// Shows it.
///
/// # Errors
///
/// If the store cannot be read, or the answer not be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let status = read::read(&args.place.layout()?, now())?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        table::print(&mut out, &status)?;
    }
    let is_well = status.agent_running != Some(false)
        && !status.certificates.iter().any(|one| one.needs_operator);
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
