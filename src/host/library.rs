//! One loaded libssl with its libcrypto: what it is, and what it is bound to.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;

use once_cell::race::OnceBox;

use super::ex_data::{Indices, Owner};
use super::guard;
use super::image::{self, Image};
use super::memory::try_box;
use super::reasons::Reasons;
use super::tables::{Crypto, Entries, NativeFamily, SslFunctions};
use super::types::{SSL, SSL_CTX};

/// A libssl that is, as far as its functions tell, OpenSSL 1.0.2 or later.
pub struct OpenSsl {
    /// Its own functions.
    pub ssl: SslFunctions,
    /// Ours in it, with the libcrypto that it is bound to. None where they cannot be had: for
    /// good, since each try costs time and indices.
    indices: OnceBox<Option<Indices>>,
    reasons: OnceBox<Reasons>,
    /// Whether it is known to keep whatever bytes it is given as a response.
    pub keeps_any_bytes: AtomicBool,
    /// Whether it is known to hold a response for each certificate of a chain.
    pub holds_several: AtomicBool,
}

impl OpenSsl {
    fn ready(&'static self) -> Option<Ready> {
        let indices = self.indices.get()?.as_ref()?;
        Some(Ready {
            lib: self,
            crypto: &indices.owner.crypto,
            indices,
        })
    }
}

/// One loaded libssl.
pub struct Library {
    image: Image,
    /// `SSL_ctrl`, or what stands in for it where there is none: the hot path
    /// asks nothing more.
    pub ssl_ctrl: SslCtrl,
    /// `SSL_CTX_ctrl`, likewise.
    pub ctx_ctrl: CtxCtrl,
    /// `SSL_new`, likewise.
    pub ssl_new: SslNew,
    /// The real functions behind our interposed names.
    pub entries: Entries,
    native: NativeFamily,
    /// Present if the shim's work can be done on this libssl; otherwise every
    /// call is handed on untouched.
    pub openssl: Option<OpenSsl>,
}

impl Library {
    /// Looks at the image that holds `address`. None unless it defines
    /// `SSL_CTX_new` itself.
    pub fn holding(address: usize) -> Option<Library> {
        let image = Image::holding(address)?;
        let find = |name: &CStr| image.own_symbol(name);
        // Nothing here panics: without the real functions nothing could be done.
        // SAFETY: `find` gives only what this pinned image defines under the name.
        let tables = unsafe {
            (
                Entries::load(&find),
                NativeFamily::load(&find),
                SslFunctions::load(&find),
            )
        };
        let is_libressl = tables
            .2
            .as_ref()
            .is_some_and(|f| f.OPENSSL_init_ssl.is_some() && f.SSL_CTX_get_ex_new_index.is_some());
        image::clear_dlerror();
        let native = tables.1?;
        let has_own_family = native.SSL_CTX_set_tlsext_status_cb.is_some();
        let openssl = tables.2.filter(|_| !is_libressl && !has_own_family);
        let entries = tables.0?;
        Some(Library {
            ssl_ctrl: entries.SSL_ctrl.unwrap_or(no_ssl_ctrl),
            ctx_ctrl: entries.SSL_CTX_ctrl.unwrap_or(no_ctx_ctrl),
            ssl_new: entries.SSL_new.unwrap_or(no_ssl_new),
            entries,
            native,
            openssl: openssl.map(|ssl| OpenSsl {
                ssl,
                indices: OnceBox::new(),
                reasons: OnceBox::new(),
                keeps_any_bytes: AtomicBool::new(false),
                holds_several: AtomicBool::new(false),
            }),
            image,
        })
    }

    /// Whether `address` lies in this libssl.
    #[inline(always)]
    pub fn contains(&self, address: usize) -> bool {
        self.image.contains(address)
    }

    /// The family's real functions, if this libssl has them.
    pub fn own_family(&self) -> Option<&NativeFamily> {
        self.native
            .SSL_CTX_set_tlsext_status_cb
            .is_some()
            .then_some(&self.native)
    }

    /// Where the image begins: what tells two libraries apart.
    pub fn start(&self) -> usize {
        self.image.start()
    }

    /// How many bytes its image spans.
    pub fn length(&self) -> usize {
        self.image.length()
    }

    /// The OpenSSL behind `ctx`, ready for work: its libcrypto found and the
    /// ex_data indices taken. None for another kind of libssl.
    ///
    /// # Safety
    /// `ctx` must be a valid SSL_CTX of this library.
    pub unsafe fn ready(&'static self, ctx: NonNull<SSL_CTX>) -> Option<Ready> {
        let lib = self.openssl.as_ref()?;
        if lib.indices.get().is_none() {
            guard::bookkeeping((), || {
                // SAFETY: the caller vouches for ctx.
                let indices = unsafe { self.find_crypto(lib, ctx) }.and_then(|crypto| {
                    // OpenSSL's callbacks get it, also of a thread that was second.
                    let owner = Box::leak(try_box(Owner {
                        image: &self.image,
                        ssl: &lib.ssl,
                        crypto,
                    })?);
                    Indices::take(owner)
                });
                // Another thread may have been first: its indices are used.
                let _ = try_box(indices).map(|indices| lib.indices.set(indices));
            });
        }
        lib.ready()
    }

    /// What `ready` found before; for callbacks that come without a context.
    pub fn already_ready(&'static self) -> Option<Ready> {
        self.openssl.as_ref()?.ready()
    }

    /// Finds the libcrypto that this libssl is really bound to.
    ///
    /// A wheel's libssl can be bound to the system's libcrypto while dlsym on
    /// its handle finds the bundled one. The digests that it hands out are
    /// static data of the one in use.
    ///
    /// # Safety
    /// `ctx` must be a valid SSL_CTX of this library.
    unsafe fn find_crypto(&self, lib: &OpenSsl, ctx: NonNull<SSL_CTX>) -> Option<Crypto> {
        let by_dependency = |name: &CStr| self.image.symbol(name);
        // SAFETY: libssl's dependencies define these names as OpenSSL does.
        let candidate = unsafe { Crypto::load(&by_dependency) };
        image::clear_dlerror();
        let candidate = candidate?;
        // SAFETY: ctx is valid; a stack's layout has been the same since 1.1.0,
        // so any libcrypto may read this one.
        let digest = unsafe {
            lib.ssl
                .SSL_CTX_get_ciphers
                .zip(lib.ssl.SSL_CIPHER_get_handshake_digest)
                .and_then(|(ciphers, digest)| {
                    let ciphers = NonNull::new(ciphers(ctx.as_ptr()))?;
                    let first = NonNull::new((candidate.OPENSSL_sk_value)(ciphers.as_ptr(), 0))?;
                    NonNull::new(digest(first.as_ptr()).cast_mut())
                })
        };
        let Some(digest) = digest else {
            return Some(candidate);
        };
        let digest = digest.as_ptr() as usize;
        let in_use = Image::holding(digest)?;
        if in_use.contains(candidate.CRYPTO_free as *const () as usize) {
            return Some(candidate);
        }
        // SAFETY: this image is the libcrypto that libssl calls.
        let crypto = unsafe { Crypto::load(&|name: &CStr| in_use.symbol(name)) };
        image::clear_dlerror();
        crypto
    }
}

type SslCtrl = unsafe extern "C-unwind" fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
type SslNew = unsafe extern "C-unwind" fn(*mut SSL_CTX) -> *mut SSL;
type CtxCtrl = unsafe extern "C-unwind" fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;

unsafe extern "C-unwind" fn no_ssl_ctrl(
    _: *mut SSL,
    _: c_int,
    _: c_long,
    _: *mut c_void,
) -> c_long {
    0
}

unsafe extern "C-unwind" fn no_ssl_new(_: *mut SSL_CTX) -> *mut SSL {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn no_ctx_ctrl(
    _: *mut SSL_CTX,
    _: c_int,
    _: c_long,
    _: *mut c_void,
) -> c_long {
    0
}

/// An OpenSSL whose libcrypto and ex_data indices are known. Cheap to copy;
/// all that it refers to lives as long as the process.
#[derive(Clone, Copy)]
pub struct Ready {
    /// The libssl.
    pub lib: &'static OpenSsl,
    /// The libcrypto that it is bound to.
    pub crypto: &'static Crypto,
    /// Our ex_data indices in it.
    pub indices: &'static Indices,
}

impl Ready {
    /// Whether this libssl is older than 1.1.0, so that the context's type, its
    /// getters and `SSL_get_tlsext_status_type` must be supplied.
    pub fn before_1_1(&self) -> bool {
        self.lib.ssl.OPENSSL_init_ssl.is_none()
    }

    /// Whether this OpenSSL takes a response for each certificate of a chain (3.6 and later),
    /// as far as its libcrypto tells. An SSL knows it for sure.
    pub fn takes_lists(&self) -> bool {
        self.crypto.X509_STORE_CTX_set_ocsp_resp.is_some()
    }

    /// This library's number for our own reasons, with their strings loaded.
    /// None where an application cannot have reasons of its own.
    pub fn reasons(&self) -> Option<&'static Reasons> {
        let load = || Reasons::load(self.crypto).and_then(try_box).ok_or(());
        self.lib.reasons.get_or_try_init(load).ok()
    }

    /// Queues an error that names a function which this libssl does not have.
    pub fn queue_unsupported(&self) {
        queue_unsupported(self.crypto);
    }
}

/// ERR_LIB_SSL and ERR_R_UNSUPPORTED of 3.0, or ERR_R_DISABLED of older ones.
fn queue_unsupported(crypto: &Crypto) {
    const ERR_LIB_SSL: c_int = 20;
    // SAFETY: these functions take any numbers. ERR_set_error is variadic in C;
    // with a NULL format it reads no further argument, and on Linux's ABIs such
    // a call looks like any other.
    unsafe {
        if let (Some(new), Some(set)) = (crypto.ERR_new, crypto.ERR_set_error) {
            new();
            set(ERR_LIB_SSL, 0x8010c, ptr::null());
        } else if let Some(put) = crypto.ERR_put_error {
            put(ERR_LIB_SSL, 0, 5 | 64, c"staplegun".as_ptr(), 0);
        }
    }
}
