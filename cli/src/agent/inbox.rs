//! The thread that empties the spool. All that a stranger can lengthen is done here:
//! reading, parsing, and the cryptography that tells who issued a certificate and
//! whether he is trusted. What is cheap comes first, what root left comes before all
//! else, and each user has a budget of time.
//!
//! Trusted issuers are read again here, too, between two files of the spool: that takes
//! cryptography.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use staplegun_store::files::Notes;
use staplegun_store::name;
use staplegun_store::spool::{self, DropBox};

use super::budget::{Budget, processor_time};
use super::chain::{Chain, Stored};
use super::clock;
use super::counters::SpoolRefused;
use super::errands::Errands;
use super::event::{Event, Left};
use super::examine::{Examiner, unpack};
use super::passed_over::PassedOver;
use super::refusals::Refusals;
use super::roster::Source;
use super::settings::Settings;
use super::worker::caught;
use crate::fetch::{Issuers, Manner, Subject};

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Look,
    Examine(Box<PassedOver>),
    Follow(Chain),
    FollowStored(Box<Stored>),
    Configure,
}

/// Reads the configuration again.
type Reload = Box<dyn Fn() -> anyhow::Result<Settings> + Send>;

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
            refused: refused.clone(),
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

    /// The intermediates of a chain are to be examined.
    pub fn follow(&mut self, chain: Chain) {
        self.give(Order::Follow(chain));
    }

    /// The same for all chains of the store.
    pub fn follow_stored(&mut self, stored: Stored) {
        self.give(Order::FollowStored(Box::new(stored)));
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

impl Thread {
    fn work(mut self, orders: &Receiver<Order>) {
        let mut agenda = Errands::default();
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
                    Order::Look => agenda.want_look(Instant::now()),
                    Order::Examine(passed_over) => agenda.again.push_back(*passed_over),
                    Order::Follow(chain) => agenda.chains.push_back(chain),
                    Order::FollowStored(stored) => agenda.stored = Some(*stored),
                    Order::Configure => self.configure(),
                }
            }
            if agenda.look.is_some_and(|at| at <= Instant::now()) {
                let is_complete = caught(|| self.look()).unwrap_or(true);
                agenda.looked(is_complete, Instant::now());
            }
            // What panicked was taken all the same.
            let mut is_over = !caught(|| self.take_one()).unwrap_or(true);
            if let Some(passed_over) = agenda.again.pop_front() {
                caught(|| self.examine_again(passed_over));
                is_over = false;
            }
            if let Some(chain) = agenda.next_chain() {
                caught(|| chain.iter().for_each(|chain| self.follow(chain)));
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
    fn patience(&self, agenda: &Errands) -> Option<Duration> {
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
        for one in &look.refused {
            self.refused.count(one.why.cause);
        }
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
                let why = &refused.why;
                self.refused.count(why.cause);
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
            Err((cause, why)) => {
                self.refused.count(cause);
                let key = name::of_key(&taken.key);
                self.refusals.add(taken.uid, String::new(), key, why);
            }
        }
        if let Source::User(uid) = source {
            let spent = processor_time().saturating_sub(began);
            self.budget.charge(uid, spent, Instant::now());
        }
        true
    }

    fn configure(&mut self) {
        let read = || -> anyhow::Result<(Settings, Arc<Manner>)> {
            let settings = (self.reload)()?;
            let (trust, mistakes) = settings.trust();
            if let Some(mistake) = mistakes.first() {
                bail!("{mistake}");
            }
            let manner = settings.manner(trust);
            Ok((settings, Arc::new(manner)))
        };
        let panicked = || Err(anyhow!("reading it panicked, which is a bug"));
        let read = caught(read).unwrap_or_else(panicked);
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

    /// Tells the main thread of the intermediates of a chain that are to be looked after.
    fn follow(&mut self, chain: &Chain) {
        let began = processor_time();
        for subject in self.examiner.intermediates(chain, clock::now()) {
            // Without a main thread the process is ending.
            let _ = self.events.send(Event::Left(Box::new(Left {
                subject,
                source: chain.source(),
                notes: Notes {
                    intermediate: true,
                    ..Notes::default()
                },
                refusal: None,
                before: Notes::default(),
            })));
        }
        if let Source::User(uid) = chain.source() {
            let spent = processor_time().saturating_sub(began);
            self.budget.charge(uid, spent, Instant::now());
        }
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
            self.refused.count(refusal.cause());
            let certificate = subject.leaf.display_subject();
            let (key, why) = (name::of_key(&subject.key()), refusal.to_string());
            self.refusals.add(uid, certificate, key, why);
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
}
