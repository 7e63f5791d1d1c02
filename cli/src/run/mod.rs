//! `staplegun run`: starts an agent, then becomes the program.

mod agent;
mod become_program;
mod certificates;
mod detach;
mod environment;
mod inherited;
mod store;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use self::environment::Environment;
use self::store::Store;
use crate::check::elf::Image;
use crate::check::finding::{Effect, Verdict};
use crate::check::program;
use crate::complain::complain;
use crate::lookup::NotFound;
use crate::{duration, library, lookup};

/// The exit status for: staplegun itself failed, before the program was started.
pub const FAILED: u8 = 125;
/// The program is there, but cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
const NOT_FOUND: u8 = 127;

/// How long --cert waits when --wait does not say.
const FIRST_FETCH: Duration = Duration::from_secs(5);

const AFTER_HELP: &str = "\
The program keeps this process: its PID, descriptors, signals, limits and directory are those that \
staplegun was given. An agent that fetches and refreshes is started beside it, unless the system's \
agent runs; it ends when nothing uses its store any more.

Examples:
  staplegun run -- redis-server redis.conf
  staplegun run --cert /etc/ssl/server.pem --wait 5s -- postgres -D data
  staplegun run --client verify --log stderr -- curl https://example.org/

Exit status: the program's; 125 staplegun failed or refused, 126 the program cannot be executed, \
127 there is none.";

/// Start a program that staples
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Fetch the response for this certificate (PEM, leaf first) before the program starts
    #[arg(long = "cert", value_name = "FILE")]
    certificates: Vec<PathBuf>,

    /// How long the program may wait for responses when it loads a certificate, and --cert for
    /// the first fetch (which waits 5s by default)
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// What TLS clients in the program do about the staples that they get
    #[arg(long, value_enum, value_name = "POLICY")]
    client: Option<Client>,

    /// The store, instead of the system's (if its agent runs) or this user's
    #[arg(
        long = "dir",
        visible_alias = "directory",
        env = "STAPLEGUN_DIR",
        hide_env_values = true
    )]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Where the library logs: off, stderr, syslog, or a file by its absolute path
    #[arg(long, value_name = "WHERE")]
    log: Option<OsString>,

    /// Start the program even if the library cannot reach it
    #[arg(long)]
    force: bool,

    /// The library, if it is not where it was installed
    #[arg(
        long,
        env = "STAPLEGUN_LIB",
        hide_env_values = true,
        value_name = "FILE"
    )]
    lib: Option<PathBuf>,

    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true)]
    #[arg(value_name = "CMD")]
    command: Vec<OsString>,
}

/// What a client does about staples (STAPLEGUN_CLIENT).
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Client {
    /// Nothing
    Off,
    /// Ask for a staple and log what is wrong with it
    Report,
    /// Fail on a bad staple, accept none
    Verify,
    /// Fail on a bad staple and on none
    Require,
}

/// Becomes the program; returns only if that fails.
pub fn run(args: Args) -> Result<ExitCode> {
    let name = args.command.first().context("no program was named")?;
    let path = match lookup::program(name) {
        Ok(path) => path,
        Err(error) => {
            complain(&error);
            return Ok(ExitCode::from(match error {
                NotFound::Missing(_) => NOT_FOUND,
                NotFound::NotExecutable(_) => NOT_EXECUTABLE,
            }));
        }
    };
    let library = library::find(args.lib.as_deref())?;
    if !args.force {
        refuse_unreachable(&path, &library)?;
    }
    let given = Environment::new(inherited::environment());
    let arguments = become_program::arguments(&args.command)?;
    let environment = match Store::choose(args.directory.as_deref()) {
        Ok(store) => {
            serve(&store, &args, &given);
            configured(&given, &args, &library, Some(&store))?
        }
        // Files beside certificates are stapled even without a store.
        Err(error) => {
            complain(format_args!("no agent is started: {error:#}"));
            configured(&given, &args, &library, None)?
        }
    };
    inherited::restore()?;
    let error = become_program::exec(&path, &arguments, environment.entries());
    complain(format_args!("cannot execute {}: {error}", path.display()));
    Ok(ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }))
}

/// Refuses what the library surely does not reach, with the reasons. What cannot
/// be told is started.
fn refuse_unreachable(path: &Path, library: &Path) -> Result<()> {
    let shim = Image::read(library)?;
    let Ok(examined) = program::examine(path, &shim) else {
        // A file that may be executed but not read, or a format of its own: exec
        // will tell.
        return Ok(());
    };
    if Verdict::of(&examined.findings) != Verdict::NotReachable {
        return Ok(());
    }
    let preventing = examined.findings.iter();
    let preventing = preventing.filter(|finding| finding.effect == Effect::Prevents);
    let reasons: Vec<String> = preventing
        .map(|finding| match &finding.advice {
            Some(advice) => format!("{}; {advice}", finding.text),
            None => finding.text.clone(),
        })
        .collect();
    bail!(
        "the library cannot reach {}: {}; or start it all the same with --force",
        examined.program.display(),
        reasons.join("; ")
    )
}

/// Sees to it that somebody fetches for the program. What fails here is said, and
/// the program is started all the same: it must not depend on its staples.
fn serve(store: &Store, args: &Args, given: &Environment) {
    if !store.is_kept
        && let Err(error) = agent::start(store, given)
    {
        complain(format_args!(
            "no agent keeps the responses fresh: {error:#}"
        ));
        return;
    }
    let patience = args.wait.unwrap_or(FIRST_FETCH);
    for complaint in certificates::fetch(&args.certificates, store, patience) {
        complain(&complaint);
    }
}

/// The program's environment.
fn configured(
    given: &Environment,
    args: &Args,
    library: &Path,
    store: Option<&Store>,
) -> Result<Environment> {
    let mut environment = given.clone();
    environment.preload(library)?;
    if let Some(directory) = store.and_then(Store::variable) {
        environment.set("STAPLEGUN_DIR", directory)?;
    }
    if let Some(wait) = args.wait {
        environment.set(
            "STAPLEGUN_WAIT",
            format!("{}s", duration::whole_seconds(wait)),
        )?;
    }
    if let Some(client) = args.client.and_then(|client| client.to_possible_value()) {
        environment.set("STAPLEGUN_CLIENT", client.get_name())?;
    }
    if let Some(log) = &args.log {
        environment.set("STAPLEGUN_LOG", log)?;
    }
    Ok(environment)
}
