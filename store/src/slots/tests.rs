use super::*;
use crate::testing::{Noise, buffer, bytes, key, response};

const CAPACITY: usize = 2048;

fn words() -> Vec<AtomicU64> {
    let count = Slots::words_for(CAPACITY);
    std::iter::repeat_with(|| AtomicU64::new(0))
        .take(count)
        .collect()
}

/// A response is the same by whichever way it is copied.
fn read(slots: &Slots, now: i64) -> Result<Vec<u8>, Miss> {
    let copied = slots.read(&key(1), now, buffer).map(bytes);
    #[cfg(feature = "agent")]
    assert_eq!(
        slots.lookup(&key(1), now).and_then(|found| found.to_vec()),
        copied
    );
    copied
}

#[test]
fn nothing_is_found_before_the_first_response() {
    assert_eq!(read(&Slots::new(&words()).unwrap(), 150), Err(Miss::Absent));
    assert!(Slots::new(&[]).is_none());
}

#[test]
fn a_response_of_any_length_up_to_the_capacity_comes_back_as_it_was() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert_eq!(slots.capacity(), CAPACITY);
    for length in 1..=CAPACITY {
        let der = response(1, length as u64, length);
        assert!(slots.publish(&key(1), &der, 100, 200));
        let copied = slots.read(&key(1), 150, buffer).unwrap();
        assert_eq!(
            (copied.length, copied.this_update, copied.until),
            (length, 100, 200)
        );
        assert_eq!(bytes(copied), der);
        assert_eq!(read(&slots, 150), Ok(der));
    }
    assert!(!slots.publish(&key(1), &[], 100, 200));
    assert!(!slots.publish(&key(1), &vec![1; CAPACITY + 1], 100, 200));
    assert_eq!(read(&slots, 150).unwrap().len(), CAPACITY);
    assert!(!slots.revoke(&key(1), &vec![1; CAPACITY + 1], 100, 200));
    assert_eq!(read(&slots, 150).unwrap().len(), CAPACITY);
    assert!(slots.revoke(&key(1), &vec![1; CAPACITY], 100, 200));
}

#[test]
fn validity_is_judged_at_each_lookup() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"der", 1000, 2000));
    let at = |now| slots.lookup(&key(1), now).map(|found| found.len());
    assert_eq!(at(1000 - CLOCK_SKEW - 1), Err(Miss::NotYetValid));
    assert_eq!(at(1000 - CLOCK_SKEW), Ok(3));
    assert_eq!(at(2000), Ok(3));
    assert_eq!(at(2001), Err(Miss::Expired));
    assert_eq!(at(i64::MIN), Err(Miss::NotYetValid));
    assert_eq!(at(i64::MAX), Err(Miss::Expired));
}

#[test]
fn a_withdrawn_response_is_gone_at_once_and_a_later_one_comes_back() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"one", 100, 200));
    let found = slots.lookup(&key(1), 150).unwrap();
    slots.withdraw(&key(1));
    assert_eq!(
        found.copy_to(&mut [MaybeUninit::uninit(); 8]),
        Err(Miss::Torn)
    );
    assert_eq!(read(&slots, 150), Err(Miss::Withdrawn));
    assert!(slots.publish(&key(1), b"two", 100, 200));
    assert_eq!(read(&slots, 150), Ok(b"two".to_vec()));
    slots.clear(&key(1));
    assert_eq!(read(&slots, 150), Err(Miss::Absent));
}

#[test]
fn a_revocation_is_stapled_while_it_is_valid_and_withdrawn_before_and_for_good_after() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"good", 1000, 9000));
    assert!(slots.revoke(&key(1), b"revoked", 2000, 3000));
    assert_eq!(read(&slots, 2500), Ok(b"revoked".to_vec()));
    assert_eq!(read(&slots, 3000), Ok(b"revoked".to_vec()));
    for now in [2000 - CLOCK_SKEW - 1, 3001, i64::MAX] {
        assert_eq!(read(&slots, now), Err(Miss::Withdrawn), "at {now}");
    }
    let shown = slots.inspect(&key(1)).unwrap();
    assert_eq!((shown.state, shown.length), (State::Withdrawn, 7));
    assert!(!slots.revoke(&key(1), &vec![1; CAPACITY + 1], 2000, 3000));
    assert!(slots.publish(&key(1), b"good", 4000, 9000));
    assert_eq!(read(&slots, 4000), Ok(b"good".to_vec()));
}

#[test]
fn a_copy_that_the_writer_overtook_is_refused_and_read_again() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"one", 100, 200));
    let found = slots.lookup(&key(1), 150).unwrap();
    // The same bytes in the same slot, so that only the generation tells.
    assert!(slots.publish(&key(1), b"two", 100, 200));
    assert!(slots.publish(&key(1), b"one", 100, 200));
    assert_eq!(
        found.copy_to(&mut [MaybeUninit::uninit(); 8]),
        Err(Miss::Torn)
    );
    #[cfg(feature = "agent")]
    assert_eq!(found.to_vec(), Err(Miss::Torn));

    let mut attempts = 0;
    let copied = slots.read(&key(1), 150, |length| {
        attempts += 1;
        // The writer comes between lookup and copy, once.
        if attempts == 1 {
            assert!(slots.publish(&key(1), b"three", 100, 200));
        }
        buffer(length)
    });
    assert_eq!(bytes(copied.unwrap()), b"three");
    assert_eq!(attempts, 2);
}

#[test]
fn a_writer_that_never_rests_makes_a_reader_give_up() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"one", 100, 200));
    let copied = slots.read(&key(1), 150, |length| {
        assert!(slots.publish(&key(1), b"two", 100, 200));
        buffer(length)
    });
    assert_eq!(copied.map(bytes), Err(Miss::Torn));
}

#[test]
fn a_short_buffer_or_none_is_refused() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"four", 100, 200));
    let found = slots.lookup(&key(1), 150).unwrap();
    assert_eq!(
        found.copy_to(&mut [MaybeUninit::uninit(); 3]),
        Err(Miss::NoBuffer)
    );
    let none: Result<Copied<Vec<_>>, Miss> = slots.read(&key(1), 150, |_| None);
    assert!(matches!(none, Err(Miss::NoBuffer)));
}

#[test]
fn another_key_does_not_pass_the_checksum() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(2), b"der", 100, 200));
    assert_eq!(read(&slots, 150), Err(Miss::Damaged));
}

#[test]
fn every_flipped_bit_costs_the_response_and_nothing_more() {
    let der = response(1, 1, 100);
    let words = words();
    let slots = Slots::new(&words).unwrap();
    assert!(slots.publish(&key(1), b"older", 100, 200));
    assert!(slots.publish(&key(1), &der, 100, 200));
    for (number, word) in words.iter().enumerate() {
        for bit in 0..64 {
            word.fetch_xor(1 << bit, Ordering::Relaxed);
            if let Ok(copied) = read(&slots, 150) {
                assert_eq!(copied, der, "word {number}, bit {bit}");
            }
            word.fetch_xor(1 << bit, Ordering::Relaxed);
        }
    }
    assert_eq!(read(&slots, 150), Ok(der));
}

#[test]
fn random_words_never_make_a_response() {
    let mut noise = Noise(7);
    for _ in 0..2000 {
        let words: Vec<AtomicU64> = words();
        for word in &words {
            word.store(noise.next() >> noise.below(64), Ordering::Relaxed);
        }
        let slots = Slots::new(&words).unwrap();
        assert!(read(&slots, 150).is_err());
        // The next response stands, whatever was there.
        assert!(slots.publish(&key(1), b"der", 100, 200));
        assert_eq!(read(&slots, 150), Ok(b"der".to_vec()));
    }
}

#[test]
fn the_generation_wraps_around() {
    let words = words();
    words[0].store(u64::MAX - 3, Ordering::Relaxed);
    let slots = Slots::new(&words).unwrap();
    for version in 0..8 {
        let der = response(1, version, 40);
        assert!(slots.publish(&key(1), &der, 100, 200));
        assert_eq!(read(&slots, 150), Ok(der));
    }
}

#[test]
fn threads_never_read_a_torn_response() {
    let words = words();
    let slots = Slots::new(&words).unwrap();
    let length = |version: u64| 1 + (version * 131 % CAPACITY as u64) as usize;
    assert!(slots.publish(&key(1), &response(1, 0, length(0)), 0, i64::MAX));
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while done.load(Ordering::Relaxed) == 0 || seen == 0 {
                    let Ok(copied) = slots.read(&key(1), 1 << 40, buffer) else {
                        continue;
                    };
                    let version = copied.this_update as u64;
                    assert_eq!(bytes(copied), response(1, version, length(version)));
                    seen += 1;
                }
            });
        }
        for version in 1..100_000 {
            let der = response(1, version, length(version));
            assert!(slots.publish(&key(1), &der, version as i64, i64::MAX));
        }
        done.store(1, Ordering::Relaxed);
    });
}
