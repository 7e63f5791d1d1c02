//! Bounded waiting for something that another process does.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far beyond what a busy machine needs, and
/// less than the minute after which an agent looks at everything by itself.
const LIMIT: Duration = Duration::from_secs(45);

/// How long to wait before asking again.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// How long anything may take: the seconds that STAPLEGUN_TEST_LIMIT says, where an emulator needs
/// more.
pub fn limit() -> Duration {
    let told = std::env::var("STAPLEGUN_TEST_LIMIT").ok();
    told.map_or(LIMIT, |seconds| {
        Duration::from_secs(seconds.parse().expect("a number of seconds"))
    })
}

/// Asks `condition` again and again until it has an answer, and panics with
/// `what` when [`limit`] is over.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let limit = limit();
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} seconds in vain until {what}",
            limit.as_secs()
        );
        std::thread::sleep(PAUSE);
    }
}
