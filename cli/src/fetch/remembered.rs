//! What is remembered of responders, by their addresses: how one wants to be asked, and
//! for how long it wants to be left alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use staplegun_ocsp::HashAlgorithm;

/// The most that are remembered: more than there are responders, whoever names some.
const MOST: usize = 1_024;

/// How a request is made and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// By POST; else by GET, so that caches can answer (RFC 5019, 5).
    pub by_post: bool,
    /// The hash in the certID.
    pub hash: HashAlgorithm,
}

/// All of them. May be used by several threads at once.
#[derive(Debug, Default)]
pub struct Responders {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    way: Way,
    /// Since when it is to be left alone, and for how long.
    alone: Option<(Instant, Duration)>,
    used: Instant,
}

impl Responders {
    /// How `url` was last asked with success; else as everybody is.
    pub fn way(&self, url: &str) -> Way {
        self.known()
            .get(url)
            .map(|known| known.way)
            .unwrap_or_default()
    }

    /// `url` gave a response when it was asked this way.
    pub fn answered(&self, url: &str, way: Way) {
        let mut known = self.known();
        if way == Way::default() {
            // Nothing to be remembered.
            known.remove(url);
            return;
        }
        let known = remember(&mut known, url);
        known.way = way;
        known.alone = None;
    }

    /// The way that is remembered of `url` does no more.
    pub fn forget_way(&self, url: &str) {
        if let Some(known) = self.known().get_mut(url) {
            known.way = Way::default();
        }
    }

    /// `url` is to be left alone from now on (Retry-After).
    pub fn leave_alone(&self, url: &str, wait: Duration) {
        if !wait.is_zero() {
            remember(&mut self.known(), url).alone = Some((Instant::now(), wait));
        }
    }

    /// For how long `url` is to be left alone yet, who asks heeding no more than `heed`
    /// of what it wished for. None if it may be asked.
    pub fn alone_for(&self, url: &str, heed: Duration) -> Option<Duration> {
        let (since, wait) = self.known().get(url)?.alone?;
        let left = wait.min(heed).saturating_sub(since.elapsed());
        (!left.is_zero()).then_some(left)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry for `url`, in the place of the one that was used the longest time ago if
/// there are too many.
fn remember<'a>(known: &'a mut HashMap<String, Known>, url: &str) -> &'a mut Known {
    if known.len() >= MOST && !known.contains_key(url) {
        let oldest = known.iter().min_by_key(|(_, known)| known.used);
        if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
            known.remove(&oldest);
        }
    }
    let now = Instant::now();
    let entry = known.entry(url.to_owned()).or_insert(Known {
        way: Way::default(),
        alone: None,
        used: now,
    });
    entry.used = now;
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: Way = Way {
        by_post: true,
        hash: HashAlgorithm::Sha256,
    };

    #[test]
    fn the_way_that_worked_is_remembered_until_it_does_no_more() {
        let responders = Responders::default();
        assert_eq!(responders.way("a"), Way::default());
        responders.answered("a", POST);
        assert_eq!(
            (responders.way("a"), responders.way("b")),
            (POST, Way::default())
        );
        responders.forget_way("a");
        assert_eq!(responders.way("a"), Way::default());
    }

    #[test]
    fn who_wants_to_be_left_alone_is_for_as_long_as_it_is_heeded_and_answers() {
        let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
        let responders = Responders::default();
        responders.leave_alone("a", hour);
        let left = |heed| responders.alone_for("a", heed);
        assert!(left(Duration::MAX).is_some_and(|left| left > minute && left <= hour));
        assert!(left(minute).is_some_and(|left| left <= minute));
        assert_eq!(left(Duration::ZERO), None);
        assert_eq!(responders.alone_for("b", hour), None);
        responders.answered("a", Way::default());
        assert_eq!(left(hour), None);
    }

    #[test]
    fn no_more_than_so_many_are_remembered_and_the_oldest_go() {
        let responders = Responders::default();
        for number in 0..=MOST {
            responders.answered(&number.to_string(), POST);
        }
        assert_eq!(responders.known().len(), MOST);
        assert_eq!(responders.way("0"), Way::default());
        assert_eq!(responders.way("1"), POST);
    }
}
