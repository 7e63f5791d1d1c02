//! The wall clock, and chance: the two things that decisions are handed in.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use staplegun_ocsp::UnixTime;

/// Seconds since 1970, now.
pub fn now() -> UnixTime {
    since_1970(SystemTime::now())
}

fn since_1970(time: SystemTime) -> UnixTime {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs());
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since).unwrap_or(i64::MAX),
        Err(before) => seconds(before.duration()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// A uniform random number. Only to spread requests in time, and to tell agents apart: the
/// standard library draws its keys from the kernel once for each thread.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_before_every_certificate() {
        let minute = Duration::from_secs(60);
        assert_eq!(since_1970(UNIX_EPOCH + minute), 60);
        assert_eq!(since_1970(UNIX_EPOCH - minute), -60);
    }
}
