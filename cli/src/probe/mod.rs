//! `staplegun probe`: connects to a server as a client does and says what it
//! staples.

mod connection;
mod entries;
mod handshake;
mod judge;
mod link;
mod messages;
mod report;
mod starttls;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::connection::Connection;
pub use self::handshake::Seen;
pub use self::judge::{Answer, FAILED, Outcome, judge};
pub use self::starttls::Protocol as Starttls;
use self::target::Target;
use crate::agent::Configuration;
use crate::duration;

const AFTER_HELP: &str = "\
Nobody but HOST is asked: what is stapled is judged by the certificates that came with it.

Examples:
  staplegun probe example.org
  staplegun probe mail.example.org --starttls smtp
  staplegun probe db:5432 --starttls postgres --cafile ca.pem --warn-before 12h

Exit status: 0 a good response is stapled, 1 none is, 2 it is one that clients refuse, 3 there was \
no connection, no handshake or no trusted certificate, 4 it is good but ends within --warn-before.";

/// Tell what a client sees of a server's staple
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The server; without a port the usual one, 443 or that of --starttls
    #[arg(value_name = "HOST[:PORT]")]
    target: Target,

    /// Speak this protocol until TLS begins
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    starttls: Option<Starttls>,

    /// The name to ask for and to find in the certificate, if it is not HOST
    #[arg(long, value_name = "NAME")]
    servername: Option<String>,

    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,

    /// Judge the staple of a certificate that is not trusted as well
    #[arg(long)]
    insecure: bool,

    /// Allow this version of TLS only
    #[arg(long, value_enum, value_name = "VERSION")]
    tls: Option<handshake::Version>,

    /// How long everything together may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,

    /// Complain of a response that ends within this time
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    warn_before: Option<Duration>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    configuration: Configuration,
}

/// Probes and prints; the exit status is the outcome's.
pub fn run(args: Args) -> Result<ExitCode> {
    // Whose server it is cannot be told: the machine's own agent is meant.
    let policy = args.configuration.for_command(true)?.policy();
    let deadline = Instant::now() + args.timeout;
    let name = args.servername.as_deref().unwrap_or(&args.target.host);
    let default_port = args.starttls.map_or(443, Starttls::port);
    let mut connection = Connection::open(&args.target, default_port, deadline)?;
    if let Some(protocol) = args.starttls {
        protocol.start(&mut connection, name)?;
    }
    let seen = handshake::shake(connection, name, args.cafile.as_deref(), args.tls)?;
    let outcome = judge(&seen, args.insecure, args.warn_before, &policy);
    report::print(&args.target, &seen, &outcome, args.json)?;
    Ok(ExitCode::from(outcome.status()))
}

/// Connects to a port of this machine as a client that knows no name for it, and sees what
/// its first certificate is.
///
/// # Errors
///
/// If there is no connection or no handshake until then.
pub fn look(address: SocketAddr, starttls: Option<Starttls>, deadline: Instant) -> Result<Seen> {
    let target = Target {
        host: address.ip().to_string(),
        port: Some(address.port()),
    };
    let mut connection = Connection::open(&target, address.port(), deadline)?;
    if let Some(protocol) = starttls {
        protocol.start(&mut connection, "localhost")?;
    }
    handshake::shake(connection, &target.host, None, None)
}
