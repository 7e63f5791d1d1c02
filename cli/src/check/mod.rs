//! `staplegun check`: says whether the library can reach a program, before
//! anyone wonders why nothing is stapled.

pub mod carried;
pub mod elf;
pub mod finding;
pub mod libc;
mod libraries;
pub mod libssl;
#[cfg(test)]
mod made;
pub mod maps;
mod plugins;
pub mod privileges;
pub mod process;
pub mod program;
mod report;
mod script;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use self::elf::Image;
use crate::{library, lookup};

/// The exit status for: It could not be told.
pub const FAILED: u8 = 2;

const AFTER_HELP: &str = "\
Nothing of the program is run: its file is read, and what the dynamic linker would load with it.

Examples:
  staplegun check redis-server
  staplegun check /usr/lib/apache2/modules/mod_ssl.so
  staplegun check --pid 4711 --json

Exit status: 0 the library reaches it, 1 it does not, 2 it cannot be told.";

/// Tell whether a program can be reached, and why not
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,

    /// The library, if it is not where it was installed
    #[arg(
        long,
        env = "STAPLEGUN_LIB",
        hide_env_values = true,
        value_name = "FILE"
    )]
    lib: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to check: one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// A program, by its path or by its name in PATH; or a shared object
    #[arg(value_name = "BINARY")]
    program: Option<OsString>,

    /// A running process instead
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
}

/// Checks and prints; the exit status is the verdict's.
pub fn run(args: Args) -> Result<ExitCode> {
    let lib = args.lib.as_deref();
    let (library, subject, examined) = if let Some(pid) = args.subject.pid {
        let library = library::find_for(lib, process::libc(pid))?;
        let examined = process::examine(pid, &Image::read(&library)?)?;
        let subject = format!("process {pid} ({})", examined.program.display());
        (library, subject, examined)
    } else {
        let path = file(&args.subject.program.unwrap_or_default())?;
        let library = library::find_for(lib, program::libc(&path))?;
        let subject = path.display().to_string();
        let examined = program::examine(&path, &Image::read(&library)?)?;
        (library, subject, examined)
    };
    let verdict = report::print(&subject, &examined, &library, args.json)?;
    Ok(ExitCode::from(verdict.status()))
}

/// The file of that name: as it would be started, or any file by its path, since
/// plug-ins need not be executable.
fn file(name: &std::ffi::OsStr) -> Result<PathBuf> {
    lookup::program(name).or_else(|error| {
        let path = PathBuf::from(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(error.into())
        }
    })
}
