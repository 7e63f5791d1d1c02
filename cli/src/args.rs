//! The command line: which subcommands there are, and nothing of what they do.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::enable::{self, disable};
use crate::{add, agent, check, fetch, fleet, libcrypto, probe, remove, run, scan, status};

const AFTER_HELP: &str = "\
Exit status: that of the command, which its own --help tells; 64 the command line is wrong (125 of \
run).";

/// OCSP stapling for every program that uses OpenSSL, without changing the program.
#[derive(Debug, Parser)]
#[command(name = "staplegun", version, long_version = libcrypto::with_version())]
#[command(max_term_width = 100, after_help = AFTER_HELP)]
pub struct Staplegun {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what of this machine speaks TLS, what it staples, and what to do next
    Scan(scan::Args),
    /// Start a program that staples
    Run(run::Args),
    /// Keep a valid response for every certificate of a store
    Agent(agent::Args),
    /// Fetch the responses for certificates once
    Fetch(fetch::Args),
    /// Name certificates that the agent is to look after
    Add(add::Args),
    /// Drop certificates from the list and the store
    Remove(remove::Args),
    /// Show what a store holds and what went wrong
    Status(status::Args),
    /// Show what a fleet shares, and whether it judges well
    Fleet(fleet::Args),
    /// Bring the library into services of systemd
    Enable(enable::Args),
    /// Take the library out of services again
    Disable(disable::Args),
    /// Tell whether a program can be reached, and why not
    Check(check::Args),
    /// Tell what a client sees of a server's staple
    Probe(probe::Args),
}

impl Command {
    /// The exit status when the subcommand itself fails: one that cannot be taken
    /// for an answer of `check` or `probe`, nor for a status of the program that
    /// `run` starts (125, as env(1) and nohup(1) have it).
    pub fn status_of_errors(&self) -> u8 {
        match self {
            Self::Scan(_) => scan::FAILED,
            Self::Run(_) => run::FAILED,
            Self::Agent(_) => agent::FAILED,
            Self::Fetch(_) => fetch::FAILED,
            Self::Add(_) => add::FAILED,
            Self::Remove(_) => remove::FAILED,
            Self::Status(_) => status::FAILED,
            Self::Fleet(_) => fleet::FAILED,
            Self::Enable(_) => enable::FAILED,
            Self::Disable(_) => disable::FAILED,
            Self::Check(_) => check::FAILED,
            Self::Probe(_) => probe::FAILED,
        }
    }

    /// Does what was asked, and returns the exit status.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Scan(args) => scan::run(args, enable::prospect),
            Self::Run(args) => run::run(args),
            Self::Agent(args) => agent::run(args, status::json),
            Self::Fetch(args) => fetch::run(args),
            Self::Add(args) => add::run(args),
            Self::Remove(args) => remove::run(args),
            Self::Status(args) => status::run(args),
            Self::Fleet(args) => fleet::run(args),
            Self::Enable(args) => enable::run(args),
            Self::Disable(args) => disable::run(args),
            Self::Check(args) => check::run(args),
            Self::Probe(args) => probe::run(args),
        }
    }
}

/// Shows what clap says of the command line: help on standard output with status
/// 0; a mistake on standard error with 64 (EX_USAGE of sysexits.h), since 2, which
/// clap would take, is an answer of `check` and `probe`. For `run` it is what env(1)
/// and nohup(1) have.
pub fn usage(error: &clap::Error) -> ExitCode {
    const USAGE: u8 = 64;
    // Nobody is left to be told that it cannot be printed.
    let _ = error.print();
    if !error.use_stderr() {
        ExitCode::SUCCESS
    } else if std::env::args_os().nth(1).is_some_and(|word| word == "run") {
        ExitCode::from(run::FAILED)
    } else {
        ExitCode::from(USAGE)
    }
}
