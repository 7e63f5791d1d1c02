//! Starting an agent: what is done as root, what after, and in which order.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::{Context, bail};
use nix::unistd::User;
use rustix::fs::{Mode, OFlags};
use staplegun_store::files::{Lasting, make_directory};
use staplegun_store::layout::Layout;
use staplegun_store::spool::DropBox;
use tracing::Level;

use super::configuration::Configuration;
use super::daemon::Daemon;
use super::event::Event;
use super::event_loop::{Threads, Until};
use super::forgiving::Mistake;
use super::http::{Doors, Tell};
use super::inbox::Inbox;
use super::keeper::{Keeper, take_lock};
use super::lifetime::Program;
use super::lister::Lister;
use super::metrics::Metrics;
use super::place::Place;
use super::pool::{self, Pool};
use super::settings::Settings;
use super::staples::Looker;
use super::systemd::Manager;
use super::watch::Watch;
use super::{http, lifetime, log, signals, standby, user};
use crate::fetch::Override;
use crate::fleet::{Fleet, FleetSettings, Limits, Way};
use crate::libcrypto;

const AFTER_HELP: &str = "\
It stays in the foreground and logs to standard error. SIGTERM ends it, SIGHUP has it read its \
configuration again.

Exit status: 0 it was told to end or has done what was asked, 1 it cannot start.";

/// Keep a valid response for every certificate of a store
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    configuration: Configuration,
    /// Run as this user once the live map is made; only if started by root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Fill the live map from the store, and end
    #[arg(long, conflicts_with_all = ["once", "watch_pid"])]
    fill: bool,
    /// Fill the live map, ask every responder that is due once, and end
    #[arg(long, conflicts_with = "watch_pid")]
    once: bool,
    /// Live as long as this process, and then as long as the map is in use
    #[arg(long, value_name = "PID")]
    watch_pid: Option<i32>,
    /// Ask URL where a certificate's responder begins with PREFIX; for an issuer:
    /// sha256:HEX=URL
    #[arg(long = "responder", value_name = "PREFIX=URL", value_parser = Override::parse)]
    responders: Vec<Override>,
    /// Share what was fetched through this Redis or Valkey: redis://HOST[:PORT], rediss://,
    /// redis+sentinel://HOST,HOST/NAME
    #[arg(long, value_name = "URL", value_parser = FleetSettings::check_url)]
    fleet: Option<String>,
    /// Write metrics for Prometheus' textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Serve the page and metrics on this port of 127.0.0.1; 0: any
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// Log nothing
    #[arg(long)]
    quiet: bool,
    /// Log every step as well
    #[arg(long, conflicts_with = "quiet")]
    verbose: bool,
}

impl Args {
    /// What the file says, and over it the command line; for what in it makes no
    /// sense the default, and the mistakes.
    fn settings_that_count(&self, is_system: bool) -> (Settings, Vec<Mistake>) {
        let (settings, mistakes) = self.configuration.settings_that_count(is_system);
        (self.over(settings), mistakes)
    }

    /// What the file says, and over it the command line.
    fn settings(&self, is_system: bool) -> anyhow::Result<Settings> {
        Ok(self.over(self.configuration.settings(is_system)?))
    }

    fn over(&self, mut settings: Settings) -> Settings {
        settings.user = self.user.clone().or(settings.user);
        settings.metrics_file = self.metrics_file.clone().or(settings.metrics_file);
        settings.metrics_port = self.metrics_port.or(settings.metrics_port);
        settings.fleet.url = self.fleet.clone().or(settings.fleet.url);
        // The store of one program, which may be one that reads files.
        settings.live_files |= self.watch_pid.is_some();
        settings.responder = [self.responders.clone(), settings.responder].concat();
        settings
    }
}

/// The exit status when the agent cannot start.
pub const FAILED: u8 = 1;

/// Runs the agent until it is to end; its page shows what `tell` tells.
///
/// # Errors
///
/// If it cannot start: the message says why.
pub fn run(args: Args, tell: Tell) -> anyhow::Result<ExitCode> {
    if !args.quiet {
        log::start(if args.verbose {
            Level::DEBUG
        } else {
            Level::INFO
        });
    }
    let listen = signals::not_yet().context("cannot handle signals")?;
    if let Some(notice) = libcrypto::notice() {
        tracing::info!("{notice}");
    }
    let layout = args.place.layout()?;
    // Asked now: later the agent is another user.
    let is_system = args.place.is_system();
    let (settings, mistakes) = args.settings_that_count(is_system);
    let user = match other_user(settings.user.as_deref()) {
        // What was stored is served whatever the configuration says.
        Err(error) if args.fill => {
            tracing::error!(cause = "configuration", "{error:#}");
            user::owner_of(&layout)
        }
        // It may have been named by what makes no sense.
        Ok(None) if settings.user.is_none() && !mistakes.is_empty() => {
            match user::owner_of(&layout) {
                None if !args.fill && mistakes.iter().any(|one| one.may_have_set("user")) => {
                    bail!(
                        "{}: it may name the user to run as, without whom this would run as \
                         root; mend it",
                        mistakes
                            .iter()
                            .map(ToString::to_string)
                            .collect::<Vec<_>>()
                            .join("; ")
                    )
                }
                user => user,
            }
        }
        user => user?,
    };
    // What the agent writes is public, and only its own to write.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let manager = Manager::from_environment();
    let program = args.watch_pid.map(Program::open).transpose()?;
    // Then the map may still be in use by others.
    let has_ended = || program.as_ref().is_some_and(Program::has_ended);
    let is_over = || has_ended() && !lifetime::is_in_use(&layout.map());
    let ends_soon = args.fill || args.once;
    let take = || take_lock(&layout);
    let Some(lock) = standby::wait(ends_soon, take, is_over, &manager)? else {
        return Ok(ExitCode::SUCCESS);
    };
    // Its files may be root's alone.
    let way = if args.fill { None } else { way(&settings) };
    let mut keeper = Keeper::open_map(&layout, settings.map_size, lock)?;
    // Root's, as the directory is.
    let socket = match args.fill {
        true => None,
        false => settings.http.listen(&layout)?,
    };
    if let Some(user) = &user {
        prepare_for(user, &layout, settings.live_files)?;
        keeper.close_descriptor()?;
        user::become_user(user)?;
        tracing::info!(user = %user.name, "gave up root");
    }
    keeper
        .open_files(&layout, !args.fill)
        .context("cannot start threads")?;
    let metrics_file = settings.metrics_file.clone();
    let (http_settings, port) = (settings.http.clone(), settings.metrics_port);
    let (threads, per_responder) = (settings.threads, settings.per_responder);
    let (fill, once) = (args.fill, args.once);
    let (map, staples) = (layout.map(), layout.lasting().join("staples"));
    let spool = layout.spool();
    let reload = Box::new(move || args.settings(is_system));
    let mut daemon = Daemon::new(layout, settings, mistakes, keeper);
    daemon.fill();
    daemon.show_live();
    if fill {
        return Ok(ExitCode::SUCCESS);
    }
    let (sender, events) = mpsc::channel();
    listen(&sender).context("cannot handle signals")?;
    if let Some(program) = program {
        lifetime::watch(program, map, &sender).context("cannot start threads")?;
    }
    if let Some(way) = way {
        let sender = sender.clone();
        let (fleet, fetch) = (&daemon.settings.fleet, daemon.manner.patience.total);
        let limits = Limits {
            per_lane: per_responder,
            ours: threads,
            users: pool::for_users(threads),
        };
        let tell = move |word| sender.send(Event::Fleet(word)).is_ok();
        let fleet = Fleet::start(way, fleet, fetch, limits, tell);
        daemon.fleet = Some(fleet.context("cannot start threads")?);
    }
    let watch = Watch::start(staples, spool.clone(), &sender)
        .inspect_err(|error| {
            tracing::warn!("no notices of changed files ({error}): only the sweep sees them");
        })
        .ok();
    let (watch, notices) = watch.unzip();
    let inbox = Inbox::start(
        spool,
        Arc::clone(&daemon.manner),
        reload,
        &daemon.issuers,
        &daemon.counters.spool_refused,
        &sender,
    );
    let lister = Lister::start(&daemon.layout, &daemon.issuers, watch, &sender);
    let looker = Looker::start(&daemon.layout, &sender);
    let doors = Doors::open(&http_settings, port, socket)?;
    http::start(doors, daemon.layout.clone(), tell, &sender).context("cannot start threads")?;
    let begun = daemon.fleet.as_ref();
    let begun = begun.map(|fleet| Box::new(fleet.begun()) as pool::Begun);
    let threads = Threads {
        lister: lister.context("cannot start threads")?,
        looker: looker.context("cannot start threads")?,
        inbox: inbox.context("cannot start threads")?,
        pool: Pool::start(threads, per_responder, &daemon.issuers, &sender, begun)
            .context("cannot start threads")?,
        notices,
        metrics: Metrics::start(metrics_file).context("cannot start threads")?,
        manager,
        events,
    };
    daemon.run(threads, if once { Until::Settled } else { Until::Stopped });
    Ok(ExitCode::SUCCESS)
}

/// The way to the fleet's store, if there is a fleet. Without it each agent goes on alone,
/// and so does one that cannot use what was configured.
fn way(settings: &Settings) -> Option<Way> {
    let way = Way::new(settings.fleet.address()?, &settings.fleet);
    let told = way.inspect_err(|error| {
        tracing::error!(cause = "configuration", "there is no fleet: {error:#}");
    });
    told.ok()
}

/// The user to become; None if the agent is to stay what it is.
fn other_user(name: Option<&str>) -> anyhow::Result<Option<User>> {
    let Some(name) = name else {
        return Ok(None);
    };
    let user = user::find(name)?;
    let current = rustix::process::geteuid();
    if current.as_raw() == user.uid.as_raw() {
        return Ok(None);
    }
    if !current.is_root() {
        bail!("only root can start an agent as another user ({name}): leave --user out");
    }
    Ok(Some(user))
}

/// As root: makes what `user` will need and could not make, and nothing else its
/// own. The store's directory itself stays root's, so that a map in it is trusted.
fn prepare_for(user: &User, layout: &Layout, live_files: bool) -> anyhow::Result<()> {
    make_directory(layout.lasting(), Lasting::OnDisk)
        .with_context(|| format!("cannot make the store {}", layout.lasting().display()))?;
    let lasting = ["certs", "staples", "state"].map(|name| layout.lasting().join(name));
    let lasting = lasting.map(|path| (path, Lasting::OnDisk));
    let live = live_files.then(|| (layout.live(), Lasting::InMemory));
    for (path, lasting) in lasting.into_iter().chain(live) {
        // Without it nothing lasts, but responses are served all the same.
        if let Err(error) = give(&path, lasting, user) {
            let path = path.display();
            tracing::error!(
                cause = "store",
                "cannot give {path} to {}: {error:#}",
                user.name
            );
        }
    }
    let spool = layout.spool();
    let owner = fs::symlink_metadata(&spool).ok().map(|about| about.uid());
    if owner != Some(user.uid.as_raw()) {
        DropBox::open(&spool)
            .and_then(|mut spool| spool.give_to(user.uid.as_raw()))
            .with_context(|| format!("cannot make the spool {}", spool.display()))?;
    }
    Ok(())
}

/// Makes the directory, or takes it from root; never through a symbolic link.
fn give(path: &Path, lasting: Lasting, user: &User) -> anyhow::Result<()> {
    make_directory(path, lasting)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&directory)?.st_uid;
    match owner {
        0 => {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            rustix::fs::fchown(
                directory.as_fd(),
                Some(rustix::fs::Uid::from_raw(uid)),
                Some(rustix::fs::Gid::from_raw(gid)),
            )?;
            Ok(())
        }
        owner if owner == user.uid.as_raw() => Ok(()),
        owner => bail!("it belongs to user {owner}"),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};
    use staplegun_testkit::Directory;

    use super::*;

    fn user(uid: Uid) -> User {
        User {
            uid,
            gid: Gid::from_raw(uid.as_raw()),
            ..User::from_uid(Uid::effective())
                .expect("they can be looked up")
                .expect("whoever runs the tests is known")
        }
    }

    fn owner(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").uid()
    }

    #[test]
    fn the_stores_directories_are_taken_from_root_and_from_no_other_user() {
        let directory = Directory::new();
        let path = directory.join("certs");
        // Who is not root can give nothing away.
        let first = match Uid::effective() {
            root if root.is_root() => Uid::from_raw(65_534),
            own => own,
        };
        for _ in 0..2 {
            give(&path, Lasting::InMemory, &user(first)).expect("root's, or its own already");
            assert_eq!(owner(&path), first.as_raw());
        }
        let other = user(Uid::from_raw(first.as_raw() - 1));
        let error = give(&path, Lasting::InMemory, &other).expect_err("it is the first one's");
        assert!(error.to_string().contains("belongs to user"), "{error:#}");
        assert_eq!(owner(&path), first.as_raw());
    }
}
