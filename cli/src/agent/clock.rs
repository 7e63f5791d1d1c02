//! The wall clock, and chance: the two things that decisions are handed in.

use std::time::{SystemTime, UNIX_EPOCH};

use staplegun_ocsp::UnixTime;

/// Seconds since 1970, now.
pub fn now() -> UnixTime {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs());
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since).unwrap_or(i64::MAX),
        Err(before) => seconds(before.duration()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// A uniform random number. Only to spread requests in time: should libcrypto
/// have none, the middle does as well.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    match openssl::rand::rand_bytes(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::MAX / 2,
    }
}
