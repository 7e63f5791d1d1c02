//! Whose turn it is: jobs wait in a lane for each address, of which only so many are under
//! way at once, and the lanes take turns. A job that hangs holds no place for which others
//! wait: after a moment it is not counted any more, and a lane whose jobs hang gets one
//! place, out of half of all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this time a job hangs.
const HANGING: Duration = Duration::from_secs(1);

/// Idle lanes of which it is known that they hung, at most.
const REMEMBERED: usize = 1024;

/// How many jobs may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without those that hang.
    pub at_once: usize,
    /// With them.
    pub in_all: usize,
    /// Of one lane.
    pub per_lane: usize,
}

/// Jobs of the kind `J`. What a job leaves for the next one of its lane is a `C`: a
/// connection.
#[derive(Debug)]
pub struct Lanes<J, C> {
    lanes: HashMap<Arc<str>, Lane<J, C>>,
    /// Lanes with a job that may begin; each at most once.
    ready: VecDeque<Arc<str>>,
    /// The lanes of the jobs that are under way, and since when.
    under_way: Vec<(Arc<str>, Instant)>,
    limits: Limits,
}

#[derive(Debug)]
struct Lane<J, C> {
    waiting: VecDeque<J>,
    busy: usize,
    left: Vec<C>,
    is_ready: bool,
    /// The last job hung until it failed.
    hung: bool,
}

/// A job that begins.
#[derive(Debug)]
pub struct Turn<J, C> {
    /// Its lane, and its beginning, to be given back by [`Lanes::done`].
    pub place: Place,
    /// What is to be done.
    pub job: J,
    /// What an earlier one left.
    pub left: Option<C>,
}

/// Where and since when a job is under way.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its lane.
    pub lane: Arc<str>,
    /// When it began.
    since: Instant,
}

impl<J, C> Lanes<J, C> {
    /// No lanes yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            under_way: Vec::new(),
            limits,
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
                hung: false,
            };
            self.lanes.insert(lane.into(), new);
        }
        self.make_ready(lane);
    }

    /// Takes all jobs back that have not begun.
    pub fn take_back(&mut self) -> Vec<J> {
        let mut back = Vec::new();
        for lane in self.lanes.values_mut() {
            back.extend(lane.waiting.drain(..));
            lane.left.clear();
            lane.is_ready = false;
        }
        self.ready.clear();
        self.lanes.retain(|_, lane| lane.busy > 0 || lane.hung);
        back
    }

    /// The next job that may begin, which it does at the time `at`.
    pub fn next(&mut self, at: Instant) -> Option<Turn<J, C>> {
        if !self.has_room(at) {
            return None;
        }
        let next = self.whose_turn(at)?;
        let name = self.ready.remove(next)?;
        let lane = self.lanes.get_mut(&name)?;
        lane.is_ready = false;
        let turn = Turn {
            job: lane.waiting.pop_front()?,
            left: lane.left.pop(),
            place: Place {
                lane: Arc::clone(&name),
                since: at,
            },
        };
        lane.busy += 1;
        self.under_way.push((Arc::clone(&name), at));
        self.make_ready(&name);
        Some(turn)
    }

    /// After which time [`Lanes::next`] is to be asked again, though no job was added and
    /// none is over by then: when one hangs. None: not at all.
    pub fn wait(&self, at: Instant) -> Option<Duration> {
        if self.ready.is_empty() || self.under_way.len() >= self.limits.in_all {
            return None;
        }
        let ages = self.under_way.iter();
        let ages = ages.map(|(_, since)| at.saturating_duration_since(*since));
        ages.filter_map(|age| HANGING.checked_sub(age))
            .filter(|left| !left.is_zero())
            .min()
    }

    /// Whether another job may begin now.
    pub fn is_any_ready(&self, at: Instant) -> bool {
        self.has_room(at) && self.whose_turn(at).is_some()
    }

    /// A job is over at the time `at`; `left` is kept only if another one of its lane
    /// waits. `failed` if it did nobody any good.
    pub fn done(&mut self, place: &Place, left: Option<C>, failed: bool, at: Instant) {
        let this =
            |(lane, since): &(Arc<str>, Instant)| *lane == place.lane && *since == place.since;
        if let Some(found) = self.under_way.iter().position(this) {
            self.under_way.swap_remove(found);
        }
        let name = &place.lane;
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        lane.busy -= 1;
        lane.hung = failed && at.saturating_duration_since(place.since) >= HANGING;
        if lane.waiting.is_empty() {
            lane.left.clear();
            if lane.busy == 0 && !lane.hung {
                self.lanes.remove(name);
            }
            if self.lanes.len() > REMEMBERED {
                self.lanes
                    .retain(|_, lane| lane.busy > 0 || !lane.waiting.is_empty());
            }
            return;
        }
        lane.left.extend(left);
        self.make_ready(name);
    }

    fn has_room(&self, at: Instant) -> bool {
        let hang = |since: &Instant| at.saturating_duration_since(*since) >= HANGING;
        let quick = self.under_way.iter().filter(|(_, since)| !hang(since));
        quick.count() < self.limits.at_once && self.under_way.len() < self.limits.in_all
    }

    /// The place in `ready` of the lane whose turn it is: the first of those that do not
    /// hang, else of those that do, if they hold less than their half.
    fn whose_turn(&self, at: Instant) -> Option<usize> {
        let hangs = |name: &Arc<str>| {
            let lane = self.lanes.get(name);
            let is_hanging = self.under_way.iter().any(|(lane, since)| {
                lane == name && at.saturating_duration_since(*since) >= HANGING
            });
            is_hanging || lane.is_some_and(|lane| lane.hung)
        };
        let mut ready = self.ready.iter();
        if let Some(next) = ready.position(|name| !hangs(name)) {
            return Some(next);
        }
        let held = self
            .under_way
            .iter()
            .filter(|(name, _)| hangs(name))
            .count();
        let is_idle = |name: &Arc<str>| self.lanes.get(name).is_some_and(|lane| lane.busy == 0);
        let has_share = held < (self.limits.in_all / 2).max(1);
        has_share
            .then(|| self.ready.iter().position(is_idle))
            .flatten()
    }

    fn make_ready(&mut self, name: &str) {
        let Some((name, _)) = self.lanes.get_key_value(name) else {
            return;
        };
        let name = Arc::clone(name);
        if let Some(lane) = self.lanes.get_mut(&name)
            && !lane.is_ready
            && lane.busy < self.limits.per_lane
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

    fn lanes(at_once: usize, in_all: usize, per_lane: usize) -> Lanes<u32, &'static str> {
        Lanes::new(Limits {
            at_once,
            in_all,
            per_lane,
        })
    }

    fn jobs(lanes: &mut Lanes<u32, &'static str>, at: Instant) -> Vec<Turn<u32, &'static str>> {
        std::iter::from_fn(|| lanes.next(at)).collect()
    }

    fn numbers(turns: &[Turn<u32, &'static str>]) -> Vec<u32> {
        turns.iter().map(|turn| turn.job).collect()
    }

    #[test]
    fn only_so_many_of_a_lane_are_under_way_and_the_lanes_take_turns() {
        let mut lanes = lanes(9, 9, 2);
        let at = Instant::now();
        for number in [10, 11, 12, 13] {
            lanes.add("slow", number);
        }
        lanes.add("other", 20);
        let first = jobs(&mut lanes, at);
        assert_eq!(numbers(&first), [10, 20, 11]);
        lanes.done(&first[1].place, None, false, at);
        assert!(jobs(&mut lanes, at).is_empty());
        lanes.done(&first[0].place, None, false, at);
        assert_eq!(numbers(&jobs(&mut lanes, at)), [12]);
        lanes.done(&first[2].place, None, false, at);
        assert_eq!(numbers(&jobs(&mut lanes, at)), [13]);
    }

    #[test]
    fn what_is_taken_back_has_not_begun_and_leaves_the_others_as_they_were() {
        let mut lanes = lanes(9, 9, 1);
        let at = Instant::now();
        for number in [10, 11, 12] {
            lanes.add("one", number);
        }
        let first = jobs(&mut lanes, at);
        assert_eq!(numbers(&first), [10]);
        lanes.add("other", 20);
        let mut back = lanes.take_back();
        back.sort_unstable();
        assert_eq!(back, [11, 12, 20]);
        assert_eq!(lanes.lanes.len(), 1, "of the other nothing is left");
        lanes.add("one", 13);
        assert!(jobs(&mut lanes, at).is_empty(), "one is under way");
        lanes.done(&first[0].place, None, false, at);
        assert_eq!(numbers(&jobs(&mut lanes, at)), [13]);
    }

    #[test]
    fn what_a_job_left_serves_the_next_of_its_lane_and_goes_with_the_last() {
        let mut lanes = lanes(9, 9, 1);
        let at = Instant::now();
        lanes.add("one", 1);
        lanes.add("one", 2);
        let first = jobs(&mut lanes, at);
        assert_eq!(first[0].left, None);
        lanes.done(&first[0].place, Some("connection"), false, at);
        let second = jobs(&mut lanes, at);
        assert_eq!(second[0].left, Some("connection"));
        lanes.done(&second[0].place, Some("connection"), false, at);
        assert!(lanes.lanes.is_empty());
        lanes.add("one", 3);
        assert_eq!(jobs(&mut lanes, at)[0].left, None);
    }

    #[test]
    fn lanes_that_hang_keep_no_other_waiting_however_many_they_are() {
        let mut lanes = lanes(2, 8, 2);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for number in 0..6 {
            let name = format!("hangs {number}");
            lanes.add(&name, number);
            lanes.add(&name, number);
        }
        assert_eq!(numbers(&jobs(&mut lanes, at(0))), [0, 1]);
        lanes.add("good", 100);
        assert_eq!(lanes.wait(at(400)), Some(Duration::from_millis(600)));
        assert_eq!(numbers(&jobs(&mut lanes, at(1_000))), [2, 3]);
        assert_eq!(numbers(&jobs(&mut lanes, at(2_000))), [4, 5]);
        // The second ones of those that hang come after it.
        let good = jobs(&mut lanes, at(3_000));
        assert_eq!(numbers(&good), [100]);
        lanes.done(&good[0].place, None, false, at(3_001));
        for number in 101..105 {
            lanes.add("good", number);
            let next = jobs(&mut lanes, at(u64::from(number) * 100));
            assert_eq!(numbers(&next), [number]);
            lanes.done(&next[0].place, None, false, at(u64::from(number) * 100));
        }
    }

    #[test]
    fn a_lane_that_hung_gets_one_place_of_half_until_it_answers() {
        let mut lanes = lanes(4, 4, 2);
        let start = Instant::now();
        let late = start + HANGING;
        for name in ["a", "b", "c", "d"] {
            lanes.add(name, 1);
        }
        for turn in jobs(&mut lanes, start) {
            lanes.done(&turn.place, None, true, late);
        }
        for name in ["a", "a", "b", "c", "d"] {
            lanes.add(name, 2);
        }
        let again = jobs(&mut lanes, late);
        assert_eq!(again.len(), 2, "half");
        lanes.add("new", 3);
        assert_eq!(numbers(&jobs(&mut lanes, late)), [3]);
        // It answers: from now on it is as the others.
        lanes.done(&again[0].place, None, false, late);
        let lane = &lanes.lanes[&again[0].place.lane];
        assert!(!lane.hung);
    }

    #[test]
    fn of_very_many_lanes_that_hung_only_those_are_kept_that_have_something_to_do() {
        let mut lanes = lanes(2 * REMEMBERED, 2 * REMEMBERED, 1);
        let start = Instant::now();
        let late = start + HANGING;
        for number in 0..REMEMBERED {
            lanes.add(&format!("hung {number}"), 1);
        }
        for turn in jobs(&mut lanes, start) {
            lanes.done(&turn.place, None, true, late);
        }
        assert_eq!(lanes.lanes.len(), REMEMBERED);
        for name in ["one more", "busy", "busy and waiting", "busy and waiting"] {
            lanes.add(name, 2);
        }
        let begun = jobs(&mut lanes, late);
        assert_eq!(begun.len(), 3);
        lanes.done(&begun[0].place, None, true, late + HANGING);
        let mut left: Vec<&str> = lanes.lanes.keys().map(AsRef::as_ref).collect();
        left.sort_unstable();
        assert_eq!(left, ["busy", "busy and waiting"]);
    }
}
