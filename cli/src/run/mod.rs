//! `staplegun run`: starts an agent, then becomes the program.

mod agent;
mod become_program;
mod certificates;
mod detach;
mod environment;
mod inherited;
mod store;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use staplegun_store::files::open_regular;

use self::environment::Environment;
use self::store::Store;
use crate::check::elf::Image;
use crate::check::finding::obstacle;
use crate::check::libc::Libc;
use crate::check::libssl::Examined;
use crate::check::program;
use crate::client::Client;
use crate::complain::complain;
use crate::lookup::NotFound;
use crate::{duration, library, live_files, lookup};

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

    /// Start the program even if the library cannot reach it; without the library, if musl
    /// would end the program for it
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
    let library = library::find_for(args.lib.as_deref(), program::libc(&path))?;
    let examined = examine(&path, &library, &args)?;
    let is_node = examined.as_ref().filter(|examined| examined.is_node);
    let library = Some(library).filter(|library| survives(&path, library));
    let given = Environment::new(inherited::environment());
    let arguments = become_program::arguments(&args.command)?;
    let mut environment = match Store::choose(args.directory.as_deref()) {
        Ok(store) => {
            serve(&store, &args, &given);
            if is_node.is_some() && store.is_kept && !live_files::is_on() {
                complain(
                    "its servers do not staple: set live-files = true in /etc/staplegun/agent.toml, and \
                     systemctl reload staplegun",
                );
            }
            configured(&given, &args, library.as_deref(), Some(&store))?
        }
        // Files beside certificates are stapled even without a store.
        Err(error) => {
            complain(format_args!("no agent is started: {error:#}"));
            configured(&given, &args, library.as_deref(), None)?
        }
    };
    if let Some(Examined { program, .. }) = is_node
        && let Err(error) = environment.load_script(program, &args.command)
    {
        complain(format_args!("its servers do not staple: {error:#}"));
    }
    inherited::restore()?;
    let error = become_program::exec(&path, &arguments, environment.entries());
    complain(format_args!("cannot execute {}: {error}", path.display()));
    Ok(ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }))
}

/// What is known of the program, if that can be told. Refuses what the library surely does not
/// reach, with the reasons. What cannot be told is started; but with a policy only what can be
/// looked at, for a library that is not there checks nothing.
fn examine(path: &Path, library: &Path, args: &Args) -> Result<Option<Examined>> {
    let shim = Image::read(library)?;
    let is_strict = matches!(args.client, Some(Client::Verify | Client::Require));
    let examined = match program::examine(path, &shim) {
        Ok(examined) => examined,
        // The shell runs what has no format, as execvp(3) has it.
        Err(_) if has_no_format(path) => program::examine(Path::new("/bin/sh"), &shim)?,
        Err(error) if is_strict && !args.force && !is_missing(&error) => {
            return Err(error.context(
                "it cannot be told whether the policy would be in force; to start it all the \
                 same: --force",
            ));
        }
        // A file that may be executed but not read, or a format of its own: exec
        // will tell.
        Err(_) => return Ok(None),
    };
    if args.force {
        return Ok(Some(examined));
    }
    if let Some(obstacle) = obstacle(&examined.findings) {
        bail!(
            "the library cannot reach {}: {}; or start it all the same with --force",
            examined.program.display(),
            obstacle
        );
    }
    if is_strict && examined.is_node {
        bail!(
            "the policy would not be in force: the library does not reach the clients in {}, which \
             has an OpenSSL of its own; or start it all the same with --force",
            examined.program.display()
        );
    }
    Ok(Some(examined))
}

/// Whether the program can be started with the library: musl ends one that is to preload
/// what it cannot load, where glibc goes on.
fn survives(path: &Path, library: &Path) -> bool {
    let is_for = Image::read(library).ok().and_then(|shim| Libc::of(&shim));
    let survives = program::libc(path) != Some(Libc::Musl) || is_for != Some(Libc::Glibc);
    if !survives {
        complain(format_args!(
            "{} is started without the library: musl would end it, since {} is for glibc",
            path.display(),
            library.display()
        ));
    }
    survives
}

/// Whether a file is neither a program nor a script.
fn has_no_format(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = open_regular(path).and_then(|mut file| file.read(&mut start));
    // Text is what a shell would take.
    read.is_ok_and(|length| {
        let start = &start[..length];
        !start.starts_with(b"#!") && start.iter().all(|byte| byte.is_ascii() && *byte != 0x7f)
    })
}

/// Whether what would run it is not there: then nothing will be started.
fn is_missing(error: &anyhow::Error) -> bool {
    let cause = error.root_cause();
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::NotFound) || cause.downcast_ref::<NotFound>().is_some()
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
    library: Option<&Path>,
    store: Option<&Store>,
) -> Result<Environment> {
    let mut environment = given.clone();
    if let Some(library) = library {
        environment.preload(library)?;
    }
    if let Some(directory) = store.and_then(Store::variable) {
        environment.set("STAPLEGUN_DIR", directory)?;
    }
    if let Some(wait) = args.wait {
        environment.set(
            "STAPLEGUN_WAIT",
            format!("{}s", duration::whole_seconds(wait)),
        )?;
    }
    if let Some(client) = args.client {
        environment.set("STAPLEGUN_CLIENT", client.name())?;
    }
    if let Some(log) = &args.log {
        environment.set("STAPLEGUN_LOG", log)?;
    }
    Ok(environment)
}
