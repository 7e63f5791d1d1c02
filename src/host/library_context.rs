//! OpenSSL's library context (3.0 and later), which says what providers do the work.
//! A program may leave the default one without any, by the null provider, and work in
//! one of its own. What is decoded and verified for its SSL_CTX is then to use that one
//! too, and most functions that do so take the thread's default.

use std::ffi::c_void;
use std::ptr;

use super::tables::Crypto;

/// The library context that an SSL_CTX was made in.
#[derive(Clone, Copy)]
pub struct LibraryContext(*mut c_void);

// SAFETY: an OSSL_LIB_CTX may be used by all threads.
unsafe impl Send for LibraryContext {}
// SAFETY: as above.
unsafe impl Sync for LibraryContext {}

impl LibraryContext {
    /// The default one.
    pub const DEFAULT: LibraryContext = LibraryContext(ptr::null_mut());

    /// # Safety
    /// `context` must be NULL or an OSSL_LIB_CTX that lives as long as this is used: a
    /// program keeps it until it has freed each object that was made in it.
    pub unsafe fn from_raw(context: *mut c_void) -> LibraryContext {
        LibraryContext(context)
    }

    /// Whether it is the default one, which lives as long as libcrypto.
    pub fn is_default(self) -> bool {
        self.0.is_null()
    }

    /// Does `work` with this as the thread's default.
    pub fn within<R>(self, crypto: &Crypto, work: impl FnOnce() -> R) -> R {
        let Some(set_default) = crypto
            .OSSL_LIB_CTX_set0_default
            .filter(|_| !self.0.is_null())
        else {
            return work();
        };
        /// Puts the thread's own back, also after a panic.
        struct Restore(
            *mut c_void,
            unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        );
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: what was the default a moment ago.
                unsafe { (self.1)(self.0) };
            }
        }
        // SAFETY: `from_raw`'s caller vouches for the context.
        let _restore = Restore(unsafe { set_default(self.0) }, set_default);
        work()
    }
}
