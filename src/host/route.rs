//! Object to library: which libssl made this SSL, SSL_CTX or SSL_METHOD.
//!
//! Every SSL and SSL_CTX carries a pointer to its SSL_METHOD near its start, and
//! SSL_METHODs are static data of the libssl that made them. So the first words
//! of an object are compared with the address ranges of the known images. No
//! field's offset is relied upon.
//!
//! | who asks | by |
//! |---|---|
//! | an entry that mostly hands on, for the few instructions that it has | `quick`, `quick_at` |
//! | who does something of ours with an object | `of` |
//! | who hands a call on, wherever its object comes from | `for_call` |
//! | who hands on a call that has an SSL_METHOD, or no object | `for_method`, `for_caller` |
//!
//! The table only ever grows, by compare-and-swap. Nothing here blocks; the
//! loader is asked once per image.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use once_cell::race::OnceBox;

use super::guard;
use super::image;
use super::library::Library;
use super::object::{Object, words};
use super::types::SSL_METHOD;
use crate::shared::at_once::AtOnce;

/// More images than any process was seen with; further ones take longer to find.
const PLACES: usize = 16;

/// After so many objects that no libssl owns, the loader is asked for methods only: each
/// SSL_CTX comes of one, so that no libssl is missed, and few calls have one.
const MAX_STRANGERS: u32 = 64;

struct Table {
    places: [AtomicPtr<Library>; PLACES],
    more: OnceBox<Table>,
}

impl Table {
    const fn new() -> Table {
        Table {
            places: [const { AtomicPtr::new(ptr::null_mut()) }; PLACES],
            more: OnceBox::new(),
        }
    }
}

static TABLE: Table = Table::new();
static STRANGERS: AtomicU32 = AtomicU32::new(0);

/// The library that made `object`, if it is one of the two that were met first: more
/// are hardly ever in one process. Calls nothing, so that an entry that only hands
/// on stays a handful of instructions.
///
/// # Safety
/// `object` must be NULL or valid.
#[inline(always)]
pub unsafe fn quick<O: Object>(object: *const O) -> Option<&'static Library> {
    // SAFETY: the caller vouches for it.
    let words = unsafe { words(object) }?;
    one_of_two(|library| words.iter().any(|&word| library.contains(word)))
}

/// The library whose code lies at `address`, if it is one of those two.
#[inline(always)]
pub fn quick_at(address: usize) -> Option<&'static Library> {
    one_of_two(|library| library.contains(address))
}

#[inline(always)]
fn one_of_two(is_it: impl Fn(&Library) -> bool) -> Option<&'static Library> {
    let [first, second, ..] = &TABLE.places;
    let mut both = [first, second].into_iter().filter_map(known);
    both.find(|library| is_it(library))
}

/// The library that made `object`.
///
/// # Safety
/// `object` must be NULL or valid.
pub unsafe fn of<O: Object>(object: *const O) -> Option<&'static Library> {
    // SAFETY: the caller vouches for it.
    let words = unsafe { words(object) }?;
    let mut known = TABLE.places.iter().map_while(known);
    known
        .find(|library| words.iter().any(|&word| library.contains(word)))
        .or_else(|| discover(words))
}

/// The library that made `object`, else the one that `entry` would reach without us.
///
/// # Safety
/// `object` must be NULL or valid.
pub unsafe fn for_call<O: Object>(object: *const O, entry: &CStr) -> Option<&'static Library> {
    // SAFETY: the caller vouches for it.
    unsafe { of(object) }.or_else(|| without_object(entry))
}

/// The library that owns `method`, else the one that `entry` would reach without us.
pub fn for_method(method: *const SSL_METHOD, entry: &CStr) -> Option<&'static Library> {
    at(method as usize).or_else(|| without_object(entry))
}

/// The real SSL_new for contexts of the libssl that was met first, as long as a call is only
/// to be handed on: in fewer instructions than a look into the table.
pub static SSL_NEW_AT_ONCE: AtOnce = AtOnce {
    start: AtomicUsize::new(0),
    length: AtomicUsize::new(0),
    function: AtomicPtr::new(ptr::null_mut()),
};

/// From now on calls of SSL_new are handed on at once, if `library` was met first.
pub fn hand_on_ssl_new(library: &'static Library) {
    let [first, ..] = &TABLE.places;
    if known(first).is_some_and(|first| ptr::eq(first, library)) {
        let function = library.ssl_new as *mut c_void;
        SSL_NEW_AT_ONCE.open(function, library.start(), library.length());
    }
}

/// The next call of SSL_new is not handed on at once.
pub fn look_at_ssl_new() {
    SSL_NEW_AT_ONCE.close();
}

/// The library that `address` lies in, if it was met before.
fn known_holding(address: usize) -> Option<&'static Library> {
    let tables = std::iter::successors(Some(&TABLE), |table| table.more.get());
    let mut known = tables.flat_map(|table| &table.places).map_while(known);
    known.find(|library| library.contains(address))
}

/// Whom a call without an object reaches.
pub enum Callee {
    /// A libssl.
    Library(&'static Library),
    /// A function of something that is none as far as can be told: a program's own, or
    /// another library that is preloaded.
    Function(NonNull<c_void>),
}

/// Whom the code at `caller` reaches as `entry`: the libssl that it is part of, or what its
/// image is linked with, else the next one in the global scope, else as without an object.
#[cold]
pub fn for_caller(caller: usize, entry: &CStr) -> Option<Callee> {
    let itself = known_holding(caller).map(Callee::Library);
    itself.or_else(|| guard::errno_kept(|| linked_with(caller, entry)))
}

fn linked_with(caller: usize, entry: &CStr) -> Option<Callee> {
    match image::symbol_of_holder(caller, entry).or_else(|| image::next_in_scope(entry)) {
        Some(found) => {
            let library = at(found.as_ptr() as usize);
            Some(library.map_or(Callee::Function(found), Callee::Library))
        }
        None => without_object(entry).map(Callee::Library),
    }
}

#[inline(always)]
fn known(place: &AtomicPtr<Library>) -> Option<&'static Library> {
    // SAFETY: what stands in the table is a leaked Box that never changes; the
    // acquire pairs with the release in `remember`.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// The way to go when no image owns the object, or there is no object: the
/// only libssl in the process, else the next one in the global scope.
#[cold]
fn without_object(entry: &CStr) -> Option<&'static Library> {
    let [first, second, ..] = &TABLE.places;
    if let (Some(only), None) = (known(first), known(second)) {
        return Some(only);
    }
    at(image::next_in_scope(entry)?.as_ptr() as usize)
}

#[cold]
#[inline(never)]
fn discover(words: &[usize]) -> Option<&'static Library> {
    let met = words.iter().find_map(|&word| known_holding(word));
    if met.is_some() || STRANGERS.load(Ordering::Relaxed) >= MAX_STRANGERS {
        return met;
    }
    let found = words.iter().find_map(|&word| at(word));
    if found.is_none() {
        STRANGERS.fetch_add(1, Ordering::Relaxed);
    }
    found
}

/// The library that holds `address`, which is added to the table if it is new.
fn at(address: usize) -> Option<&'static Library> {
    if address == 0 {
        return None;
    }
    known_holding(address).or_else(|| guard::errno_kept(|| remember(Library::holding(address)?)))
}

fn remember(library: Library) -> Option<&'static Library> {
    // Not try_box: without it the program's own call could not be handed on.
    let library = Box::into_raw(Box::new(library));
    let mut table = &TABLE;
    loop {
        for place in &table.places {
            let swapped = place.compare_exchange(
                ptr::null_mut(),
                library,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            // SAFETY: either ours, just leaked, or one that another thread leaked.
            let there = unsafe { &*swapped.map_or_else(|other| other, |_| library) };
            // SAFETY: ours is still ours unless it was swapped in.
            if swapped.is_ok() || there.start() == unsafe { (*library).start() } {
                if swapped.is_err() {
                    // SAFETY: another thread was first; ours was never shared.
                    drop(unsafe { Box::from_raw(library) });
                }
                return Some(there);
            }
        }
        table = table.more.get_or_init(|| Box::new(Table::new()));
    }
}
