//! Each transition from each state.

use super::Response::{Alone, Copied, Nothing, Ours};
use super::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A block that tells when it is freed.
#[derive(Clone)]
struct Heap(Rc<RefCell<Vec<&'static str>>>);

struct Block(&'static str, Heap);

impl Drop for Block {
    fn drop(&mut self) {
        self.1.0.borrow_mut().push(self.0);
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        self.0 == other.0
    }
}

impl Heap {
    fn block(&self, bytes: &'static str) -> Block {
        Block(bytes, self.clone())
    }

    fn freed(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// A libssl that may have memory for a copy, or take a block at least.
struct Host {
    has_memory: Cell<bool>,
    takes_blocks: Cell<bool>,
    holds: RefCell<Option<String>>,
}

impl Libssl<Block> for Host {
    fn put_response(&self, bytes: Option<&[u8]>) -> bool {
        let copy = bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let done = copy.is_none() || self.has_memory.get();
        if done {
            *self.holds.borrow_mut() = copy;
        }
        done
    }

    fn hand_over_response(&self, buffer: Block) -> Result<(), Block> {
        if !self.takes_blocks.get() {
            *self.holds.borrow_mut() = None;
            return Err(buffer);
        }
        *self.holds.borrow_mut() = Some(format!("the block {}", buffer.0));
        mem::forget(buffer);
        Ok(())
    }
}

impl Host {
    fn staples(&self) -> bool {
        *self.holds.borrow_mut() = Some("ours".to_owned());
        true
    }

    fn holds(&self) -> Option<String> {
        self.holds.borrow().clone()
    }
}

/// The state to begin with, with a libssl to match.
fn begin(state: impl Fn(&Heap) -> Response<Block>) -> (Response<Block>, Host, Heap) {
    let heap = Heap(Rc::default());
    let state = state(&heap);
    let holds = match &state {
        Nothing => None,
        Copied(own) => Some(own.0.to_owned()),
        Alone(_) => Some("a list".to_owned()),
        Ours(_) => Some("ours".to_owned()),
    };
    let host = Host {
        has_memory: Cell::new(true),
        takes_blocks: Cell::new(true),
        holds: RefCell::new(holds),
    };
    (state, host, heap)
}

type State = (
    &'static str,
    fn(&Heap) -> Response<Block>,
    &'static [&'static str],
);

/// Each state, and what of it is freed when the next response is set.
const STATES: [State; 6] = [
    ("nothing", |_| Nothing, &[]),
    ("copied", |heap| Copied(heap.block("old")), &["old"]),
    ("alone", |_| Alone(None), &[]),
    (
        "alone and shown",
        |heap| Alone(Some(heap.block("old"))),
        &["old"],
    ),
    ("ours", |_| Ours(None), &[]),
    (
        "ours over one",
        |heap| Ours(Some(heap.block("old"))),
        &["old"],
    ),
];

#[test]
fn what_the_program_sets_is_here_and_libssl_has_a_copy_whatever_was_before() {
    for (name, state, freed) in STATES {
        let (mut response, host, heap) = begin(state);
        let mut given = Some(heap.block("new"));
        assert!(response.set(&host, &mut given), "{name}");
        assert_eq!(response, Copied(heap.block("new")), "{name}");
        heap.freed();
        assert_eq!(host.holds().as_deref(), Some("new"), "{name}");
        let (mut response, host, heap) = begin(state);
        response.set(&host, &mut Some(heap.block("new")));
        assert_eq!(heap.freed(), freed, "{name}");
    }
}

#[test]
fn what_the_program_clears_is_freed_and_a_block_without_bytes_clears_as_well() {
    for (name, state, freed) in STATES {
        let (mut response, host, heap) = begin(state);
        assert!(response.set(&host, &mut None), "{name}");
        assert_eq!((&response, host.holds()), (&Nothing, None), "{name}");
        assert_eq!(heap.freed(), freed, "{name}");
        let (mut response, host, heap) = begin(state);
        assert!(response.set(&host, &mut Some(heap.block(""))), "{name}");
        assert_eq!((&response, host.holds()), (&Nothing, None), "{name}");
        assert_eq!(heap.freed(), [&[""], freed].concat(), "{name}");
    }
}

/// What is known after libssl has dropped what it held.
fn after_a_refusal(state: Response<Block>) -> Response<Block> {
    match state {
        Copied(own) => Ours(Some(own)),
        other => other,
    }
}

#[test]
fn a_set_that_libssl_has_no_memory_for_leaves_the_block_and_what_was_set_can_be_put_back() {
    for (name, state, _) in STATES {
        let (mut response, host, heap) = begin(state);
        host.has_memory.set(false);
        host.takes_blocks.set(false);
        let mut given = Some(heap.block("new"));
        assert!(!response.set(&host, &mut given), "{name}");
        assert_eq!(heap.freed(), [""; 0], "{name}");
        assert_eq!(given.as_ref().map(|given| given.0), Some("new"), "{name}");
        let before = after_a_refusal(state(&heap));
        assert_eq!(response, before, "{name}");
        if let Ours(Some(own)) = &before {
            host.has_memory.set(true);
            response.restore(&host);
            assert_eq!(host.holds().as_deref(), Some(own.0), "{name}");
        }
    }
}

#[test]
fn without_memory_for_a_copy_of_what_the_program_sets_libssl_gets_the_block_itself() {
    for (name, state, freed) in STATES {
        let (mut response, host, heap) = begin(state);
        host.has_memory.set(false);
        assert!(response.set(&host, &mut Some(heap.block("new"))), "{name}");
        assert_eq!(response, Alone(None), "{name}");
        assert_eq!(host.holds().as_deref(), Some("the block new"), "{name}");
        assert_eq!(heap.freed(), freed, "{name}");
    }
}

#[test]
fn the_same_block_twice_is_freed_once() {
    for keeps in [Copied, |own| Ours(Some(own))] {
        let (_, host, heap) = begin(|_| Nothing);
        let mut response = keeps(heap.block("same"));
        let mut given = Some(heap.block("same"));
        assert!(response.set(&host, &mut given));
        assert_eq!(heap.freed(), [""; 0]);
        drop(response);
        assert_eq!(heap.freed(), ["same"]);
    }
}

#[test]
fn a_list_is_libssls_alone_and_an_empty_one_is_nothing() {
    for (name, state, freed) in STATES {
        let (mut response, _, heap) = begin(state);
        response.left_to_libssl(false);
        assert_eq!(response, Alone(None), "{name}");
        assert_eq!(heap.freed(), freed, "{name}");
        let (mut response, _, heap) = begin(state);
        response.left_to_libssl(true);
        assert_eq!(
            (&response, heap.freed()),
            (&Nothing, freed.to_vec()),
            "{name}"
        );
    }
}

#[test]
fn ours_keeps_what_the_program_set_and_goes_over_nothing_that_could_not_be_put_back() {
    for (name, state, _) in STATES {
        let (mut response, host, heap) = begin(state);
        let stapled = response.staple(|| host.staples());
        let before = state(&heap);
        if let Alone(_) = before {
            assert!(!stapled && response == before, "{name}");
            assert_eq!(host.holds().as_deref(), Some("a list"), "{name}");
        } else {
            assert!(stapled, "{name}");
            assert_eq!(host.holds().as_deref(), Some("ours"), "{name}");
            let own = before.buffer().map(|own| heap.block(own.0));
            assert_eq!(response, Ours(own), "{name}");
        }
        mem::forget(response);
    }
}

#[test]
fn what_libssl_does_not_take_of_ours_leaves_what_was_set_to_be_put_back() {
    for (name, state, _) in STATES {
        let (mut response, _, heap) = begin(state);
        assert!(!response.staple(|| false), "{name}");
        assert_eq!(response, after_a_refusal(state(&heap)), "{name}");
    }
}

#[test]
fn what_the_program_has_borrowed_as_a_list_is_not_replaced() {
    let (mut response, host, heap) = begin(|heap| Copied(heap.block("old")));
    response.lent_as_it_is();
    assert_eq!(response, Alone(Some(heap.block("old"))));
    assert!(!response.staple(|| host.staples()));
    assert_eq!(host.holds().as_deref(), Some("old"));
    for state in [
        |_: &Heap| Nothing,
        |heap: &Heap| Ours(Some(heap.block("old"))),
    ] {
        let (mut response, _, heap) = begin(state);
        response.lent_as_it_is();
        assert_eq!(response, state(&heap));
    }
}

#[test]
fn the_programs_is_put_back_only_where_ours_is() {
    for (name, state, _) in STATES {
        let (mut response, host, heap) = begin(state);
        let held = host.holds();
        response.restore(&host);
        assert_eq!(heap.freed(), [""; 0], "{name}");
        match state(&heap) {
            Ours(Some(_)) => {
                assert_eq!(response, Copied(heap.block("old")), "{name}");
                assert_eq!(host.holds().as_deref(), Some("old"), "{name}");
            }
            Ours(None) => assert_eq!((&response, host.holds()), (&Nothing, None), "{name}"),
            before => assert_eq!((response, host.holds()), (before, held), "{name}"),
        }
    }
}

#[test]
fn without_memory_for_a_copy_of_what_is_put_back_libssl_gets_the_block_itself_or_keeps_ours() {
    let (mut response, host, heap) = begin(|heap| Ours(Some(heap.block("old"))));
    host.has_memory.set(false);
    host.takes_blocks.set(false);
    response.restore(&host);
    assert_eq!(response, Ours(Some(heap.block("old"))));
    heap.freed();
    host.takes_blocks.set(true);
    response.restore(&host);
    assert_eq!(response, Alone(None));
    assert_eq!(host.holds().as_deref(), Some("the block old"));
    assert_eq!(heap.freed(), [""; 0]);
}

#[test]
fn what_was_received_is_shown_in_one_place_as_long_as_it_is_the_same() {
    for (name, state, freed) in STATES {
        let (mut response, _, heap) = begin(state);
        let first = response.show(b"new", || Some(heap.block("new")));
        assert_eq!(first.map(|shown| shown.0), Some("new"), "{name}");
        assert_eq!(heap.freed(), freed, "{name}");
        let again = response.show(b"new", || panic!("a second copy"));
        assert_eq!(again.map(|shown| shown.0), Some("new"), "{name}");
        assert_eq!(response, Alone(Some(heap.block("new"))), "{name}");
    }
}

#[test]
fn without_a_copy_of_what_was_received_nothing_changes() {
    for (name, state, _) in STATES {
        let (mut response, _, heap) = begin(state);
        assert_eq!(response.show(b"new", || None), None, "{name}");
        assert_eq!(response, state(&heap), "{name}");
    }
}
