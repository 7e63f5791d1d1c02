//! The program `staplegun`: puts the library into programs, fetches what they
//! staple, and tells whether it works.
//!
//! One module for each subcommand, each with its `Args` and a `run` that returns
//! the exit status; `args` only joins them.

// What is unsafe stands in modules of its own, which say why.
#![deny(unsafe_code)]

mod add;
mod agent;
mod args;
mod as_agent;
mod awaited;
mod check;
mod client;
mod columns;
mod complain;
mod duration;
mod enable;
mod fetch;
mod fleet;
mod libc_version;
mod libcrypto;
mod library;
mod live_files;
mod lookup;
mod machine;
mod naming;
mod node;
#[cfg(test)]
mod pages;
mod preload;
mod probe;
mod remove;
mod run;
mod scan;
mod shell;
mod status;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = match args::Staplegun::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return args::usage(&error),
    };
    let on_error = command.status_of_errors();
    command.run().unwrap_or_else(|error| {
        // Who reads us has read enough: `staplegun status | head`.
        if !is_broken_pipe(&error) {
            complain::complain(format_args!("{error:#}"));
        }
        ExitCode::from(on_error)
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause();
    let kind = cause
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    let kind = kind.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind());
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
