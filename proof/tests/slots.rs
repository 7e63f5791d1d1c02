//! One writer and one reader of a record, in every order.

mod orders;

use std::mem::MaybeUninit;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use orders::in_every_order;
use staplegun_proof::slots::{Miss, Slots};

const KEY: [u8; 32] = [7; 32];
/// The shortest slots: what is longer has more words of the same kind.
const CAPACITY: usize = 8;
const NOW: i64 = 1 << 40;

fn words() -> Arc<Vec<AtomicU64>> {
    let words = (0..Slots::words_for(CAPACITY)).map(|_| AtomicU64::new(0));
    Arc::new(words.collect())
}

/// A response in which everything tells its number.
fn publish(slots: &Slots, number: u8) {
    assert!(slots.publish(&KEY, &[number; CAPACITY], i64::from(number), i64::MAX));
}

/// What a reader gets: the number of a response, if all of it belongs to the same.
fn read(slots: &Slots) -> Result<u8, Miss> {
    let copied = slots.read(&KEY, NOW, |length| Some(vec![MaybeUninit::new(0); length]))?;
    let number = u8::try_from(copied.this_update).expect("one that was published");
    assert_eq!(copied.length, CAPACITY);
    for byte in copied.buffer {
        // SAFETY: the buffer was initialised when it was made.
        assert_eq!(unsafe { byte.assume_init() }, number, "a torn response");
    }
    Ok(number)
}

/// `Miss::Damaged` would mean that only the checksum noticed a torn record: it is
/// there for damage, and the order of loads and stores must do without it.
fn check(read: Result<u8, Miss>, published: std::ops::RangeInclusive<u8>) {
    match read {
        Ok(number) => assert!(published.contains(&number), "{number}"),
        Err(Miss::Torn) => {}
        Err(miss) => panic!("{miss:?}"),
    }
}

#[test]
fn a_reader_gets_one_whole_response_while_the_writer_publishes_two_more() {
    in_every_order(None, || {
        let words = words();
        publish(&Slots::new(&words).expect("enough words"), 1);
        let shared = words.clone();
        let writer = thread::spawn(move || {
            let slots = Slots::new(&shared).expect("enough words");
            publish(&slots, 2);
            publish(&slots, 3);
        });
        check(read(&Slots::new(&words).expect("enough words")), 1..=3);
        writer.join().expect("the writer ends");
        // What was published before is what a reader finds after.
        assert_eq!(read(&Slots::new(&words).expect("enough words")), Ok(3));
    });
}

#[test]
fn after_a_withdrawal_nothing_that_was_withdrawn_is_read() {
    in_every_order(None, || {
        let words = words();
        publish(&Slots::new(&words).expect("enough words"), 1);
        let shared = words.clone();
        let reader =
            thread::spawn(
                move || match read(&Slots::new(&shared).expect("enough words")) {
                    Ok(number) => assert!([1, 2].contains(&number)),
                    Err(miss) => assert!(matches!(miss, Miss::Torn | Miss::Withdrawn), "{miss:?}"),
                },
            );
        let slots = Slots::new(&words).expect("enough words");
        slots.withdraw(&KEY);
        assert_eq!(read(&slots), Err(Miss::Withdrawn));
        publish(&slots, 2);
        reader.join().expect("the reader ends");
        assert_eq!(read(&slots), Ok(2));
    });
}
