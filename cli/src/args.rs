//! The command line: which subcommands there are, and nothing of what they do.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{check, probe, run};

/// OCSP stapling for every program that uses OpenSSL, without changing the program.
#[derive(Debug, Parser)]
#[command(name = "staplegun", version, max_term_width = 100)]
pub struct Staplegun {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a program that staples
    Run(run::Args),
    /// Tell whether a program can be reached, and why not
    Check(check::Args),
    /// Tell what a client sees of a server's staple
    Probe(probe::Args),
}

impl Command {
    /// Does what was asked, and returns the exit status.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Check(args) => check::run(args),
            Self::Probe(args) => probe::run(args),
        }
    }
}
