//! The agent's main thread: waits for what happens and for what is due, and has it done.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::clock;
use super::daemon::Daemon;
use super::event::Event;
use super::inbox::Inbox;
use super::lister::Lister;
use super::metrics::Metrics;
use super::pool::Pool;
use super::round::PART;
use super::staples::Looker;
use super::systemd::Manager;
use super::watch::{Changes, Notices};

/// How long notices of changes are gathered before anything is looked at.
const GATHERING: Duration = Duration::from_millis(50);
/// Between two parts of what is done in parts: others have the processor meanwhile. And until
/// more answers have come.
const REST: Duration = Duration::from_millis(1);
/// How often it is looked whether the disk has done.
const WRITING_PAUSE: Duration = Duration::from_millis(10);
/// How often the file of the metrics is written at most, and which part of the time
/// that may take.
const METRICS_PAUSE: Duration = Duration::from_secs(1);
const METRICS_PART: u32 = 20;

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

/// What happened next. After an answer, if more are to come, they gather first: to be woken for
/// each takes both threads longer than what is done with it. The first one never waits.
fn next(
    events: &Receiver<Event>,
    is_more_to_come: bool,
    patience: Duration,
) -> Result<Event, RecvTimeoutError> {
    if is_more_to_come {
        if let Ok(event) = events.try_recv() {
            return Ok(event);
        }
        std::thread::sleep(REST);
    }
    events.recv_timeout(patience)
}

impl Daemon {
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
        let mut is_answered = false;
        loop {
            self.look_where_due(&mut threads, &mut agenda);
            if !self.by_the_clock.is_over() {
                self.go_on_with_the_sweep(&mut agenda);
            }
            self.ask_some_at_once();
            self.look_at_some_dropped(&mut threads.looker);
            self.start_due(&threads.pool);
            self.chains.hand_over(&mut threads.inbox);
            let begun = Instant::now();
            if agenda.metrics.is_some_and(|at| at <= begun) {
                agenda.metrics = None;
                self.surveying.ask(threads.metrics.asker());
            }
            if let Some(took) = self.survey_some(PART) {
                agenda.metrics_pause = METRICS_PAUSE.max(took * METRICS_PART);
            }
            let is_looking = threads.looker.is_busy() || self.has_files_to_look_at();
            let is_reading = threads.inbox.is_busy() || threads.lister.is_busy() || is_looking;
            let is_due = self.roster.next_due().is_some_and(|due| due <= begun);
            let is_settled = !self.is_in_rounds() && !is_due && !self.roster.is_asking();
            let mut patience = self.patience(&agenda, &threads.looker);
            if until == Until::Settled && is_settled && !is_reading {
                if !self.keeper.is_writing() {
                    self.survey_all(threads.metrics.asker());
                    return;
                }
                // The disk may be slow, and tells nobody that it has done.
                patience = patience.min(WRITING_PAUSE);
            }
            let is_more_to_come = is_answered && self.roster.is_asking();
            let event = match next(&threads.events, is_more_to_come, patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    is_answered = false;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            agenda.note_change();
            is_answered = matches!(event, Event::Fetched { .. });
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
                Event::Left(left) => self.let_in(*left, clock::now()),
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
                Event::Tell(asker) => self.surveying.ask([asker]),
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
                    self.survey_all(threads.metrics.asker());
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
            agenda.sweep = now + self.settings.sweep();
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
            self.by_their_files.begin();
        } else {
            self.dropped.extend(changes.staples);
        }
    }

    fn go_on_with_the_sweep(&mut self, agenda: &mut Agenda) {
        let now = Instant::now();
        if let Some(left) = self.follow_the_clock_for_some() {
            agenda.sweep = agenda.sweep.min(now + left);
        }
        if self.by_the_clock.is_over() && !self.again.certificates.is_empty() {
            // Whether the operator still names what was put by.
            agenda.look_elsewhere(now);
        }
    }

    /// What was passed over may be let in by the configuration as it is now.
    fn examine_again(&mut self, inbox: &mut Inbox) {
        for passed_over in self.roster.passed_over.all() {
            inbox.examine(passed_over);
        }
    }

    /// Whether somebody is still to be looked at, which waits for nothing.
    fn is_in_rounds(&self) -> bool {
        let rounds = [
            &self.by_the_clock,
            &self.by_their_wants,
            &self.surveying.round,
        ];
        rounds.iter().any(|round| !round.is_over())
    }

    fn has_files_to_look_at(&self) -> bool {
        !self.dropped.is_empty() || !self.by_their_files.is_over()
    }

    /// How long nothing is to be done.
    fn patience(&self, agenda: &Agenda, looker: &Looker) -> Duration {
        if self.is_in_rounds() || (self.has_files_to_look_at() && !looker.is_busy()) {
            return REST;
        }
        let times = [agenda.look, agenda.metrics, self.roster.next_due()];
        let next = times.into_iter().flatten().min();
        let next = next.map_or(agenda.sweep, |next| next.min(agenda.sweep));
        next.saturating_duration_since(Instant::now()).max(REST)
    }
}
