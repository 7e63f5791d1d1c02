//! Whether the store is used: when it is lost a connection is made at once, for which what is
//! due waits a moment, once; if that fails it is not used until a connection has been made
//! again, which is tried at growing intervals while nobody waits for it.

use std::time::Duration;

/// A time since the start.
pub type At = Duration;

/// How long the first connection may take until certificates are asked for without it.
pub const FIRST: Duration = Duration::from_millis(500);
/// And the one after a connection was lost, at most: a fetch starts at most a second later.
const AGAIN: Duration = Duration::from_millis(900);
/// Unless it was well it must have lasted so long: what comes and goes is waited for no more.
const LASTED: Duration = Duration::from_secs(5);
/// Within this time all agents of a fleet connect again.
const SPREAD: Duration = Duration::from_millis(100);
/// The first pause until the store is tried again; it doubles,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// up to this,
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// and is the first one again when the store was well for so long.
const WELL: Duration = Duration::from_secs(60);

/// The breaker, as in electricity: open means that nothing goes through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breaker {
    state: State,
    /// Since it was well.
    failures: u32,
    /// And how many pauses were made.
    pauses: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// A connection is to be made then (None: it is being made): what is due waits for it
    /// until `until`.
    Hoping { until: At, tries: Option<At> },
    /// It is used, since then.
    Closed(At),
    /// It is tried again then; None: it is being tried.
    Open(Option<At>),
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The operator is to be told.
    New,
    /// It is the old story.
    Known,
}

impl Breaker {
    /// At the start: the first connection is being made.
    pub fn new() -> Self {
        Self {
            state: State::Hoping {
                until: FIRST,
                tries: None,
            },
            failures: 0,
            pauses: 0,
        }
    }

    /// Whether the store is used now.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Whether it is not known yet whether the store can be used.
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, State::Hoping { .. })
    }

    /// Whether it is not, and nobody waits for it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether a connection takes too long: from then on nobody waits for it any more.
    pub fn waits_no_longer(&mut self, at: At) -> bool {
        let is_over = matches!(self.state, State::Hoping { until, .. } if until <= at);
        if is_over {
            self.state = State::Open(None);
        }
        is_over
    }

    /// A connection was made. Whether the operator is to be told.
    pub fn connected(&mut self, at: At) -> News {
        let news = match self.failures {
            0 => News::New,
            // What comes and goes is told when it stays.
            _ => News::Known,
        };
        self.state = State::Closed(at);
        news
    }

    /// The store has been well for long enough: a failure would be news. Whether that
    /// is news itself.
    pub fn settle(&mut self, at: At) -> bool {
        let is_settled = self.failures > 0
            && matches!(self.state, State::Closed(since) if at >= since.saturating_add(WELL));
        if is_settled {
            (self.failures, self.pauses) = (0, 0);
        }
        is_settled
    }

    /// Something failed: what is due waits for the next attempt only if [`Breaker::is_undecided`]
    /// then. `random` spreads it.
    pub fn failed(&mut self, at: At, random: u64) -> News {
        self.settle(at);
        let news = match self.failures {
            0 => News::New,
            _ => News::Known,
        };
        self.failures = self.failures.saturating_add(1);
        let random = random as f64 / u64::MAX as f64;
        if let State::Closed(since) = self.state
            && (news == News::New || at >= since.saturating_add(LASTED))
        {
            self.state = State::Hoping {
                until: at.saturating_add(AGAIN),
                tries: Some(at.saturating_add(SPREAD.mul_f64(random))),
            };
            return news;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(10));
        let pause = pause.min(LONGEST_PAUSE);
        self.pauses = self.pauses.saturating_add(1);
        // The second half of the pause.
        let part = pause / 2 + pause.mul_f64(random / 2.0);
        self.state = State::Open(Some(at.saturating_add(part)));
        news
    }

    /// Whether a connection is to be made now; from then on it is being made.
    pub fn tries(&mut self, at: At) -> bool {
        let then = match &mut self.state {
            State::Open(then) | State::Hoping { tries: then, .. } => then,
            State::Closed(_) => return false,
        };
        let is_due = then.is_some_and(|then| then <= at);
        if is_due {
            *then = None;
        }
        is_due
    }

    /// When [`Breaker::tries`], [`Breaker::settle`] or [`Breaker::waits_no_longer`] is to be
    /// asked next.
    pub fn next(&self) -> Option<At> {
        match self.state {
            State::Open(until) => until,
            State::Closed(since) => (self.failures > 0).then(|| since.saturating_add(WELL)),
            State::Hoping { until, tries } => Some(tries.map_or(until, |it| it.min(until))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_failure_is_news_once_and_the_pauses_grow_to_their_limit() {
        let mut breaker = Breaker::new();
        assert!(breaker.is_undecided());
        let mut at = Duration::ZERO;
        let mut pauses = Vec::new();
        for turn in 0..8 {
            let news = breaker.failed(at, u64::MAX);
            assert_eq!(news == News::New, turn == 0);
            assert!(!breaker.is_closed() && !breaker.is_undecided());
            let next = breaker.next().expect("it is tried again");
            assert!(!breaker.tries(next - Duration::from_millis(1)));
            pauses.push((next - at).as_secs());
            at = next;
            assert!(breaker.tries(at));
            assert!(!breaker.tries(at), "once");
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn for_a_store_that_is_lost_it_is_waited_a_moment_once_and_not_where_it_comes_and_goes() {
        let mut breaker = Breaker::new();
        assert_eq!(breaker.next(), Some(FIRST));
        assert!(!breaker.waits_no_longer(FIRST - Duration::from_millis(1)));
        assert!(breaker.waits_no_longer(FIRST));
        breaker.connected(SECOND);
        assert_eq!(breaker.failed(6 * SECOND, u64::MAX), News::New);
        assert!(breaker.is_undecided() && !breaker.is_closed());
        let next = breaker.next().expect("it is tried again");
        assert_eq!(next, 6 * SECOND + SPREAD);
        assert!(breaker.tries(next) && !breaker.tries(next), "once");
        assert_eq!(breaker.next(), Some(6 * SECOND + AGAIN));
        // That fails, too: from now on nobody waits.
        assert_eq!(breaker.failed(next, u64::MAX), News::Known);
        assert!(!breaker.is_undecided());
        assert_eq!(breaker.next(), Some(next + SECOND));
        // It comes, and goes again.
        breaker.connected(8 * SECOND);
        breaker.failed(9 * SECOND, u64::MAX);
        assert!(!breaker.is_undecided());
        assert_eq!(breaker.next(), Some(11 * SECOND));
        // It hangs.
        breaker.connected(12 * SECOND);
        breaker.failed(20 * SECOND, 0);
        assert!(breaker.is_undecided() && breaker.tries(20 * SECOND));
        assert!(breaker.waits_no_longer(20 * SECOND + AGAIN));
        assert_eq!(breaker.next(), None, "it is still being tried");
    }

    #[test]
    fn what_comes_and_goes_is_told_once_and_what_stays_is_news_again() {
        let mut breaker = Breaker::new();
        assert_eq!(breaker.connected(SECOND), News::New);
        assert_eq!(breaker.failed(2 * SECOND, 0), News::New);
        assert!(breaker.tries(2 * SECOND));
        assert_eq!(breaker.failed(2 * SECOND, 0), News::Known);
        assert_eq!(breaker.next(), Some(2 * SECOND + SECOND / 2));
        assert!(breaker.tries(3 * SECOND));
        assert_eq!(breaker.connected(3 * SECOND), News::Known);
        assert_eq!(breaker.failed(4 * SECOND, 0), News::Known);
        assert!(breaker.tries(10 * SECOND));
        assert_eq!(breaker.connected(10 * SECOND), News::Known);
        assert!(!breaker.settle(69 * SECOND));
        assert!(breaker.settle(70 * SECOND));
        assert!(!breaker.settle(71 * SECOND));
        assert_eq!(breaker.failed(80 * SECOND, 0), News::New);
    }
}
