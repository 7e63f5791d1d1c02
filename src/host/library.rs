//! One loaded libssl with its libcrypto: typed tables of their functions.

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr::{self, NonNull};

use once_cell::race::OnceBox;

use super::ex_data::Indices;
use super::functions::function_table;
use super::image::{self, Image};
use super::reasons::Reasons;
use super::types::{AnyFunction, SSL, SSL_CTX, SSL_METHOD, SSL_SESSION, StatusCallback, X509};

function_table! {
    /// The real functions behind the names that we interpose. A libssl that
    /// lacks one leaves its place empty.
    pub struct Entries {
        required {
            SSL_CTX_new: fn(*const SSL_METHOD) -> *mut SSL_CTX;
        }
        optional {
            SSL_CTX_new_ex: fn(*mut c_void, *const c_char, *const SSL_METHOD) -> *mut SSL_CTX;
            SSL_ctrl: fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_ctrl: fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_callback_ctrl: fn(*mut SSL_CTX, c_int, Option<AnyFunction>) -> c_long;
            SSL_set_session: fn(*mut SSL, *mut SSL_SESSION) -> c_int;
            SSL_CTX_use_certificate: fn(*mut SSL_CTX, *mut X509) -> c_int;
            SSL_CTX_use_certificate_ASN1: fn(*mut SSL_CTX, c_int, *const c_uchar) -> c_int;
            SSL_CTX_use_certificate_file: fn(*mut SSL_CTX, *const c_char, c_int) -> c_int;
            SSL_CTX_use_certificate_chain_file: fn(*mut SSL_CTX, *const c_char) -> c_int;
            SSL_CTX_use_cert_and_key:
                fn(*mut SSL_CTX, *mut X509, *mut c_void, *mut c_void, c_int) -> c_int;
            SSL_use_certificate: fn(*mut SSL, *mut X509) -> c_int;
            SSL_use_certificate_ASN1: fn(*mut SSL, *const c_uchar, c_int) -> c_int;
            SSL_use_certificate_file: fn(*mut SSL, *const c_char, c_int) -> c_int;
            SSL_use_certificate_chain_file: fn(*mut SSL, *const c_char) -> c_int;
            SSL_use_cert_and_key: fn(*mut SSL, *mut X509, *mut c_void, *mut c_void, c_int) -> c_int;
        }
    }
}

function_table! {
    /// The family as real functions, where a libssl that is not OpenSSL has
    /// them (BoringSSL, AWS-LC). There our exports only hand on.
    pub struct NativeFamily {
        required {}
        optional {
            SSL_CTX_set_tlsext_status_cb: fn(*mut SSL_CTX, Option<StatusCallback>) -> c_int;
            SSL_CTX_get_tlsext_status_cb: fn(*mut SSL_CTX, *mut Option<StatusCallback>) -> c_int;
            SSL_CTX_set_tlsext_status_arg: fn(*mut SSL_CTX, *mut c_void) -> c_int;
            SSL_CTX_get_tlsext_status_arg: fn(*mut SSL_CTX, *mut *mut c_void) -> c_int;
            SSL_set_tlsext_status_type: fn(*mut SSL, c_int) -> c_int;
            SSL_get_tlsext_status_type: fn(*const SSL) -> c_int;
            SSL_get_tlsext_status_ocsp_resp: fn(*const SSL, *mut *const c_uchar) -> usize;
            SSL_set_tlsext_status_ocsp_resp: fn(*mut SSL, *mut c_uchar, usize) -> c_int;
        }
    }
}

function_table! {
    /// What the shim itself needs of an OpenSSL's libssl.
    pub struct SslFunctions {
        required {
            SSL_ctrl: fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_ctrl: fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_callback_ctrl: fn(*mut SSL_CTX, c_int, Option<AnyFunction>) -> c_long;
            SSL_get_SSL_CTX: fn(*const SSL) -> *mut SSL_CTX;
            SSL_is_server: fn(*const SSL) -> c_int;
            SSL_get_certificate: fn(*const SSL) -> *mut X509;
            SSL_get_ex_data: fn(*const SSL, c_int) -> *mut c_void;
            SSL_set_ex_data: fn(*mut SSL, c_int, *mut c_void) -> c_int;
            SSL_CTX_get_ex_data: fn(*const SSL_CTX, c_int) -> *mut c_void;
            SSL_CTX_set_ex_data: fn(*mut SSL_CTX, c_int, *mut c_void) -> c_int;
            SSL_get_session: fn(*const SSL) -> *mut SSL_SESSION;
            SSL_SESSION_get_ex_data: fn(*const SSL_SESSION, c_int) -> *mut c_void;
            SSL_SESSION_set_ex_data: fn(*mut SSL_SESSION, c_int, *mut c_void) -> c_int;
            SSL_get_verify_result: fn(*const SSL) -> c_long;
            SSL_get_peer_cert_chain: fn(*const SSL) -> *mut c_void;
            SSL_get_servername: fn(*const SSL, c_int) -> *const c_char;
            SSL_CTX_get0_certificate: fn(*const SSL_CTX) -> *mut X509;
            SSL_CTX_get_cert_store: fn(*const SSL_CTX) -> *mut c_void;
        }
        optional {
            OPENSSL_init_ssl: fn(u64, *const c_void) -> c_int;
            TLS_client_method or SSLv23_client_method: fn() -> *const SSL_METHOD;
            DTLS_client_method: fn() -> *const SSL_METHOD;
            SSL_session_reused: fn(*const SSL) -> c_int;
            SSL_CTX_get_ciphers: fn(*const SSL_CTX) -> *mut c_void;
            SSL_CIPHER_get_handshake_digest: fn(*const c_void) -> *const c_void;
            SSL_get0_verified_chain: fn(*const SSL) -> *mut c_void;
            SSL_SESSION_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExFree) -> c_int;
            SSL_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExFree) -> c_int;
            SSL_CTX_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExFree) -> c_int;
        }
    }
}

/// `CRYPTO_EX_new`.
pub type ExNew = Option<
    unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void, c_int, c_long, *mut c_void),
>;
/// `CRYPTO_EX_dup`; 3.0 and later return a truth value and read it, older ones too.
pub type ExDup = Option<
    unsafe extern "C-unwind" fn(
        *mut c_void,
        *const c_void,
        *mut *mut c_void,
        c_int,
        c_long,
        *mut c_void,
    ) -> c_int,
>;
/// `CRYPTO_EX_free`.
pub type ExFree = ExNew;

/// `ERR_STRING_DATA`.
#[repr(C)]
pub struct ErrorString {
    /// The packed error code, to which ERR_load_strings adds the library.
    pub error: c_ulong,
    /// What it says.
    pub string: *const c_char,
}

/// A password callback for PEM, which for certificates must never prompt.
pub type PemPassword =
    Option<unsafe extern "C-unwind" fn(*mut c_char, c_int, c_int, *mut c_void) -> c_int>;

function_table! {
    /// What the shim needs of the libcrypto that a libssl is bound to.
    /// CRYPTO_malloc and CRYPTO_free take the caller's file and line from 1.1.0
    /// on; older ones ignore the two further arguments.
    pub struct Crypto {
        required {
            CRYPTO_malloc: fn(usize, *const c_char, c_int) -> *mut c_void;
            CRYPTO_free: fn(*mut c_void, *const c_char, c_int);
            CRYPTO_get_ex_data: fn(*const c_void, c_int) -> *mut c_void;
            ERR_clear_error: fn();
            ERR_set_mark: fn() -> c_int;
            ERR_pop_to_mark: fn() -> c_int;
            X509_free: fn(*mut X509);
            X509_chain_up_ref: fn(*mut c_void) -> *mut c_void;
            X509_check_issued: fn(*mut X509, *mut X509) -> c_int;
            X509_get_pubkey: fn(*mut X509) -> *mut c_void;
            X509_verify: fn(*mut X509, *mut c_void) -> c_int;
            X509_digest: fn(*const X509, *const c_void, *mut c_uchar, *mut c_uint) -> c_int;
            EVP_sha256: fn() -> *const c_void;
            EVP_PKEY_free: fn(*mut c_void);
            i2d_X509: fn(*mut X509, *mut *mut c_uchar) -> c_int;
            OPENSSL_sk_num or sk_num: fn(*const c_void) -> c_int;
            OPENSSL_sk_value or sk_value: fn(*const c_void, c_int) -> *mut c_void;
            OPENSSL_sk_new_null or sk_new_null: fn() -> *mut c_void;
            OPENSSL_sk_push or sk_push: fn(*mut c_void, *const c_void) -> c_int;
            OPENSSL_sk_free or sk_free: fn(*mut c_void);
            X509_STORE_new: fn() -> *mut c_void;
            X509_STORE_free: fn(*mut c_void);
            X509_STORE_add_cert: fn(*mut c_void, *mut X509) -> c_int;
            X509_STORE_set_flags: fn(*mut c_void, c_ulong) -> c_int;
            X509_STORE_CTX_new: fn() -> *mut c_void;
            X509_STORE_CTX_free: fn(*mut c_void);
            X509_STORE_CTX_init: fn(*mut c_void, *mut c_void, *mut X509, *mut c_void) -> c_int;
            X509_STORE_CTX_get1_issuer: fn(*mut *mut X509, *mut c_void, *mut X509) -> c_int;
            BIO_new_mem_buf: fn(*const c_void, c_int) -> *mut c_void;
            BIO_free: fn(*mut c_void) -> c_int;
            PEM_read_bio_X509:
                fn(*mut c_void, *mut *mut X509, PemPassword, *mut c_void) -> *mut X509;
        }
        optional {
            X509_up_ref: fn(*mut X509) -> c_int;
            CRYPTO_get_ex_new_index:
                fn(c_int, c_long, *mut c_void, ExNew, ExDup, ExFree) -> c_int;
            ERR_get_next_error_library: fn() -> c_int;
            ERR_load_strings: fn(c_int, *mut ErrorString) -> c_int;
            i2d_OCSP_RESPONSE: fn(*const c_void, *mut *mut c_uchar) -> c_int;
            ERR_new: fn();
            ERR_set_error: fn(c_int, c_int, *const c_char);
            ERR_put_error: fn(c_int, c_int, c_int, *const c_char, c_int);
            d2i_OCSP_RESPONSE: fn(*mut *mut c_void, *mut *const c_uchar, c_long) -> *mut c_void;
            OCSP_RESPONSE_free: fn(*mut c_void);
            OCSP_response_get1_basic: fn(*mut c_void) -> *mut c_void;
            OCSP_BASICRESP_free: fn(*mut c_void);
            OCSP_basic_verify: fn(*mut c_void, *mut c_void, *mut c_void, c_ulong) -> c_int;
        }
    }
}

/// A libssl that is, as far as its functions tell, OpenSSL 1.0.2 or later.
pub struct OpenSsl {
    /// Its own functions.
    pub ssl: SslFunctions,
    crypto: OnceBox<Crypto>,
    indices: OnceBox<Indices>,
    reasons: OnceBox<Reasons>,
}

/// One loaded libssl.
pub struct Library {
    image: Image,
    /// `SSL_ctrl`, or what stands in for it where there is none: the hot path
    /// asks nothing more.
    pub ssl_ctrl: SslCtrl,
    /// `SSL_CTX_ctrl`, likewise.
    pub ctx_ctrl: CtxCtrl,
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
            entries,
            native,
            openssl: openssl.map(|ssl| OpenSsl {
                ssl,
                crypto: OnceBox::new(),
                indices: OnceBox::new(),
                reasons: OnceBox::new(),
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

    /// The OpenSSL behind `ctx`, ready for work: its libcrypto found and the
    /// ex_data indices taken. None for another kind of libssl.
    ///
    /// # Safety
    /// `ctx` must be a valid SSL_CTX of this library.
    pub unsafe fn ready(&'static self, ctx: NonNull<SSL_CTX>) -> Option<Ready> {
        let lib = self.openssl.as_ref()?;
        if let (Some(crypto), Some(indices)) = (lib.crypto.get(), lib.indices.get()) {
            return Some(Ready {
                lib,
                crypto,
                indices,
            });
        }
        // SAFETY: the caller vouches for ctx.
        let find = || unsafe { self.find_crypto(lib, ctx) };
        let crypto = lib
            .crypto
            .get_or_try_init(|| find().map(Box::new).ok_or(()))
            .ok()?;
        let indices = lib
            .indices
            .get_or_try_init(|| {
                Indices::take(self, &lib.ssl, crypto)
                    .map(Box::new)
                    .ok_or(())
            })
            .ok()?;
        Some(Ready {
            lib,
            crypto,
            indices,
        })
    }

    /// What `ready` found before; for callbacks that come without a context.
    pub fn already_ready(&'static self) -> Option<Ready> {
        let lib = self.openssl.as_ref()?;
        Some(Ready {
            lib,
            crypto: lib.crypto.get()?,
            indices: lib.indices.get()?,
        })
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
type CtxCtrl = unsafe extern "C-unwind" fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;

unsafe extern "C-unwind" fn no_ssl_ctrl(
    _: *mut SSL,
    _: c_int,
    _: c_long,
    _: *mut c_void,
) -> c_long {
    0
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

    /// This library's number for our own reasons, with their strings loaded.
    /// None where an application cannot have reasons of its own.
    pub fn reasons(&self) -> Option<&'static Reasons> {
        let load = || Reasons::load(self.crypto).map(Box::new).ok_or(());
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
