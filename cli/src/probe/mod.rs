//! `staplegun probe`.

use std::process::ExitCode;

/// Options of `staplegun probe`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
