//! The agent's main thread: waits for what happens and for what is due, and alone
//! changes anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::files::Stamp;
use staplegun_store::layout::Layout;

use super::chains::Chains;
use super::clock;
use super::counters::Counters;
use super::decision::overslept as has_overslept;
use super::event::{Event, Wanted};
use super::figures;
use super::forgiving::Mistake;
use super::inbox::Inbox;
use super::keeper::Keeper;
use super::lister::{Again, Lister};
use super::metrics::Metrics;
use super::pool::Pool;
use super::responders::{self, Ledger};
use super::roster::Roster;
use super::settings::Settings;
use super::shelf::Shelf;
use super::staples::Looker;
use super::systemd::Manager;
use super::watch::{Changes, Notices};
use crate::fetch::{Issuers, Manner};
use crate::fleet::Fleet;

/// How long notices of changes are gathered before anything is looked at.
const GATHERING: Duration = Duration::from_millis(50);
/// How often it is looked whether the disk has done.
const WRITING_PAUSE: Duration = Duration::from_millis(10);
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
    pub(super) ledger: Ledger,
    pub(super) shelf: Shelf,
    /// The chains whose intermediates are to be looked after, too.
    pub(super) chains: Chains,
    pub(super) counters: Counters,
    /// What other agents fetched, if there is a fleet.
    pub(super) fleet: Option<Fleet>,
    /// Whose files in `staples/` are still to be looked at.
    pub(super) dropped: BTreeSet<Key>,
    /// What of the operator's list is to be read though it has not changed.
    pub(super) again: Again,
    /// The list's file as it was seen last; None: it was not looked at yet.
    pub(super) list: Option<Option<Stamp>>,
    /// When everything was looked at last: that tells of a file of metrics that nobody writes
    /// any more.
    pub(super) swept: UnixTime,
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
    /// Looks at the files in `staples/`.
    pub looker: Looker,
    /// What the watch tells of files; None if the kernel has no watches left.
    pub notices: Option<Notices>,
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
    pub fn new(
        layout: Layout,
        settings: Settings,
        mut mistakes: Vec<Mistake>,
        keeper: Keeper,
    ) -> Self {
        let (trust, untrusted) = settings.trust();
        mistakes.extend(untrusted);
        for mistake in &mistakes {
            tracing::error!(cause = "configuration", "{mistake}; it does not count");
        }
        Self {
            complaint: mistakes.first().map(|first| match mistakes.len() {
                1 => format!("the configuration has a mistake: {first}"),
                all => format!("the configuration has {all} mistakes, the first: {first}"),
            }),
            manner: Arc::new(settings.manner(trust)),
            issuers: Arc::default(),
            layout,
            settings,
            keeper,
            roster: Roster::default(),
            ledger: Ledger::default(),
            shelf: Shelf::default(),
            chains: Chains::default(),
            counters: Counters::default(),
            fleet: None,
            dropped: BTreeSet::new(),
            again: Again::default(),
            list: None,
            swept: clock::now(),
        }
    }

    /// Shows what may be stapled now in `live/`, if that is wanted.
    pub fn show_live(&mut self) {
        let is_wanted = self.settings.live_files;
        self.keeper.show_live(&self.layout, is_wanted);
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
        // What was stored is served whatever a configuration says that cannot be read.
        if self.complaint.is_none() {
            self.follow_chains(self.settings.intermediates);
        }
        loop {
            self.look_where_due(&mut threads, &mut agenda);
            self.look_at_some_dropped(&mut threads.looker);
            self.start_due(&threads.pool);
            self.chains.hand_over(&mut threads.inbox);
            let begun = Instant::now();
            if agenda.metrics.is_some_and(|at| at <= begun) {
                threads.metrics.update(&self);
                agenda.metrics = None;
                agenda.metrics_pause = METRICS_PAUSE.max(begun.elapsed() * METRICS_PART);
            }
            let is_looking = threads.looker.is_busy() || !self.dropped.is_empty();
            let is_reading = threads.inbox.is_busy() || threads.lister.is_busy() || is_looking;
            let mut patience = self.patience(&agenda, &threads.looker);
            if until == Until::Settled && !self.roster.is_asking() && !is_reading {
                if !self.keeper.is_writing() {
                    threads.metrics.update(&self);
                    return;
                }
                // The disk may be slow, and tells nobody that it has done.
                patience = patience.min(WRITING_PAUSE);
            }
            let event = match threads.events.recv_timeout(patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            agenda.note_change();
            match event {
                Event::Fetched { key, fetched } => self.fetched(&key, fetched.map(|it| *it)),
                Event::Fleet(word) => self.heard(word, &threads.pool),
                Event::Room {
                    key,
                    source,
                    answer,
                } => {
                    // There is room for one.
                    let _ = answer.try_send(self.room(&key, source));
                }
                Event::Left(left) => self.let_in(*left),
                Event::Looked(looked) => {
                    threads.looker.looked();
                    looked.into_iter().for_each(|one| self.looked(one));
                }
                Event::Remove(key) => self.remove(&key),
                Event::Listed(listed) => {
                    threads.lister.listed(&listed);
                    if self.listed(*listed) {
                        agenda.look_elsewhere(Instant::now() + GATHERING);
                    }
                }
                Event::Emptied(order) => threads.inbox.emptied(order),
                Event::Spool => {
                    // At once: a server may start with a certificate that is new.
                    threads.notices.iter().for_each(Notices::take_spool);
                    threads.inbox.look();
                }
                Event::Changed => {
                    agenda.look.get_or_insert(Instant::now() + GATHERING);
                }
                Event::Tell(wanted, answer) => {
                    let begun = Instant::now();
                    let text = match wanted {
                        Wanted::Metrics => figures::render(&self),
                        Wanted::Responders => {
                            let fleet = self.fleet.as_ref().map(|it| &*it.counters);
                            responders::json(&self.responders(), fleet)
                        }
                    };
                    // Who asked may have left.
                    let _ = answer.try_send((text, begun.elapsed()));
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
        let notices = threads.notices.as_ref();
        let mut changes = notices.map_or_else(Changes::default, Notices::take);
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
            let again = std::mem::take(&mut self.again);
            threads.lister.look(Arc::clone(&self.manner), again);
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

    /// What is done from time to time, whatever happens.
    fn sweep(&mut self) {
        let (now, at) = (clock::now(), Instant::now());
        self.swept = now;
        self.follow_the_clock(now, at);
        let roster = &self.roster;
        self.keeper
            .drop_expired(|key| roster.contains(key), now, at);
        self.drop_idle_intermediates();
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
        self.keeper.look_at_live();
    }

    /// What was passed over may be let in by the configuration as it is now.
    fn examine_again(&mut self, inbox: &mut Inbox) {
        for passed_over in self.roster.passed_over.all() {
            inbox.examine(passed_over);
        }
    }

    /// How long nothing is to be done.
    fn patience(&self, agenda: &Agenda, looker: &Looker) -> Duration {
        if !self.dropped.is_empty() && !looker.is_busy() {
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
                let before = std::mem::replace(&mut self.settings, settings);
                self.show_live();
                self.follow_chains(before.intermediates);
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
