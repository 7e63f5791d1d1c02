//! The thread that brings files to the disk: all that have gathered for a moment, or
//! while it was busy with the ones before, so that the disk is waited for once for many.
//! The main thread goes on meanwhile: what is served does not wait for what lasts.
//!
//! The evidence of revocations waits for nothing: it goes before everything else, and
//! alone. What cannot be written is tried again until it can, or until something newer
//! takes its place.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use staplegun_store::files::{Applied, Change, Failed, Files, Stamp, What, Which};
use staplegun_store::{Key, name};

use super::worker::Worker;

/// How many changes are made at once, at most.
const AT_ONCE: usize = 256;

/// How long changes gather before they are made. Each by itself would cost a thread's waking
/// and the opening of its directory, and on a disk a wait.
const GATHERING: Duration = Duration::from_millis(20);

/// How long to wait before what failed is tried again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the agent's end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread, and what it has to do. Dropped, it finishes that first, unless the disk
/// hangs.
#[derive(Debug)]
pub struct Scribe {
    shared: Arc<Shared>,
    thread: Worker,
}

#[derive(Debug)]
struct Shared {
    files: Files,
    queue: Mutex<Queue>,
    changed: Condvar,
}

type Name = (Which, Key);

/// Of several changes of a file the last one counts.
#[derive(Debug, Default)]
struct Queue {
    waiting: HashMap<Name, What>,
    /// Their order, evidence apart. What failed stands in neither until it is tried
    /// again.
    evidence: VecDeque<Name>,
    others: VecDeque<Name>,
    /// Those being made.
    under_way: HashSet<Name>,
    failed: HashSet<Name>,
    /// Which files the responses are that were written, until that is asked for.
    written: Vec<(Key, Stamp)>,
    /// When what failed is tried again.
    again: Option<Instant>,
    pause: Duration,
    /// The thread has nothing to do.
    is_waiting: bool,
    is_ending: bool,
}

impl Scribe {
    /// Starts it for these files, which nobody else writes from now on. If `for_life`,
    /// it notes that an agent runs, and at its end that everything is on the disk:
    /// see [`Files::ended_cleanly`].
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(files: Files, for_life: bool) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            files,
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let working = Arc::clone(&shared);
        let thread = Worker::start("files", move || {
            if for_life && let Err(error) = working.files.note_end(false) {
                tracing::error!(cause = "store", "{error}");
            }
            let all_written = work(&working);
            if for_life && all_written {
                // Should it fail, the next agent asks at once: no harm.
                let _ = working.files.note_end(true);
            }
        })?;
        Ok(Self { shared, thread })
    }

    /// Whether there is anything to do, but for what failed.
    pub fn is_busy(&self) -> bool {
        let queue = self.shared.queue();
        !queue.is_waiting || !queue.evidence.is_empty() || !queue.others.is_empty()
    }

    /// Lets a change be made soon.
    pub fn add(&self, which: Which, key: &Key, what: What) {
        self.hand_over((which, *key), what, false);
    }

    /// Lets the evidence of a revocation take the place of the good response, before
    /// anything else is done. On a full disk the good one is removed at least, which
    /// works where writing does not.
    pub fn add_evidence(&self, key: &Key, der: &[u8]) {
        self.hand_over((Which::Staple, *key), What::Write(der.to_vec()), true);
    }

    fn hand_over(&self, name: Name, what: What, is_evidence: bool) {
        let mut queue = self.shared.queue();
        queue.add(name, what, is_evidence);
        let is_waiting = queue.is_waiting;
        drop(queue);
        // At work it looks again by itself, and soon when it gathers.
        if is_waiting || is_evidence {
            self.shared.changed.notify_all();
        }
    }

    /// Takes back a change of that file that could not be made so far.
    pub fn give_up(&self, which: Which, key: &Key) {
        let name = (which, *key);
        let mut queue = self.shared.queue();
        if queue.failed.remove(&name) {
            queue.waiting.remove(&name);
        }
    }

    /// Which files the responses are that were written since this was asked, the latest
    /// last.
    pub fn take_written(&self) -> Vec<(Key, Stamp)> {
        std::mem::take(&mut self.shared.queue().written)
    }

    /// Whether a change of that file is about to be made.
    pub fn is_pending(&self, which: Which, key: &Key) -> bool {
        let queue = self.shared.queue();
        let name = (which, *key);
        let is_waiting = queue.waiting.contains_key(&name) && !queue.failed.contains(&name);
        is_waiting || queue.under_way.contains(&name)
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.shared.queue().is_ending = true;
        self.shared.changed.notify_all();
        if !self.thread.ends_within(PATIENCE) {
            tracing::error!(
                cause = "store",
                "the disk hangs: what was not written is lost, and the next agent asks at once"
            );
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Queue> {
        queue.is_waiting = true;
        let mut queue = match until {
            None => {
                let woken = self.changed.wait(queue);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
            Some(until) => {
                let limit = until.saturating_duration_since(Instant::now());
                let woken = self.changed.wait_timeout(queue, limit);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        queue.is_waiting = false;
        queue
    }

    /// Lets more come, unless something must not wait.
    fn gather<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let gathered = self
            .changed
            .wait_timeout_while(queue, GATHERING, |queue| queue.may_gather());
        gathered.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Queue {
    fn add(&mut self, name: Name, what: What, is_evidence: bool) {
        let is_new = self.waiting.insert(name, what).is_none();
        let had_failed = self.failed.remove(&name);
        if is_evidence {
            self.others.retain(|known| *known != name);
        }
        if is_new || had_failed || is_evidence {
            let order = match is_evidence {
                true => &mut self.evidence,
                false => &mut self.others,
            };
            order.push_back(name);
        }
    }

    /// Whether there is something to do that may wait for more.
    fn may_gather(&self) -> bool {
        let is_pressing = self.is_ending || !self.evidence.is_empty();
        !is_pressing && (1..AT_ONCE).contains(&self.others.len())
    }

    fn take(&mut self) -> Vec<Change> {
        let order = match self.evidence.is_empty() {
            true => &mut self.others,
            false => &mut self.evidence,
        };
        let mut changes = Vec::new();
        while changes.len() < AT_ONCE
            && let Some((which, key)) = order.pop_front()
        {
            // Evidence that was replaced by newer evidence stands there twice.
            if let Some(what) = self.waiting.remove(&(which, key)) {
                changes.push(Change { which, key, what });
            }
        }
        self.under_way = changes
            .iter()
            .map(|change| (change.which, change.key))
            .collect();
        changes
    }

    /// What failed waits again, unless something newer does. Trouble with the files is
    /// told once, not at every attempt.
    fn done(&mut self, changes: Vec<Change>, failed: &[Failed]) {
        self.under_way.clear();
        let was_failing = self.again.is_some();
        match failed.first() {
            Some(one) if !was_failing => tracing::error!(cause = "store", "{}", one.error),
            None if was_failing && self.failed.is_empty() => {
                tracing::info!("the store can be written again");
            }
            _ => {}
        }
        let names: HashSet<Name> = failed.iter().map(|one| (one.which, one.key)).collect();
        for Change { which, key, what } in changes {
            if names.contains(&(which, key)) && !self.waiting.contains_key(&(which, key)) {
                self.waiting.insert((which, key), what);
                self.failed.insert((which, key));
            }
        }
        if self.failed.is_empty() {
            self.again = None;
        } else if self.again.is_none_or(|again| again <= Instant::now()) {
            self.pause = match was_failing {
                true => self.pause.saturating_mul(2).min(LONGEST_PAUSE),
                false => FIRST_PAUSE,
            };
            self.again = Some(Instant::now() + self.pause);
        }
    }

    /// Lets go of the room that very many took.
    fn shrink(&mut self) {
        self.waiting.shrink_to(AT_ONCE);
        self.evidence.shrink_to(AT_ONCE);
        self.others.shrink_to(AT_ONCE);
    }

    /// Lets what failed be tried again: `now` or when its time has come.
    fn retry(&mut self, now: bool) {
        if now || self.again.is_some_and(|again| again <= Instant::now()) {
            self.others.extend(self.failed.drain());
        }
    }
}

/// Returns at the agent's end; true if nothing is left to be written.
fn work(shared: &Shared) -> bool {
    let mut queue = shared.queue();
    let mut is_last = false;
    loop {
        queue = shared.gather(queue);
        let is_ending = queue.is_ending && !is_last;
        queue.retry(is_ending);
        is_last = queue.is_ending;
        let are_evidence = !queue.evidence.is_empty();
        let changes = queue.take();
        if changes.is_empty() {
            if !queue.others.is_empty() {
                continue;
            }
            if queue.is_ending {
                return queue.failed.is_empty();
            }
            queue.shrink();
            let again = queue.again.filter(|_| !queue.failed.is_empty());
            queue = shared.wait(queue, again);
            continue;
        }
        drop(queue);
        let Applied { failed, responses } = shared.files.apply(&changes);
        if are_evidence {
            remove_good(&shared.files, &failed);
        }
        queue = shared.queue();
        queue.written.extend(responses);
        queue.done(changes, &failed);
    }
}

/// Removes the good responses that their evidence could not replace: nobody shall find
/// them there any more.
fn remove_good(files: &Files, evidence: &[Failed]) {
    let remove = |one: &Failed| Change {
        which: one.which,
        key: one.key,
        what: What::Remove,
    };
    let all: Vec<Change> = evidence.iter().map(remove).collect();
    for failed in files.apply(&all).failed {
        tracing::error!(
            cause = "store",
            key = %name::of_key(&failed.key),
            "the good response in staples/ can neither be replaced nor removed: remove it \
             before the machine restarts, or it is stapled again until its responder is asked"
        );
    }
}
