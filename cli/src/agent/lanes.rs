//! Whose turn it is: jobs wait in a lane for each responder, of which only so many
//! are under way at once, and the lanes take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Jobs of the kind `J`. What a job leaves for the next one of its responder is a
/// `C`: a connection.
#[derive(Debug)]
pub struct Lanes<J, C> {
    lanes: HashMap<Arc<str>, Lane<J, C>>,
    /// Lanes with a job that may begin; each at most once.
    ready: VecDeque<Arc<str>>,
    /// How many jobs of a lane may be under way.
    per_lane: usize,
}

#[derive(Debug)]
struct Lane<J, C> {
    waiting: VecDeque<J>,
    busy: usize,
    left: Vec<C>,
    is_ready: bool,
}

/// A job that begins.
#[derive(Debug)]
pub struct Turn<J, C> {
    /// Its lane, to be given back by [`Lanes::done`].
    pub lane: Arc<str>,
    /// What is to be done.
    pub job: J,
    /// What an earlier one left.
    pub left: Option<C>,
}

impl<J, C> Lanes<J, C> {
    /// No lanes yet.
    pub fn new(per_lane: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            per_lane,
        }
    }

    /// Adds a job at the end of its lane.
    pub fn add(&mut self, lane: &str, job: J) {
        if let Some(known) = self.lanes.get_mut(lane) {
            known.waiting.push_back(job);
        } else {
            let new = Lane {
                waiting: VecDeque::from([job]),
                busy: 0,
                left: Vec::new(),
                is_ready: false,
            };
            self.lanes.insert(lane.into(), new);
        }
        self.make_ready(lane);
    }

    /// The next job that may begin.
    pub fn next(&mut self) -> Option<Turn<J, C>> {
        let name = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&name)?;
        lane.is_ready = false;
        let turn = Turn {
            job: lane.waiting.pop_front()?,
            left: lane.left.pop(),
            lane: Arc::clone(&name),
        };
        lane.busy += 1;
        self.make_ready(&name);
        Some(turn)
    }

    /// Whether another job may begin.
    pub fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A job is over; `left` is kept only if another one of its lane waits.
    pub fn done(&mut self, name: &Arc<str>, left: Option<C>) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        lane.busy -= 1;
        if lane.waiting.is_empty() {
            lane.left.clear();
            if lane.busy == 0 {
                self.lanes.remove(name);
            }
            return;
        }
        lane.left.extend(left);
        self.make_ready(name);
    }

    fn make_ready(&mut self, name: &str) {
        let Some((name, _)) = self.lanes.get_key_value(name) else {
            return;
        };
        let name = Arc::clone(name);
        if let Some(lane) = self.lanes.get_mut(&name)
            && !lane.is_ready
            && lane.busy < self.per_lane
            && !lane.waiting.is_empty()
        {
            lane.is_ready = true;
            self.ready.push_back(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(lanes: &mut Lanes<u32, &'static str>) -> Vec<Turn<u32, &'static str>> {
        std::iter::from_fn(|| lanes.next()).collect()
    }

    fn numbers(turns: &[Turn<u32, &'static str>]) -> Vec<u32> {
        turns.iter().map(|turn| turn.job).collect()
    }

    #[test]
    fn only_so_many_of_a_lane_are_under_way_and_the_lanes_take_turns() {
        let mut lanes = Lanes::new(2);
        for number in [10, 11, 12, 13] {
            lanes.add("slow", number);
        }
        lanes.add("other", 20);
        let first = jobs(&mut lanes);
        assert_eq!(numbers(&first), [10, 20, 11]);
        lanes.done(&first[1].lane, None);
        assert!(jobs(&mut lanes).is_empty());
        lanes.done(&first[0].lane, None);
        assert_eq!(numbers(&jobs(&mut lanes)), [12]);
        lanes.done(&first[2].lane, None);
        assert_eq!(numbers(&jobs(&mut lanes)), [13]);
    }

    #[test]
    fn what_a_job_left_serves_the_next_of_its_lane_and_goes_with_the_last() {
        let mut lanes = Lanes::new(1);
        lanes.add("one", 1);
        lanes.add("one", 2);
        let first = jobs(&mut lanes);
        assert_eq!(first[0].left, None);
        lanes.done(&first[0].lane, Some("connection"));
        let second = jobs(&mut lanes);
        assert_eq!(second[0].left, Some("connection"));
        lanes.done(&second[0].lane, Some("connection"));
        assert!(lanes.lanes.is_empty());
        lanes.add("one", 3);
        assert_eq!(jobs(&mut lanes)[0].left, None);
    }
}
