//! The thread that empties the spool. All that a stranger can lengthen is done here:
//! reading, parsing, and the cryptography that tells who issued a certificate and
//! whether he is trusted. What is cheap comes first, what root left comes before all
//! else, and each user has a budget of time.
//!
//! What else takes cryptography is done here, too, between two files of the spool:
//! responses that were brought are judged, and trusted issuers are read again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use staplegun_store::files::Notes;
use staplegun_store::name;
use staplegun_store::spool::{self, DropBox};

use super::brought::Brought;
use super::budget::{Budget, processor_time};
use super::counters::SpoolRefused;
use super::event::Event;
use super::examine::{Examiner, unpack};
use super::passed_over::PassedOver;
use super::refusals::Refusals;
use super::roster::Source;
use super::sentence::Refusal;
use super::settings::Settings;
use crate::fetch::{Issuers, Manner, Subject, Trust};

/// The pause between two looks at what is there.
const PAUSE: Duration = Duration::from_millis(20);

/// A certificate that was left or named, as it was examined.
#[derive(Debug)]
pub struct Left {
    /// The certificate; with its issuer, unless it is refused.
    pub subject: Subject,
    /// Who did it.
    pub source: Source,
    /// What is remembered of it.
    pub notes: Notes,
    /// Why nobody is to be asked for it.
    pub refusal: Option<Refusal>,
    /// What was remembered of it before.
    pub before: Notes,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Look,
    Examine(Box<PassedOver>),
    Judge(Box<Brought>),
    Configure,
}

/// Reads the configuration again.
pub type Reload = Box<dyn Fn() -> anyhow::Result<Settings> + Send>;

/// The thread, as the main one sees it.
#[derive(Debug)]
pub struct Inbox {
    orders: Sender<Order>,
    /// How many orders there were, and how many are done.
    given: u64,
    done: u64,
}

impl Inbox {
    /// Opens the spool at `path`, so that programs may leave certificates at once, and
    /// starts the thread. It tells `events` what it finds, and counts what it refuses;
    /// `reload` reads the configuration again.
    ///
    /// # Errors
    ///
    /// If the system gives no thread. A spool that cannot be used is no error.
    pub fn start(
        path: PathBuf,
        manner: Arc<Manner>,
        reload: Reload,
        issuers: &Arc<Issuers>,
        refused: &SpoolRefused,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let (sender, orders) = channel();
        let mut thread = Thread {
            path,
            reload,
            examiner: Examiner {
                manner,
                issuers: Arc::clone(issuers),
                events: events.clone(),
            },
            refused: Arc::clone(refused),
            events: events.clone(),
            drop_box: None,
            is_failing: false,
            budget: Budget::default(),
            refusals: Refusals::default(),
        };
        thread.open();
        std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || thread.work(&orders))?;
        Ok(Self {
            orders: sender,
            given: 0,
            done: 0,
        })
    }

    /// There may be something in the spool.
    pub fn look(&mut self) {
        self.give(Order::Look);
    }

    /// A certificate that was passed over is to be examined again.
    pub fn examine(&mut self, passed_over: PassedOver) {
        self.give(Order::Examine(Box::new(passed_over)));
    }

    /// A response is to be judged: [`Event::Judged`].
    pub fn judge(&mut self, brought: Brought) {
        self.give(Order::Judge(Box::new(brought)));
    }

    /// The configuration is to be read again: [`Event::Configured`].
    pub fn configure(&mut self) {
        self.give(Order::Configure);
    }

    fn give(&mut self, order: Order) {
        // The thread ends with the process only.
        if self.orders.send(order).is_ok() {
            self.given += 1;
        }
    }

    /// So many orders are done: [`Event::Emptied`].
    pub fn emptied(&mut self, done: u64) {
        self.done = done;
    }

    /// Whether something is being done, or in the spool that may be taken now.
    pub fn is_busy(&self) -> bool {
        self.done < self.given
    }
}

struct Thread {
    path: PathBuf,
    reload: Reload,
    examiner: Examiner,
    refused: SpoolRefused,
    events: Sender<Event>,
    /// None if it cannot be used.
    drop_box: Option<DropBox>,
    is_failing: bool,
    budget: Budget,
    refusals: Refusals,
}

/// What is to be done.
struct Agenda {
    /// There may be something new in the spool, to be looked at then.
    look: Option<Instant>,
    /// What was passed over is examined again.
    again: VecDeque<PassedOver>,
    /// Responses are judged.
    brought: VecDeque<Brought>,
    /// How many orders there were, and how many the main thread knows to be done.
    given: u64,
    told: u64,
}

impl Thread {
    fn work(mut self, orders: &Receiver<Order>) {
        let mut agenda = Agenda {
            look: None,
            again: VecDeque::new(),
            brought: VecDeque::new(),
            given: 0,
            told: 0,
        };
        let mut looked = None;
        let mut patience = None;
        loop {
            let first = match patience {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => orders.recv_timeout(patience),
            };
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            for order in first.into_iter().chain(orders.try_iter()) {
                agenda.given += 1;
                match order {
                    Order::Look => {
                        let next = looked.map_or_else(Instant::now, |at| at + PAUSE);
                        agenda.look.get_or_insert(next);
                    }
                    Order::Examine(passed_over) => agenda.again.push_back(*passed_over),
                    Order::Judge(brought) => agenda.brought.push_back(*brought),
                    Order::Configure => self.configure(),
                }
            }
            if agenda.look.is_some_and(|at| at <= Instant::now()) {
                let is_complete = self.look();
                let now = Instant::now();
                looked = Some(now);
                agenda.look = (!is_complete).then(|| now + PAUSE);
            }
            let mut is_over = !self.take_one();
            if let Some(brought) = agenda.brought.pop_front() {
                self.judge(brought);
                is_over = false;
            }
            if let Some(passed_over) = agenda.again.pop_front() {
                self.examine_again(passed_over);
                is_over = false;
            }
            // Who has spent his time has more to come.
            let all_taken = self
                .drop_box
                .iter()
                .flat_map(DropBox::waiting)
                .next()
                .is_none();
            self.refusals.tell(is_over && all_taken);
            if is_over && agenda.look.is_none() && agenda.told < agenda.given {
                agenda.told = agenda.given;
                let _ = self.events.send(Event::Emptied(agenda.told));
            }
            patience = match is_over {
                false => Some(Duration::ZERO),
                true => self.patience(&agenda),
            };
        }
    }

    /// How long there is nothing to do; None: until there is an order.
    fn patience(&self, agenda: &Agenda) -> Option<Duration> {
        let now = Instant::now();
        let look = agenda.look.map(|at| at.saturating_duration_since(now));
        let users = self.drop_box.iter().flat_map(DropBox::waiting);
        let turns = users.map(|uid| self.budget.wait(uid, now));
        turns.chain(look).min()
    }

    fn open(&mut self) {
        // It may have been removed and made again.
        let path = &self.path;
        self.drop_box.take_if(|known| !known.lies_at(path));
        if self.drop_box.is_some() {
            return;
        }
        match DropBox::open(path) {
            Ok(drop_box) => self.drop_box = Some(drop_box),
            Err(error) if !self.is_failing => tracing::error!(
                cause = "spool",
                "cannot use the spool {}: {error}; certificates that programs load are not \
                 noticed, those named by staplegun add are",
                path.display()
            ),
            Err(_) => {}
        }
        self.is_failing = self.drop_box.is_none();
    }

    /// Looks at the names there. False if there is more.
    fn look(&mut self) -> bool {
        self.open();
        let Some(drop_box) = &mut self.drop_box else {
            return true;
        };
        let look = match drop_box.look(Instant::now()) {
            Ok(look) => look,
            Err(error) => {
                tracing::error!(cause = "spool", "cannot read the spool: {error}");
                return true;
            }
        };
        let files = look.refused.len();
        self.refused.fetch_add(files as u64, Ordering::Relaxed);
        // One line for each look, whatever mischief was done.
        if let Some(first) = look.refused.first() {
            let why = &first.why;
            tracing::warn!(cause = "spool", files, first = ?first.name, "refused what was left in the spool: {why}");
        }
        look.complete
    }

    /// Takes the file whose turn it is. False if there is none.
    fn take_one(&mut self) -> bool {
        let (now, began) = (Instant::now(), processor_time());
        let budget = &self.budget;
        let next = self.drop_box.as_mut().and_then(|drop_box| {
            // Root's and the agent's own do not have to ask.
            drop_box.next(|uid| budget.covers(uid, now))
        });
        let taken = match next {
            None => return false,
            Some(Ok(taken)) => taken,
            Some(Err(refused)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let why = &refused.why;
                tracing::warn!(cause = "spool", first = ?refused.name, "refused what was left in the spool: {why}");
                return true;
            }
        };
        let own = rustix::process::geteuid().as_raw();
        let source = match taken.uid {
            uid if uid == 0 || uid == own => Source::Trusted,
            uid => Source::User(uid),
        };
        if taken.bytes == spool::REMOVE && source == Source::Trusted {
            // Without a main thread the process is ending.
            let _ = self.events.send(Event::Remove(taken.key));
            return true;
        }
        match unpack(&taken) {
            Ok(subject) => self.tell(subject, source, Notes::default()),
            Err(why) => self.refuse(taken.uid, String::new(), name::of_key(&taken.key), why),
        }
        if let Source::User(uid) = source {
            let spent = processor_time().saturating_sub(began);
            self.budget.charge(uid, spent, Instant::now());
        }
        true
    }

    fn judge(&self, brought: Brought) {
        if let Some(judged) = brought.judge(&self.examiner.manner.policy) {
            // Without a main thread the process is ending.
            let _ = self.events.send(Event::Judged(Box::new(judged)));
        }
    }

    fn configure(&mut self) {
        let read = || -> anyhow::Result<(Settings, Arc<Manner>)> {
            let settings = (self.reload)()?;
            let manner = settings.manner(Trust::new(&settings.trusted_issuers)?);
            Ok((settings, Arc::new(manner)))
        };
        let read = read();
        if let Ok((_, manner)) = &read {
            self.examiner.manner = Arc::clone(manner);
        }
        // Without a main thread the process is ending.
        let _ = self.events.send(Event::Configured(Box::new(read)));
    }

    fn examine_again(&mut self, passed_over: PassedOver) {
        let PassedOver { subject, notes } = passed_over;
        let source = match (notes.left_by, &notes.path) {
            (Some(uid), _) => Source::User(uid),
            (None, Some(_)) => Source::List,
            (None, None) => Source::Trusted,
        };
        self.tell(subject, source, notes);
    }

    /// Examines a certificate, and tells the main thread what came of it.
    fn tell(&mut self, subject: Subject, source: Source, before: Notes) {
        let Some((subject, refusal)) = self.examiner.examine(subject, source) else {
            return;
        };
        if let (Some(refusal), Source::User(uid)) = (&refusal, source)
            && refusal.needs_operator()
            && before.passed_over.is_none()
        {
            let certificate = subject.leaf.display_subject();
            self.refuse(
                uid,
                certificate,
                name::of_key(&subject.key()),
                refusal.to_string(),
            );
        }
        let notes = before.clone();
        // Without a main thread the process is ending.
        let _ = self.events.send(Event::Left(Box::new(Left {
            subject,
            source,
            notes,
            refusal,
            before,
        })));
    }

    fn refuse(&mut self, uid: u32, certificate: String, key: String, why: String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refusals.add(uid, certificate, key, why);
    }
}
