//! What tells which libssl made an object.
//!
//! Every SSL and SSL_CTX carries a pointer to its SSL_METHOD near its start, and SSL_METHODs are
//! static data of the libssl that made them. No field's offset is relied upon.

use super::types::{SSL, SSL_CTX};

/// What a libssl makes, and whose first words tell which one did.
pub trait Object {
    /// The first SSL_METHOD pointer is within so many words of its start. It is no smaller.
    const WORDS: usize;
}

impl Object for SSL {
    const WORDS: usize = 4;
}

impl Object for SSL_CTX {
    const WORDS: usize = 2;
}

/// The first words of an object.
///
/// # Safety
/// `object` must be NULL or valid, as long as the words are used.
#[inline(always)]
pub unsafe fn words<'o, O: Object>(object: *const O) -> Option<&'o [usize]> {
    let start = object.cast::<usize>();
    // SAFETY: the object is no smaller than this many words; the caller vouches for the rest.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, O::WORDS) })
}
