//! The agent's main thread: waits for what happens and for what is due, and alone
//! changes anything.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use staplegun_store::Key;
use staplegun_store::layout::Layout;

use super::clock;
use super::counters::Counters;
use super::decision::overslept as has_overslept;
use super::event::Event;
use super::forgiving::Mistake;
use super::inbox::Inbox;
use super::keeper::Keeper;
use super::lister::{Again, Lister};
use super::metrics;
use super::metrics::Metrics;
use super::pool::Pool;
use super::roster::Roster;
use super::settings::Settings;
use super::shelf::Shelf;
use super::stamp::Stamp;
use super::systemd::Manager;
use super::unreadable;
use super::watch::{Changes, Watch};
use crate::fetch::{Issuers, Manner};

/// How long notices of changes are gathered before anything is looked at.
const GATHERING: Duration = Duration::from_millis(50);
/// How many files in `staples/` are looked at between two looks at what else happens.
const DROPPED_AT_ONCE: usize = 16;
/// How often the file of the metrics is written at most, and which part of the time
/// that may take.
const METRICS_PAUSE: Duration = Duration::from_secs(1);
const METRICS_PART: u32 = 20;

/// Everything that the main thread has.
pub struct Daemon {
    pub(super) layout: Layout,
    pub(super) settings: Settings,
    pub(super) manner: Arc<Manner>,
    pub(super) issuers: Arc<Issuers>,
    pub(super) keeper: Keeper,
    pub(super) roster: Roster,
    pub(super) shelf: Shelf,
    pub(super) counters: Counters,
    /// Whose files in `staples/` are still to be looked at.
    pub(super) dropped: BTreeSet<Key>,
    /// What of the operator's list is to be read though it has not changed.
    pub(super) again: Again,
    /// The directories in which it lies.
    pub(super) directories: Vec<PathBuf>,
    /// What of it cannot be read, for `staplegun status`.
    pub(super) unreadable: unreadable::Note,
    /// The list's file as it was seen last; None: it was not looked at yet.
    pub(super) list: Option<Option<Stamp>>,
    /// What is wrong with the configuration, for whoever looks at the service.
    complaint: Option<String>,
}

/// The other threads, which exist once the agent is the user that it is to be.
pub struct Threads {
    /// What they tell.
    pub events: Receiver<Event>,
    /// They fetch.
    pub pool: Pool,
    /// Empties the spool.
    pub inbox: Inbox,
    /// Reads what the operator named.
    pub lister: Lister,
    /// Watches files; None if the kernel has no watches left.
    pub watch: Option<Watch>,
    /// Serves and writes the metrics.
    pub metrics: Metrics,
    /// The service manager.
    pub manager: Manager,
}

/// When the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is told to.
    Stopped,
    /// When nothing is left to be asked for now.
    Settled,
}

/// When the main thread has to look at what.
struct Agenda {
    sweep: Instant,
    look: Option<Instant>,
    /// Look there whether or not the watch tells of changes.
    elsewhere: bool,
    /// None while nothing has changed.
    metrics: Option<Instant>,
    metrics_pause: Duration,
}

impl Agenda {
    /// Something happened: the metrics tell it soon, and not too often.
    fn note_change(&mut self) {
        self.metrics
            .get_or_insert(Instant::now() + self.metrics_pause);
    }

    /// Everything but `staples/` is to be looked at then.
    fn look_elsewhere(&mut self, at: Instant) {
        self.look = Some(at);
        self.elsewhere = true;
    }
}

impl Daemon {
    /// Makes it of its parts.
    ///
    /// A file of trusted issuers that cannot be read does not count, and is told with
    /// the other `mistakes` of the configuration.
    ///
    /// # Errors
    ///
    /// If libcrypto gives no store for the trusted issuers.
    pub fn new(
        layout: Layout,
        settings: Settings,
        mut mistakes: Vec<Mistake>,
        keeper: Keeper,
    ) -> anyhow::Result<Self> {
        let (trust, untrusted) = settings.trust()?;
        mistakes.extend(untrusted);
        for mistake in &mistakes {
            tracing::error!(cause = "configuration", "{mistake}; it does not count");
        }
        Ok(Self {
            complaint: mistakes.first().map(|first| match mistakes.len() {
                1 => format!("the configuration has a mistake: {first}"),
                all => format!("the configuration has {all} mistakes, the first: {first}"),
            }),
            manner: Arc::new(settings.manner(trust)),
            issuers: Arc::default(),
            unreadable: unreadable::Note::of(&layout),
            layout,
            settings,
            keeper,
            roster: Roster::default(),
            shelf: Shelf::default(),
            counters: Counters::default(),
            dropped: BTreeSet::new(),
            again: Again::default(),
            directories: Vec::new(),
            list: None,
        })
    }

    /// Works until it is time to end.
    pub fn run(mut self, mut threads: Threads, until: Until) {
        let mut agenda = Agenda {
            sweep: Instant::now(),
            look: None,
            elsewhere: false,
            metrics: Some(Instant::now()),
            metrics_pause: METRICS_PAUSE,
        };
        threads.manager.ready(self.complaint("filled the live map"));
        self.examine_again(&mut threads.inbox);
        loop {
            self.look_where_due(&mut threads, &mut agenda);
            self.take_some_dropped(&mut threads.inbox);
            self.start_due(&threads.pool);
            let begun = Instant::now();
            if agenda.metrics.is_some_and(|at| at <= begun) {
                threads.metrics.update(&self);
                agenda.metrics = None;
                agenda.metrics_pause = METRICS_PAUSE.max(begun.elapsed() * METRICS_PART);
            }
            let is_reading = threads.inbox.is_busy() || threads.lister.is_busy();
            let is_settled = !self.roster.is_asking() && !is_reading && self.dropped.is_empty();
            if until == Until::Settled && is_settled {
                threads.metrics.update(&self);
                return;
            }
            let event = match threads.events.recv_timeout(self.patience(&agenda)) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            agenda.note_change();
            match event {
                Event::Fetched { key, fetched } => self.fetched(&key, fetched.map(|it| *it)),
                Event::Room {
                    key,
                    source,
                    answer,
                } => {
                    // There is room for one.
                    let _ = answer.try_send(self.room(&key, source));
                }
                Event::Left(left) => self.let_in(*left),
                Event::Judged(judged) => self.judged(*judged),
                Event::Remove(key) => self.remove(&key),
                Event::Listed(listed) => {
                    threads.lister.listed(&listed);
                    if self.listed(*listed, threads.watch.as_mut()) {
                        agenda.look_elsewhere(Instant::now() + GATHERING);
                    }
                }
                Event::Emptied(order) => threads.inbox.emptied(order),
                Event::Changed => {
                    agenda.look.get_or_insert(Instant::now() + GATHERING);
                }
                Event::Metrics(wanted) => {
                    let begun = Instant::now();
                    // Who asked may have left.
                    let _ = wanted.try_send((metrics::render(&self), begun.elapsed()));
                }
                Event::Reload => {
                    threads.manager.reloading();
                    threads.inbox.configure();
                }
                Event::Configured(read) => {
                    self.configured(*read);
                    self.examine_again(&mut threads.inbox);
                    agenda.look_elsewhere(Instant::now());
                    threads
                        .manager
                        .ready(self.complaint("read the configuration again"));
                }
                Event::Stop(why) => {
                    threads.manager.stopping();
                    self.note_expired(Instant::now(), true);
                    threads.metrics.update(&self);
                    tracing::info!("ending: {why}; what is in the live map stays in use");
                    return;
                }
            }
        }
    }

    fn look_where_due(&mut self, threads: &mut Threads, agenda: &mut Agenda) {
        let now = Instant::now();
        let is_sweep = agenda.sweep <= now;
        if !is_sweep && agenda.look.is_none_or(|look| look > now) {
            return;
        }
        agenda.look = None;
        agenda.note_change();
        let mut changes = match &threads.watch {
            Some(watch) => watch.take(),
            None => Changes::default(),
        };
        if is_sweep {
            changes = Changes::everything();
            self.sweep();
            for back in self.roster.passed_over.take_no_longer_expired(clock::now()) {
                threads.inbox.examine(back);
            }
            let next = self.next_expiry(clock::now());
            agenda.sweep =
                now + next.map_or(self.settings.sweep(), |it| it.min(self.settings.sweep()));
        }
        if std::mem::take(&mut agenda.elsewhere) || changes.elsewhere {
            if self.look_elsewhere(threads) {
                agenda.look_elsewhere(now + GATHERING);
            }
            changes.spool = true;
        }
        if changes.spool {
            threads.inbox.look();
        }
        if changes.all_staples {
            self.dropped.extend(self.roster.iter().map(|(key, _)| *key));
        } else {
            self.dropped.extend(changes.staples);
        }
    }

    /// Looks at some of the files in `staples/` that may have changed: a revocation that
    /// comes meanwhile waits for no more.
    fn take_some_dropped(&mut self, inbox: &mut Inbox) {
        for _ in 0..DROPPED_AT_ONCE {
            let Some(key) = self.dropped.pop_first() else {
                return;
            };
            if let Some(brought) = self.look_at_response(&key) {
                inbox.judge(brought);
            }
        }
    }

    /// True if it has to be looked there once more.
    fn look_elsewhere(&mut self, threads: &mut Threads) -> bool {
        // Before the look: what changes after it is told.
        let directories = self.watched_directories();
        let watch = threads.watch.as_mut();
        let once_more = watch.is_some_and(|watch| watch.set(&directories));
        let again = std::mem::take(&mut self.again);
        threads.lister.look(Arc::clone(&self.manner), again);
        once_more
    }

    pub(super) fn watched_directories(&self) -> Vec<PathBuf> {
        let mut all = vec![
            self.layout.spool(),
            self.layout.runtime().to_owned(),
            self.layout.lasting().to_owned(),
            self.layout.lasting().join("staples"),
        ];
        all.extend(self.directories.iter().cloned());
        all
    }

    /// What is done from time to time, whatever happens.
    fn sweep(&mut self) {
        let (now, at) = (clock::now(), Instant::now());
        self.follow_the_clock(now, at);
        let roster = &self.roster;
        self.keeper
            .drop_expired(|key| roster.contains(key), now, at);
        let mut overslept = Vec::new();
        for (key, watched) in self.roster.iter() {
            let Some((known, due)) = watched.known.as_ref().zip(watched.waits_until()) else {
                continue;
            };
            let left = due.saturating_duration_since(at);
            if watched.notes.failures == 0
                && watched.stale == 0
                && known.is_good()
                && has_overslept(known, now, left)
            {
                tracing::info!(
                    certificate = %watched.subject.leaf.display_subject(),
                    "the clock was set forward, or the machine slept: asking now"
                );
                overslept.push(*key);
            }
        }
        for key in overslept {
            self.roster.set_due(&key, Some(at));
        }
        self.take_early();
    }

    /// What was passed over may be let in by the configuration as it is now.
    fn examine_again(&mut self, inbox: &mut Inbox) {
        for passed_over in self.roster.passed_over.all() {
            inbox.examine(passed_over);
        }
    }

    /// How long nothing is to be done.
    fn patience(&self, agenda: &Agenda) -> Duration {
        if !self.dropped.is_empty() {
            return Duration::ZERO;
        }
        let times = [agenda.look, agenda.metrics, self.roster.next_due()];
        let next = times.into_iter().flatten().min();
        let next = next.map_or(agenda.sweep, |next| next.min(agenda.sweep));
        next.saturating_duration_since(Instant::now())
    }

    /// What the service manager is told: `good`, unless something is wrong.
    fn complaint<'a>(&'a self, good: &'a str) -> &'a str {
        self.complaint.as_deref().unwrap_or(good)
    }

    /// The configuration was read again.
    fn configured(&mut self, read: anyhow::Result<(Settings, Arc<Manner>)>) {
        match read {
            Ok((settings, manner)) => {
                self.manner = manner;
                self.settings = settings;
                self.complaint = None;
                // There may be a responder now where there was none.
                self.again.all = true;
                self.ask_at_once();
                tracing::info!("read the configuration again");
            }
            Err(error) => {
                let why = format!("{error:#}; the configuration stays as it was");
                tracing::error!(cause = "configuration", "{why}");
                self.complaint = Some(format!("the reload was refused: {why}"));
            }
        }
    }
}
