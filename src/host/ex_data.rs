//! Our records in ex_data: one index per class and library, typed get and set.
//!
//! A record is a block of memory that begins with a pointer to its `Kind`, so that
//! OpenSSL's callbacks can release it without knowing what it is. They call
//! nothing of libssl.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering, fence};

use super::guard;
use super::image::Image;
use super::memory;
use super::object;
use super::tables::{Crypto, ExDup, ExNew, SslFunctions};
use super::types::SSL;

/// CRYPTO_EX_INDEX_SSL and its kin of 1.1.0 and later.
const CLASS_SSL: c_int = 0;
const CLASS_SSL_CTX: c_int = 1;
const CLASS_SSL_SESSION: c_int = 2;

/// Our indices in one library. Those of an SSL and an SSL_SESSION are taken when
/// something is first remembered: once a class has an index, libcrypto walks the
/// class's list for each new object and sorts it for each free, and most servers
/// need nothing remembered of their connections.
pub struct Indices {
    /// For an SSL_CTX.
    pub ctx: c_int,
    ssl: LazyIndex,
    session: LazyIndex,
    /// The library that they are of.
    pub owner: &'static Owner,
}

/// The library that the indices are of.
pub struct Owner {
    /// Where it lies.
    pub image: &'static Image,
    /// Its functions,
    pub ssl: &'static SslFunctions,
    /// and those of its libcrypto.
    pub crypto: Crypto,
}

/// An index that is taken at its first use, by any thread.
struct LazyIndex(AtomicI32);

impl LazyIndex {
    /// 0 is the program's app_data on every libssl, never ours.
    const NOT_YET: c_int = 0;

    const fn new() -> LazyIndex {
        LazyIndex(AtomicI32::new(LazyIndex::NOT_YET))
    }

    fn get(&self) -> Option<c_int> {
        Some(self.0.load(Ordering::Acquire)).filter(|&index| index != LazyIndex::NOT_YET)
    }

    /// The index; `take` is asked if there is none, and answers -1 where no more
    /// can be had.
    fn get_or(&self, take: impl FnOnce() -> Option<c_int>) -> Option<c_int> {
        self.get().or_else(|| {
            let ours = take().filter(|&index| index > 0)?;
            // If another thread was first, the one taken here stays unused.
            let set = (self.0).compare_exchange(
                LazyIndex::NOT_YET,
                ours,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            Some(set.map_or_else(|first| first, |_| ours))
        })
    }
}

/// What can be remembered for an SSL or an SSL_CTX.
pub trait Record: Sized + 'static {
    /// An SSL was made from the context that this record belongs to. Called on
    /// libraries before 1.1.0 only, which do not inherit the context's type.
    fn ssl_created(&self, _ssl: NonNull<SSL>) {}
}

struct Kind {
    release: unsafe fn(*mut c_void),
    ssl_created: unsafe fn(*mut c_void, NonNull<SSL>),
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
        // SAFETY: `install` made it; the caller vouches for the rest.
        unsafe { memory::release_record(block.cast::<Block<T>>()) };
    }

    /// # Safety
    /// `block` must be a block of this very T.
    unsafe fn ssl_created(block: *mut c_void, ssl: NonNull<SSL>) {
        // SAFETY: the caller vouches for the block, which outlives the call.
        unsafe { (*block.cast::<Block<T>>()).value.ssl_created(ssl) };
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
    let kind = const { &Block::<T>::KIND };
    let block = memory::record(Block { kind, value })?;
    // libssl stores the pointer plainly, and another thread may find it in a shared context: what
    // it points to is there before.
    fence(Ordering::Release);
    if !set(block.cast()) {
        // SAFETY: it was made here, and nobody has it.
        unsafe { memory::release_record(block) };
        return None;
    }
    // SAFETY: it lives until OpenSSL calls `release_record` for its owner.
    Some(unsafe { &(*block).value })
}

impl Indices {
    /// Takes the index of the SSL_CTX class, and where SSL_new has to be watched
    /// (1.0.2) that of the SSL class.
    pub fn take(owner: &'static Owner) -> Option<Indices> {
        let all = Indices {
            ctx: owner.index_for_ctx().filter(|&index| index > 0)?,
            ssl: LazyIndex::new(),
            session: LazyIndex::new(),
            owner,
        };
        if owner.class_function().is_none() {
            all.ssl_or_taken()?;
        }
        Some(all)
    }

    /// For an SSL, if anything was ever remembered of one.
    pub fn ssl(&self) -> Option<c_int> {
        self.ssl.get()
    }

    /// For an SSL, of which something is to be remembered. SSLs that are older
    /// than the index have no place for it until the first set makes one.
    pub fn ssl_or_taken(&self) -> Option<c_int> {
        self.ssl.get_or(|| self.owner.index_for_ssl(self.ctx))
    }

    /// For an SSL_SESSION, if one was ever marked: a number, which is copied with
    /// the session.
    pub fn session(&self) -> Option<c_int> {
        self.session.get()
    }

    /// For an SSL_SESSION, which is to be marked.
    pub fn session_or_taken(&self) -> Option<c_int> {
        self.session.get_or(|| self.owner.index_for_session())
    }
}

type ClassFunction =
    unsafe extern "C-unwind" fn(c_int, c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;
type OldFunction = unsafe extern "C-unwind" fn(c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;

/// What OpenSSL calls for the objects of a class, and the number that it is told.
#[derive(Default)]
struct Callbacks {
    number: c_long,
    /// Called on 1.0.2 only.
    created: ExNew,
    duplicated: ExDup,
    freed: ExNew,
}

impl Owner {
    /// CRYPTO_get_ex_new_index. 1.0.2 has a function of this name too, with other
    /// class numbers: None there.
    fn class_function(&self) -> Option<ClassFunction> {
        (self.crypto.CRYPTO_get_ex_new_index).filter(|_| self.ssl.OPENSSL_init_ssl.is_some())
    }

    /// `ctx` is the index of the SSL_CTX class.
    fn index_for_ssl(&'static self, ctx: c_int) -> Option<c_int> {
        let callbacks = Callbacks {
            number: c_long::from(ctx),
            created: Some(ssl_was_created),
            duplicated: Some(keep_own_record),
            freed: Some(release_record),
        };
        self.index(CLASS_SSL, self.ssl.SSL_get_ex_new_index, callbacks)
    }

    fn index_for_ctx(&'static self) -> Option<c_int> {
        let callbacks = Callbacks {
            freed: Some(release_record),
            ..Callbacks::default()
        };
        self.index(CLASS_SSL_CTX, self.ssl.SSL_CTX_get_ex_new_index, callbacks)
    }

    fn index_for_session(&'static self) -> Option<c_int> {
        let old = self.ssl.SSL_SESSION_get_ex_new_index;
        self.index(CLASS_SSL_SESSION, old, Callbacks::default())
    }

    fn index(
        &'static self,
        class: c_int,
        old: Option<OldFunction>,
        callbacks: Callbacks,
    ) -> Option<c_int> {
        let Callbacks {
            number,
            created,
            duplicated,
            freed,
        } = callbacks;
        let argp = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the owner is never freed; the callbacks are in this library, which is
        // never unloaded.
        unsafe {
            if let Some(new_index) = self.class_function() {
                return Some(new_index(class, number, argp, None, duplicated, freed));
            }
            let new_index = old?;
            // 1.0.2 hands out index 0 although SSL_set_app_data uses it. So one
            // index of each class is taken first that nobody uses, without
            // callbacks: they would be called for the program's data. Without that
            // one there is none for us: ours could be 0.
            if new_index(0, ptr::null_mut(), None, None, None) < 0 {
                return None;
            }
            Some(new_index(number, argp, created, duplicated, freed))
        }
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
    guard::contained(|| unsafe {
        let kind = *stored.cast::<&'static Kind>();
        (kind.release)(stored);
    });
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
    // SAFETY: argp is the owner of the index; `copied` points to the pointer about to be
    // stored in `to`, both valid during the call.
    unsafe {
        let owner = &*argp.cast::<Owner>();
        *copied = (owner.crypto.CRYPTO_get_ex_data)(to, index);
    }
    1
}

/// Runs inside SSL_new on 1.0.2. `ctx_index` is ours of the SSL_CTX class.
unsafe extern "C-unwind" fn ssl_was_created(
    parent: *mut c_void,
    _stored: *mut c_void,
    _ad: *mut c_void,
    _index: c_int,
    ctx_index: c_long,
    argp: *mut c_void,
) {
    guard::bookkeeping((), || {
        // SAFETY: argp is the owner of the index, which is never freed.
        let owner = unsafe { &*argp.cast::<Owner>() };
        let ssl = NonNull::new(parent.cast::<SSL>());
        let (Some(ssl), Ok(ctx_index)) = (ssl, c_int::try_from(ctx_index)) else {
            return;
        };
        // SAFETY: SSL_new passes the SSL under construction, whose method and
        // context are set; a record under our index is a Block and begins with
        // its kind.
        unsafe {
            // Where two libssls share a libcrypto, each index is in the SSLs of both.
            let words = object::words(ssl.as_ptr()).unwrap_or_default();
            if !words.iter().any(|&word| owner.image.contains(word)) {
                return;
            }
            let ctx = (owner.ssl.SSL_get_SSL_CTX)(ssl.as_ptr());
            if ctx.is_null() {
                return;
            }
            let stored = (owner.ssl.SSL_CTX_get_ex_data)(ctx, ctx_index);
            if !stored.is_null() {
                let kind = *stored.cast::<&'static Kind>();
                (kind.ssl_created)(stored, ssl);
            }
        }
    });
}
