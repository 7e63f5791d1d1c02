//! Who may go on now: of each responder's certificates only so many, and of all together only so
//! many, as the threads that fetch can take at once. So nobody holds a lease, for which others
//! wait, that lies in a queue meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use staplegun_store::Key;

/// How many may go on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one responder.
    pub per_lane: usize,
    /// Of all, for root and the agent's own user,
    pub ours: usize,
    /// and for others.
    pub users: usize,
}

/// For whom a certificate is looked after: others' keep ours from nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Root's, or the agent's own.
    Ours,
    /// Another user's.
    Users,
}

/// A responder's certificates of one side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    side: Side,
    responder: Arc<str>,
}

/// All lanes.
#[derive(Debug)]
pub struct Places {
    limits: Limits,
    lanes: HashMap<Lane, Queue>,
    ours: Total,
    users: Total,
}

#[derive(Debug, Default)]
struct Queue {
    /// Those that were under way already.
    first: VecDeque<Key>,
    /// In no order.
    others: Vec<Key>,
    busy: usize,
    /// It waits for a place among all.
    is_stopped: bool,
}

#[derive(Debug, Default)]
struct Total {
    busy: usize,
    /// Lanes that have room, and wait for a place among all.
    stopped: VecDeque<Lane>,
}

impl Places {
    /// Nobody is there yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            ours: Total::default(),
            users: Total::default(),
        }
    }

    /// As they were when nobody was there yet.
    pub fn anew(&self) -> Self {
        Self::new(self.limits)
    }

    /// The lane of a responder.
    pub fn lane(&self, side: Side, responder: &str) -> Lane {
        let lane = Lane {
            side,
            responder: responder.into(),
        };
        // The same name is kept once.
        match self.lanes.get_key_value(&lane) {
            Some((known, _)) => known.clone(),
            None => lane,
        }
    }

    /// One more waits, before those who have not begun if it has.
    pub fn wait(&mut self, lane: &Lane, key: Key, has_begun: bool) {
        let queue = self.lanes.entry(lane.clone()).or_default();
        match has_begun {
            true => queue.first.push_back(key),
            false => queue.others.push(key),
        }
    }

    /// Whoever may go on, if there is a place where places count: it has to be taken by
    /// [`Places::take`]. Those who have not begun are chosen by chance, so that other agents
    /// begin with others.
    pub fn next(&mut self, lane: &Lane, do_count: bool, random: u64) -> Option<Key> {
        let queue = self.lanes.get_mut(lane)?;
        let (total, most) = match lane.side {
            Side::Ours => (&mut self.ours, self.limits.ours),
            Side::Users => (&mut self.users, self.limits.users),
        };
        let is_empty = queue.first.is_empty() && queue.others.is_empty();
        if is_empty && queue.busy == 0 {
            self.lanes.remove(lane);
            return None;
        }
        if is_empty || (do_count && queue.busy >= self.limits.per_lane) {
            return None;
        }
        if do_count && total.busy >= most {
            if !std::mem::replace(&mut queue.is_stopped, true) {
                total.stopped.push_back(lane.clone());
            }
            return None;
        }
        queue.first.pop_front().or_else(|| {
            let chosen = usize::try_from(random % queue.others.len() as u64).unwrap_or(0);
            Some(queue.others.swap_remove(chosen))
        })
    }

    /// A place is held from now on.
    pub fn take(&mut self, lane: &Lane) {
        self.lanes.entry(lane.clone()).or_default().busy += 1;
        self.total(lane.side).busy += 1;
    }

    /// It is free again.
    pub fn give_back(&mut self, lane: &Lane) {
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.busy -= 1;
        }
        self.total(lane.side).busy -= 1;
    }

    /// The lane that waits longest for a place among all of that one's side, if there is one. Who
    /// waited in it may need none any more: then the place is the next one's.
    pub fn next_stopped(&mut self, lane: &Lane) -> Option<Lane> {
        let (total, most) = match lane.side {
            Side::Ours => (&mut self.ours, self.limits.ours),
            Side::Users => (&mut self.users, self.limits.users),
        };
        if total.busy >= most {
            return None;
        }
        let other = total.stopped.pop_front()?;
        if let Some(queue) = self.lanes.get_mut(&other) {
            queue.is_stopped = false;
        }
        Some(other)
    }

    /// All lanes.
    pub fn lanes(&self) -> Vec<Lane> {
        self.lanes.keys().cloned().collect()
    }

    fn total(&mut self, side: Side) -> &mut Total {
        match side {
            Side::Ours => &mut self.ours,
            Side::Users => &mut self.users,
        }
    }
}
