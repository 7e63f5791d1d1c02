//! A short list of pairs, which is changed while others look for something in it: it has a
//! version, and who meets a change finds nothing.

use std::ptr;

use super::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

/// Which `X` is which `L`. No `L` is ever freed.
pub struct Places<X, L: 'static, const N: usize> {
    /// Odd while the places change.
    version: AtomicU32,
    places: [(AtomicPtr<X>, AtomicPtr<L>); N],
}

impl<X, L: 'static, const N: usize> Default for Places<X, L, N> {
    fn default() -> Self {
        Places {
            version: AtomicU32::default(),
            places: std::array::from_fn(|_| Default::default()),
        }
    }
}

impl<X, L: 'static, const N: usize> Places<X, L, N> {
    /// What stands beside `x`, and what is `read` there: both while `x` stood in the list.
    #[inline]
    pub fn find<R>(
        &self,
        x: *mut X,
        read: impl FnOnce(&'static L) -> R,
    ) -> Option<(&'static L, R)> {
        let version = self.version.load(Ordering::Acquire);
        let (_, beside) = (self.places.iter()).find(|(own, _)| own.load(Ordering::Relaxed) == x)?;
        let beside = shared(beside)?;
        let read = read(beside);
        fence(Ordering::Acquire);
        let unchanged = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
        unchanged.then_some((beside, read))
    }

    /// Whether `x` stands in the list. For who changes it.
    pub fn has(&self, x: *mut X) -> bool {
        (self.places.iter()).any(|(own, _)| own.load(Ordering::Relaxed) == x)
    }

    /// What stands at each place. For who changes the list.
    pub fn all(&self) -> impl Iterator<Item = Option<&'static L>> {
        self.places.iter().map(|(_, beside)| shared(beside))
    }

    /// Puts a pair in the place of another, which is handed over. For one thread at a time.
    pub fn replace(
        &self,
        at: usize,
        x: *mut X,
        beside: &'static L,
    ) -> (*mut X, Option<&'static L>) {
        let Some(place) = self.places.get(at) else {
            return (ptr::null_mut(), None);
        };
        // It is odd already in a child of a process that forked in the middle of this.
        let changing = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(changing, Ordering::Relaxed);
        fence(Ordering::Release);
        let before = take(place);
        place
            .1
            .store(ptr::from_ref(beside).cast_mut(), Ordering::Relaxed);
        place.0.store(x, Ordering::Relaxed);
        self.version
            .store(changing.wrapping_add(1), Ordering::Release);
        before
    }

    /// Empties the list, which nobody else has any more.
    pub fn take_all(&self) -> impl Iterator<Item = (*mut X, Option<&'static L>)> {
        self.places.iter().map(take)
    }
}

fn take<X, L>((x, beside): &(AtomicPtr<X>, AtomicPtr<L>)) -> (*mut X, Option<&'static L>) {
    let there = shared(beside);
    beside.store(ptr::null_mut(), Ordering::Relaxed);
    (x.swap(ptr::null_mut(), Ordering::Relaxed), there)
}

fn shared<L>(place: &AtomicPtr<L>) -> Option<&'static L> {
    // SAFETY: only `&'static L` are stored by `replace`, and NULL.
    unsafe { place.load(Ordering::Relaxed).as_ref() }
}
