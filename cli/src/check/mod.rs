//! `staplegun check`.

use std::process::ExitCode;

/// Options of `staplegun check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
