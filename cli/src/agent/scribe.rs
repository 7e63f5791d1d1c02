//! The thread that brings files to the disk: all that have gathered while it was
//! busy with the ones before, so that the disk is waited for once for many. The
//! main thread goes on meanwhile: what is served does not wait for what lasts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use staplegun_store::Key;
use staplegun_store::files::{Change, Failed, FileError, Files, What, Which};

/// How many changes are made at once, at most.
const AT_ONCE: usize = 256;

/// The thread, and what it has to do. Dropped, it finishes that first.
#[derive(Debug)]
pub struct Scribe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    files: Arc<Files>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Of several changes of a file the last one counts.
#[derive(Debug, Default)]
struct Queue {
    waiting: HashMap<(Which, Key), What>,
    order: VecDeque<(Which, Key)>,
    /// Those being made.
    under_way: HashSet<(Which, Key)>,
    /// The last attempt to write a file failed.
    failing: bool,
    is_ending: bool,
}

impl Scribe {
    /// Starts it for these files, which nobody else writes from now on.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(files: Files) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            files: Arc::new(files),
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || work(&working))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The files, to be read.
    pub fn files(&self) -> &Arc<Files> {
        &self.shared.files
    }

    /// Lets a change be made soon.
    pub fn add(&self, which: Which, key: &Key, what: What) {
        let name = (which, *key);
        let mut queue = self.shared.queue();
        if queue.waiting.insert(name, what).is_none() {
            queue.order.push_back(name);
        }
        self.shared.changed.notify_all();
    }

    /// Makes a change of a file now, and takes back those that wait for it.
    ///
    /// # Errors
    ///
    /// If it cannot be made: the old file stands.
    pub fn make(&self, change: &Change) -> Result<(), FileError> {
        let name = (change.which, change.key);
        let mut queue = self.shared.queue();
        if queue.waiting.remove(&name).is_some() {
            queue.order.retain(|known| *known != name);
        }
        while queue.under_way.contains(&name) {
            queue = self.shared.wait(queue);
        }
        // Held: nothing of this file can begin before this is done.
        let failed = self.shared.files.apply(std::slice::from_ref(change));
        queue.note(&failed);
        match failed.into_iter().next() {
            None => Ok(()),
            Some(failed) => Err(failed.error),
        }
    }

    /// Whether a change of that file has yet to be made.
    pub fn is_pending(&self, which: Which, key: &Key) -> bool {
        let queue = self.shared.queue();
        let name = (which, *key);
        queue.waiting.contains_key(&name) || queue.under_way.contains(&name)
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.shared.queue().is_ending = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, nothing is left to be done about it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self) -> Vec<Change> {
        let count = self.order.len().min(AT_ONCE);
        let names = self.order.drain(..count);
        let changes: Vec<Change> = names
            .filter_map(|(which, key)| {
                let what = self.waiting.remove(&(which, key))?;
                Some(Change { which, key, what })
            })
            .collect();
        self.under_way = changes
            .iter()
            .map(|change| (change.which, change.key))
            .collect();
        changes
    }

    /// Trouble with the files is told once, not at every attempt.
    fn note(&mut self, failed: &[Failed]) {
        match failed.first() {
            Some(one) if !self.failing => tracing::error!(cause = "store", "{}", one.error),
            None if self.failing => tracing::info!("the store can be written again"),
            _ => {}
        }
        self.failing = !failed.is_empty();
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.queue();
    loop {
        let changes = queue.take();
        if changes.is_empty() {
            if queue.is_ending {
                return;
            }
            queue = shared.wait(queue);
            continue;
        }
        drop(queue);
        let errors = shared.files.apply(&changes);
        queue = shared.queue();
        queue.under_way.clear();
        queue.note(&errors);
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_testkit::Directory;

    fn write(number: u8) -> What {
        What::Write(vec![number; 100])
    }

    #[test]
    fn what_was_added_last_is_what_stands_when_it_has_ended() {
        let directory = Directory::new();
        let scribe = Scribe::start(Files::open(directory.path()).unwrap()).unwrap();
        for round in 0..50 {
            for key in 0..20 {
                scribe.add(Which::Staple, &[key; 32], write(round));
                scribe.add(Which::Notes, &[key; 32], write(round));
            }
        }
        scribe.add(Which::Staple, &[0; 32], What::Remove);
        drop(scribe);
        let files = Files::open(directory.path()).unwrap();
        assert_eq!(files.staples.read(&[0; 32]).unwrap(), None);
        for key in 1..20 {
            assert_eq!(files.staples.read(&[key; 32]).unwrap(), Some(vec![49; 100]));
            assert_eq!(files.state.read(&[key; 32]).unwrap(), Some(vec![49; 100]));
        }
    }

    #[test]
    fn what_is_made_now_stands_whatever_was_waiting() {
        let directory = Directory::new();
        let scribe = Scribe::start(Files::open(directory.path()).unwrap()).unwrap();
        for round in 0..50 {
            scribe.add(Which::Staple, &[1; 32], write(1));
            let change = Change {
                which: Which::Staple,
                key: [1; 32],
                what: write(2),
            };
            scribe.make(&change).unwrap();
            assert!(!scribe.is_pending(Which::Staple, &[1; 32]));
            let read = scribe.files().staples.read(&[1; 32]).unwrap();
            assert_eq!(read, Some(vec![2; 100]), "round {round}");
        }
    }
}
