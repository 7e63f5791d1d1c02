//! What the threads of one process share, in every order.

mod orders;

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use loom::thread;
use orders::in_every_order;
use staplegun_proof::shared::at_once::AtOnce;
use staplegun_proof::shared::claim::Claim;
use staplegun_proof::shared::pending::Pending;
use staplegun_proof::shared::places::Places;
use staplegun_proof::shared::reserve::Reserve;
use staplegun_proof::shared::tenancy::Tenancy;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// A place that is the leaf OLD's. It lives as long as the process, as a leaf does.
fn old() -> &'static Tenancy {
    let tenancy: &'static Tenancy = Box::leak(Box::default());
    assert!(tenancy.change(&OLD, || {}));
    tenancy
}

#[test]
fn a_place_that_is_in_use_keeps_its_key() {
    in_every_order(None, || {
        let place = old();
        let load = thread::spawn(move || place.change(&NEW, || {}));
        if place.begin_use(&OLD) {
            assert_eq!(place.key_in_use(), OLD);
            // None in the moment in which the load looks whether it is in use.
            assert!([None, Some(OLD)].contains(&place.key()));
            place.end_use();
        } else {
            // It may also have looked just when the load did; that one gave way.
            assert!(place.key() != Some(NEW) || load.join().expect("it ends"));
        }
    });
}

#[test]
fn a_key_is_read_whole_or_not_at_all() {
    in_every_order(None, || {
        let place = old();
        let load = thread::spawn(move || place.change(&NEW, || {}));
        assert!([None, Some(OLD), Some(NEW)].contains(&place.key()));
        assert!(load.join().expect("it ends"), "nobody used it");
        assert!(place.is(&NEW) && !place.is(&OLD));
    });
}

/// A handshake looks for its certificate, while a load puts another one in its place in the list,
/// and a third thread gives the leaf, of which that was the last use, to another certificate.
#[test]
fn a_certificate_in_the_list_is_its_leaf_and_never_another() {
    in_every_order(Some(3), || {
        let (leaf, other) = (old(), old());
        assert!(leaf.begin_use(&OLD) && other.begin_use(&OLD));
        let list: &'static Places<u8, Tenancy, 1> = Box::leak(Box::default());
        let [mine, theirs] = [1, 2].map(ptr::without_provenance_mut::<u8>);
        list.replace(0, mine, leaf);
        let load = thread::spawn(move || {
            let [_, theirs] = [1, 2].map(ptr::without_provenance_mut::<u8>);
            let (before, leaf) = list.replace(0, theirs, other);
            assert!(!before.is_null());
            leaf.expect("it was there").end_use();
        });
        let another = thread::spawn(move || {
            leaf.change(&NEW, || {});
        });
        if let Some((found, key)) = list.find(mine, Tenancy::key_in_use) {
            assert!(ptr::eq(found, leaf) && key == OLD, "{key:?}");
        }
        load.join().expect("it ends");
        another.join().expect("it ends");
        assert!(list.find(mine, Tenancy::key_in_use).is_none() && list.has(theirs));
    });
}

#[test]
fn a_claim_is_had_by_one_thread_and_then_by_the_next() {
    in_every_order(None, || {
        let shared = Arc::new((Claim::default(), UnsafeCell::new(0)));
        let count = |shared: &(Claim, UnsafeCell<usize>)| {
            let claimed = shared.0.take(7);
            if claimed.is_some() {
                // SAFETY: loom ends the model if another thread is there, or was without order.
                shared.1.with_mut(|count| unsafe { *count += 1 });
            }
            claimed.is_some()
        };
        let other = shared.clone();
        let other = thread::spawn(move || count(&other));
        let first = count(&shared);
        let all = [first, other.join().expect("it ends")];
        assert!(all.contains(&true));
        // SAFETY: the other thread has ended.
        let counted = shared.1.with(|count| unsafe { *count });
        assert_eq!(counted, all.iter().filter(|had| **had).count());
    });
}

/// Where the call goes: to the function, as the entry's own code reads it, or to who looks.
fn call(at_once: &AtOnce, word: usize) -> *mut c_void {
    let start = at_once.start.load(Ordering::Relaxed);
    let length = at_once.length.load(Ordering::Acquire);
    if word.wrapping_sub(start) >= length {
        return ptr::null_mut();
    }
    at_once.function.load(Ordering::Relaxed)
}

type Entry = (AtOnce, Pending<u8, 2>);

/// An entry that was not called yet.
fn entry() -> Arc<Entry> {
    let at_once = AtOnce {
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        function: AtomicPtr::new(ptr::null_mut()),
    };
    let places = std::array::from_fn(|_| AtomicPtr::default());
    Arc::new((at_once, Pending::new(AtomicBool::new(true), places)))
}

const FUNCTION: usize = 0xf00;

/// What the entry does where it does not hand on at once; how much was waiting.
fn look((at_once, pending): &Entry) -> usize {
    let done = if pending.begin() {
        pending.take().count()
    } else {
        0
    };
    let open = || at_once.open(ptr::without_provenance_mut(FUNCTION), 0x1000, 0x100);
    pending.hand_on_if_done(open, || at_once.close());
    done
}

fn put((at_once, pending): &Entry) {
    assert!(pending.put(Box::new(1), || at_once.close()));
}

#[test]
fn what_a_thread_puts_down_is_done_once_and_before_calls_go_past_it() {
    in_every_order(Some(3), || {
        let shared = entry();
        let [puts, looks] = [shared.clone(), shared.clone()];
        let puts = thread::spawn(move || put(&puts));
        let looks = thread::spawn(move || look(&looks));
        let done = look(&shared);
        puts.join().expect("it ends");
        let done = done + looks.join().expect("it ends");
        // The next call looks if anything is left.
        let left = usize::from(done == 0);
        assert!(done <= 1);
        assert!(
            left == 0 || call(&shared.0, 0x1010).is_null(),
            "it went past"
        );
        assert_eq!(look(&shared), left);
        assert!(!call(&shared.0, 0x1010).is_null(), "it is open again");
    });
}

#[test]
fn a_call_goes_to_the_function_or_to_who_looks() {
    in_every_order(None, || {
        let shared = entry();
        let [opens, calls] = [shared.clone(), shared.clone()];
        let opens = thread::spawn(move || look(&opens));
        let called = call(&calls.0, 0x1010);
        assert!([0, FUNCTION].contains(&called.addr()));
        opens.join().expect("it ends");
        assert!(call(&shared.0, 0x1100).is_null() && call(&shared.0, 0xfff).is_null());
    });
}

/// There is room for one block only: who has it has it alone, and after who had it before.
#[test]
fn a_block_of_the_reserve_is_one_threads() {
    in_every_order(None, || {
        let reserve = Reserve::<64>::new(AtomicU64::new(0));
        let shared = Arc::new((reserve, UnsafeCell::new(0)));
        let use_it = |(reserve, memory): &(Reserve<64>, UnsafeCell<usize>)| {
            let block = reserve.take(Layout::new::<[u64; 5]>());
            if !block.is_null() {
                assert!(reserve.holds(block));
                // SAFETY: loom ends the model if another thread is there, or was without order.
                memory.with_mut(|memory| unsafe { *memory += 1 });
                reserve.give_back();
            }
        };
        let other = shared.clone();
        let other = thread::spawn(move || {
            use_it(&other);
            use_it(&other);
        });
        use_it(&shared);
        other.join().expect("it ends");
        assert!(
            !shared.0.take(Layout::new::<[u64; 8]>()).is_null(),
            "it is whole again"
        );
    });
}
