//! `staplegun run`.

use std::process::ExitCode;

/// The exit status for: staplegun itself failed, before the program was started.
pub const FAILED: u8 = 125;

/// Options of `staplegun run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
