//! Our records in ex_data: one index per class and library, typed get and set.
//!
//! A record is a heap block that begins with a pointer to its `Kind`, so that
//! OpenSSL's callbacks can release it without knowing what it is. They call
//! nothing of libssl.

use std::ffi::{c_int, c_long, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use super::library::Library;
use super::memory;
use super::route;
use super::ssl::Ssl;
use super::tables::{Crypto, ExFree, SslFunctions};
use super::types::SSL;

/// CRYPTO_EX_INDEX_SSL and its kin of 1.1.0 and later.
const CLASS_SSL: c_int = 0;
const CLASS_SSL_CTX: c_int = 1;
const CLASS_SSL_SESSION: c_int = 2;

/// Our indices in one library.
pub struct Indices {
    /// For an SSL.
    pub ssl: c_int,
    /// For an SSL_CTX.
    pub ctx: c_int,
    /// For an SSL_SESSION: a number, which is copied with the session.
    pub session: c_int,
}

/// What can be remembered for an SSL or an SSL_CTX.
pub trait Record: Sized + 'static {
    /// An SSL was made from the context that this record belongs to. Called on
    /// libraries before 1.1.0 only, which do not inherit the context's type.
    fn ssl_created(&self, _ssl: Ssl) {}
}

struct Kind {
    release: unsafe fn(*mut c_void),
    ssl_created: unsafe fn(*mut c_void, Ssl),
}

#[repr(C)]
struct Block<T> {
    kind: &'static Kind,
    value: T,
}

impl<T: Record> Block<T> {
    const KIND: Kind = Kind {
        release: Self::release,
        ssl_created: Self::ssl_created,
    };

    /// # Safety
    /// `block` must be a block of this very T that nobody uses any more.
    unsafe fn release(block: *mut c_void) {
        // SAFETY: `allocate` made it as a Box; the caller vouches for the rest.
        drop(unsafe { Box::from_raw(block.cast::<Block<T>>()) });
    }

    /// # Safety
    /// `block` must be a block of this very T.
    unsafe fn ssl_created(block: *mut c_void, ssl: Ssl) {
        // SAFETY: the caller vouches for the block, which outlives the call.
        unsafe { (*block.cast::<Block<T>>()).value.ssl_created(ssl) };
    }

    /// A block on the heap, or None for want of memory.
    fn allocate(value: T) -> Option<*mut Block<T>> {
        let kind = const { &Self::KIND };
        memory::try_box(Block { kind, value }).map(Box::into_raw)
    }
}

/// The record at `stored`, what an ex_data getter returned for our index.
///
/// # Safety
/// `stored` must be NULL or come from `install` with the same T, and the object
/// that owns it must outlive `'a`.
pub unsafe fn record<'a, T: Record>(stored: *mut c_void) -> Option<&'a T> {
    // SAFETY: the caller vouches for type and lifetime.
    unsafe { stored.cast::<Block<T>>().as_ref() }.map(|block| &block.value)
}

/// Makes a record and hands it to `set`, which stores it and says whether it
/// could.
pub fn install<'a, T: Record>(value: T, set: impl FnOnce(*mut c_void) -> bool) -> Option<&'a T> {
    let block = Block::allocate(value)?;
    if !set(block.cast()) {
        // SAFETY: `allocate` made it with the global allocator, and nobody has it.
        drop(unsafe { Box::from_raw(block) });
        return None;
    }
    // SAFETY: it lives until OpenSSL calls `release_record` for its owner.
    Some(unsafe { &(*block).value })
}

impl Indices {
    /// Takes one index per class.
    pub fn take(library: &'static Library, ssl: &SslFunctions, crypto: &Crypto) -> Option<Indices> {
        let argp = ptr::from_ref(library).cast_mut().cast::<c_void>();
        let free: ExFree = Some(release_record);
        // SAFETY: argp is the library's table, which is never freed; the
        // callbacks are in this library, which is never unloaded.
        unsafe {
            // 1.0.2 has a function of this name too, with other class numbers.
            let new_index = crypto.CRYPTO_get_ex_new_index;
            if let Some(new_index) = new_index.filter(|_| ssl.OPENSSL_init_ssl.is_some()) {
                let all = Indices {
                    ssl: new_index(CLASS_SSL, 0, argp, None, Some(keep_own_record), free),
                    ctx: new_index(CLASS_SSL_CTX, 0, argp, None, None, free),
                    session: new_index(CLASS_SSL_SESSION, 0, argp, None, None, None),
                };
                return all.taken();
            }
        }
        let (for_ssl, for_ctx) = (ssl.SSL_get_ex_new_index?, ssl.SSL_CTX_get_ex_new_index?);
        let for_session = ssl.SSL_SESSION_get_ex_new_index?;
        // 1.0.2 hands out index 0 although SSL_set_app_data uses it. So one index
        // of each class is taken first that nobody uses, without callbacks:
        // they would be called for the program's data.
        // SAFETY: as above.
        let all = unsafe {
            for_ssl(0, ptr::null_mut(), None, None, None);
            for_ctx(0, ptr::null_mut(), None, None, None);
            for_session(0, ptr::null_mut(), None, None, None);
            Indices {
                ssl: for_ssl(0, argp, Some(ssl_was_created), Some(keep_own_record), free),
                ctx: for_ctx(0, argp, None, None, free),
                session: for_session(0, argp, None, None, None),
            }
        };
        all.taken()
    }

    /// They are -1 where no more can be had.
    fn taken(self) -> Option<Indices> {
        (self.ssl > 0 && self.ctx > 0 && self.session > 0).then_some(self)
    }
}

unsafe extern "C-unwind" fn release_record(
    _parent: *mut c_void,
    stored: *mut c_void,
    _ad: *mut c_void,
    _index: c_int,
    _argl: c_long,
    _argp: *mut c_void,
) {
    if stored.is_null() {
        return;
    }
    // SAFETY: what is stored under our index is a Block, and OpenSSL releases
    // it once; it begins with its kind.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe {
        let kind = *stored.cast::<&'static Kind>();
        (kind.release)(stored);
    }));
}

/// SSL_dup copies the pointer of a record unless told otherwise: two frees of
/// one block. The copy keeps what it has, which is nothing or what SSL_new gave.
unsafe extern "C-unwind" fn keep_own_record(
    to: *mut c_void,
    _from: *const c_void,
    copied: *mut *mut c_void,
    index: c_int,
    _argl: c_long,
    argp: *mut c_void,
) -> c_int {
    // SAFETY: argp is the library that took the index; `copied` points to the
    // pointer about to be stored in `to`, both valid during the call.
    unsafe {
        let library = &*argp.cast::<Library>();
        *copied = match library.already_ready() {
            Some(host) => (host.crypto.CRYPTO_get_ex_data)(to, index),
            None => ptr::null_mut(),
        };
    }
    1
}

/// Runs inside SSL_new on 1.0.2.
unsafe extern "C-unwind" fn ssl_was_created(
    parent: *mut c_void,
    _stored: *mut c_void,
    _ad: *mut c_void,
    _index: c_int,
    _argl: c_long,
    argp: *mut c_void,
) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: argp is the library that took the index.
        let library = unsafe { &*argp.cast::<Library>() };
        let (Some(host), Some(ssl)) = (library.already_ready(), NonNull::new(parent.cast::<SSL>()))
        else {
            return;
        };
        // SAFETY: SSL_new passes the SSL under construction, whose method and
        // context are set; a record under our index is a Block and begins with
        // its kind.
        unsafe {
            // Where two libssls share a libcrypto, each index is in the SSLs of both.
            if !route::made_by(library, ssl.as_ptr()) {
                return;
            }
            let ctx = (host.lib.ssl.SSL_get_SSL_CTX)(ssl.as_ptr());
            if ctx.is_null() {
                return;
            }
            let stored = (host.lib.ssl.SSL_CTX_get_ex_data)(ctx, host.indices.ctx);
            if !stored.is_null() {
                let kind = *stored.cast::<&'static Kind>();
                (kind.ssl_created)(stored, Ssl::new(host, ssl));
            }
        }
    }));
}
