//! The thread that reads the certificates that the operator named, and has their directories
//! and the store's watched. Whoever may write there chooses how much there is to verify, and
//! where they lie a disk may hang.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use staplegun_store::Key;
use staplegun_store::files::{Notes, Stamp};
use staplegun_store::layout::Layout;

use super::clock;
use super::event::{Event, Left, Listed};
use super::list;
use super::named::Named;
use super::roster::Source;
use super::sentence::{self, Refusal};
use super::unreadable;
use super::watch::Watch;
use super::worker::caught;
use crate::fetch::{Issuers, Manner, Subject, may_have_responder, responders_of};

/// What is to be read though it has not changed.
#[derive(Debug, Default)]
pub struct Again {
    /// Everything.
    pub all: bool,
    /// The files with these certificates.
    pub certificates: BTreeSet<Key>,
}

#[derive(Debug)]
struct Order {
    manner: Arc<Manner>,
    again: Again,
}

/// The thread, as the main one sees it.
#[derive(Debug)]
pub struct Lister {
    orders: Sender<Order>,
    /// How many orders there were, and how many are done.
    given: u64,
    done: u64,
}

impl Lister {
    /// Starts the thread, which tells `events` what it finds; `watch` is None if the kernel
    /// has no watches left.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        layout: &Layout,
        issuers: &Arc<Issuers>,
        watch: Option<Watch>,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let (sender, orders) = channel();
        let mut thread = Thread {
            layout: layout.clone(),
            issuers: Arc::clone(issuers),
            events: events.clone(),
            seen: list::Seen::default(),
            unreadable: unreadable::Note::of(layout),
            watch,
            done: 0,
        };
        std::thread::Builder::new()
            .name("list".to_owned())
            .spawn(move || thread.work(&orders))?;
        Ok(Self {
            orders: sender,
            given: 0,
            done: 0,
        })
    }

    /// Something may have changed.
    pub fn look(&mut self, manner: Arc<Manner>, again: Again) {
        // The thread ends with the process only.
        if self.orders.send(Order { manner, again }).is_ok() {
            self.given += 1;
        }
    }

    /// What was ordered before is done.
    pub fn listed(&mut self, listed: &Listed) {
        self.done = listed.done;
    }

    /// Whether something is being read.
    pub fn is_busy(&self) -> bool {
        self.done < self.given
    }
}

struct Thread {
    layout: Layout,
    issuers: Arc<Issuers>,
    events: Sender<Event>,
    /// What the operator named, as it was seen last.
    seen: list::Seen,
    /// What of it cannot be read, for `staplegun status`.
    unreadable: unreadable::Note,
    watch: Option<Watch>,
    done: u64,
}

impl Thread {
    fn work(&mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut manner = first.manner;
            let mut again = first.again;
            self.done += 1;
            // One look does for all that came meanwhile.
            for order in orders.try_iter() {
                self.done += 1;
                manner = order.manner;
                again.all |= order.again.all;
                again.certificates.extend(order.again.certificates);
            }
            if again.all {
                self.seen = list::Seen::default();
            }
            for certificate in &again.certificates {
                self.seen.look_again(certificate);
            }
            // After a panic the next look goes on behind what it was about.
            let listed = caught(|| self.look(&manner)).unwrap_or_else(|| Listed {
                list: Stamp::of_path(Named::to_agent(&self.layout).path()).ok(),
                is_new: false,
                done: self.done,
            });
            // Without a main thread the process is ending.
            let _ = self.events.send(Event::Listed(Box::new(listed)));
        }
    }

    fn look(&mut self, manner: &Manner) -> Listed {
        // Before the look: what changes after it is told.
        let is_new_before = self.watch_all();
        // `staplegun add` writes the list, whatever it names.
        let named = Named::to_agent(&self.layout);
        let list = Stamp::of_path(named.path()).ok();
        let (paths, unread) = match named.read() {
            Ok(paths) => (paths, None),
            Err(error) => {
                tracing::error!(cause = "list", "{error:#}");
                (Vec::new(), Some(format!("{error:#}")))
            }
        };
        for (path, subject) in self.seen.look(&paths, &self.issuers) {
            let left = self.examined(path, subject, manner);
            // Without a main thread the process is ending.
            let _ = self.events.send(Event::Left(Box::new(left)));
        }
        let failed = self.seen.failed().iter();
        let failed = failed.map(|(path, why)| (path.display().to_string(), why.clone()));
        let unread = unread.map(|why| (named.path().display().to_string(), why));
        self.unreadable.update(failed.chain(unread).collect());
        Listed {
            list,
            is_new: self.watch_all() || is_new_before,
            done: self.done,
        }
    }

    /// True if a directory is watched that was not before. The store's come first: a disk
    /// that hangs may have the others.
    fn watch_all(&mut self) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        let (runtime, lasting) = (self.layout.runtime(), self.layout.lasting());
        let own = [
            self.layout.spool(),
            runtime.to_owned(),
            lasting.to_owned(),
            lasting.join("staples"),
        ];
        let named = self.seen.directories().cloned();
        watch.set(&own.into_iter().chain(named).collect::<Vec<_>>())
    }

    fn examined(&self, path: PathBuf, mut subject: Subject, manner: &Manner) -> Left {
        let overrides = &manner.overrides;
        if responders_of(&subject, overrides).is_empty() && may_have_responder(&subject, overrides)
        {
            subject.complete_from(&manner.trust, true, &self.issuers);
        }
        let has_responder = !responders_of(&subject, overrides).is_empty();
        let refusal = sentence::of_file(&subject, has_responder, clock::now());
        Left {
            subject,
            source: Source::List,
            notes: Notes {
                path: Some(path.display().to_string()),
                ..Notes::default()
            },
            refusal: refusal.map(Refusal::Itself),
            before: Notes::default(),
        }
    }
}
