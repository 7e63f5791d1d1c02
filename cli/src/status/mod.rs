//! `staplegun status`: what an agent's store holds, read without disturbing it.

mod read;
mod table;

use std::process::ExitCode;

use crate::agent::Place;
use crate::agent::now;

/// Show the certificates of a store, what is stapled, and what went wrong
///
/// Ends with 0 if a valid response is stapled for each certificate, else with 1.
#[derive(Debug, clap::Args)]
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
/// If the store cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let status = read::read(&args.place.layout()?, now())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        table::print(&status);
    }
    let is_well = status
        .certificates
        .iter()
        .all(|one| one.status == read::State::Stapled || one.status == read::State::NoResponder);
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
