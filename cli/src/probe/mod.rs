//! `staplegun probe`.

use std::process::ExitCode;

/// The exit status for: There was no connection or no handshake.
pub const FAILED: u8 = 3;

/// Options of `staplegun probe`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
