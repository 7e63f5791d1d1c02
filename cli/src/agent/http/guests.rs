//! Who is connected: so many at a time, each with a thread of its own. One more ends the oldest that
//! keeps its thread waiting; where none does, it is not let in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::Client;

/// Connections at a time, and threads.
pub const MOST: usize = 32;
/// How long is waited for the thread of one that was ended.
const PATIENCE: Duration = Duration::from_millis(100);

/// Those that are connected, the oldest first.
#[derive(Debug, Default)]
pub struct Guests {
    all: Mutex<VecDeque<Arc<State>>>,
    /// One has gone.
    gone: Condvar,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct Guest {
    guests: Arc<Guests>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    client: Client,
    /// It has asked, and waits for the answer.
    is_at_work: AtomicBool,
    is_ended: AtomicBool,
}

impl State {
    fn may_end(&self) -> bool {
        !self.is_at_work.load(Ordering::Relaxed) && !self.is_ended.load(Ordering::Relaxed)
    }
}

impl Guests {
    /// Lets it in; None if there are as many as there may be.
    pub fn let_in(self: &Arc<Self>, client: Client) -> Option<Guest> {
        let mut all = self.lock();
        if all.len() >= MOST {
            if let Some(oldest) = all.iter().find(|state| state.may_end()) {
                oldest.is_ended.store(true, Ordering::Relaxed);
                oldest.client.end();
            }
            let are_too_many = |all: &mut VecDeque<_>| all.len() >= MOST;
            let waited = self.gone.wait_timeout_while(all, PATIENCE, are_too_many);
            let (left, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return None;
            }
            all = left;
        }
        let state = Arc::new(State {
            client,
            is_at_work: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        });
        all.push_back(Arc::clone(&state));
        Some(Guest {
            guests: Arc::clone(self),
            state,
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<State>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait for their answers.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        let all = self.lock();
        let at_work = all
            .iter()
            .filter(|state| state.is_at_work.load(Ordering::Relaxed));
        at_work.count()
    }
}

impl Guest {
    /// Its connection.
    pub fn client(&self) -> &Client {
        &self.state.client
    }

    /// Makes its answer, for which it waits: it is not ended meanwhile.
    pub fn waits_for<T>(&self, answer: impl FnOnce() -> T) -> T {
        self.state.is_at_work.store(true, Ordering::Relaxed);
        let answer = answer();
        self.state.is_at_work.store(false, Ordering::Relaxed);
        answer
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut all = self.guests.lock();
        all.retain(|other| !Arc::ptr_eq(other, &self.state));
        drop(all);
        self.guests.gone.notify_all();
    }
}
