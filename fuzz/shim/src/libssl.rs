//! The machine's libssl, opened so that nothing of it is bound to the library under
//! test: what a program would call past us.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::sync::LazyLock;

use openssl_sys::{SSL, SSL_CTX, SSL_METHOD, X509};

/// A BIO, an EVP_PKEY: only ever pointed to.
pub type Opaque = c_void;

/// Declares the functions, and how to find each by its name.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        /// The functions that the targets call.
        #[allow(non_snake_case, missing_docs)]
        pub struct Libssl {
            $(pub $name: unsafe extern "C-unwind" fn($($argument),*) $(-> $answer)?,)*
        }

        impl Libssl {
            /// # Safety
            /// `handle` must be one of dlopen, of a libssl.
            unsafe fn load(handle: *mut c_void) -> Self {
                Self {
                    $($name: {
                        const NAME: &CStr = match CStr::from_bytes_with_nul(
                            concat!(stringify!($name), "\0").as_bytes(),
                        ) {
                            Ok(name) => name,
                            Err(_) => unreachable!(),
                        };
                        // SAFETY: the caller vouches for the handle.
                        let found = unsafe { libc::dlsym(handle, NAME.as_ptr()) };
                        assert!(!found.is_null(), "libssl lacks {NAME:?}");
                        // SAFETY: OpenSSL's headers declare the function so.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($argument),*) $(-> $answer)?>(found) }
                    },)*
                }
            }
        }
    };
}

functions! {
    TLS_server_method: fn() -> *const SSL_METHOD;
    TLS_client_method: fn() -> *const SSL_METHOD;
    SSL_CTX_new: fn(*const SSL_METHOD) -> *mut SSL_CTX;
    SSL_CTX_free: fn(*mut SSL_CTX);
    SSL_CTX_ctrl: fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;
    SSL_CTX_use_PrivateKey: fn(*mut SSL_CTX, *mut Opaque) -> c_int;
    SSL_new: fn(*mut SSL_CTX) -> *mut SSL;
    SSL_dup: fn(*mut SSL) -> *mut SSL;
    SSL_free: fn(*mut SSL);
    SSL_ctrl: fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
    SSL_set_accept_state: fn(*mut SSL);
    SSL_set_connect_state: fn(*mut SSL);
    SSL_set_bio: fn(*mut SSL, *mut Opaque, *mut Opaque);
    SSL_do_handshake: fn(*mut SSL) -> c_int;
    BIO_new_bio_pair: fn(*mut *mut Opaque, usize, *mut *mut Opaque, usize) -> c_int;
    BIO_new_mem_buf: fn(*const c_void, c_int) -> *mut Opaque;
    BIO_free: fn(*mut Opaque) -> c_int;
    PEM_read_bio_PrivateKey: fn(*mut Opaque, *mut c_void, *mut c_void, *mut c_void) -> *mut Opaque;
    EVP_PKEY_free: fn(*mut Opaque);
    d2i_X509: fn(*mut *mut X509, *mut *const u8, c_long) -> *mut X509;
    X509_free: fn(*mut X509);
    CRYPTO_malloc: fn(usize, *const c_char, c_int) -> *mut c_void;
    CRYPTO_free: fn(*mut c_void, *const c_char, c_int);
    ERR_clear_error: fn();
}

/// The one of the process.
pub static LIBSSL: LazyLock<Libssl> = LazyLock::new(|| {
    // SAFETY: libssl's constructors may run at any time.
    let handle = unsafe { libc::dlopen(c"libssl.so.3".as_ptr(), libc::RTLD_NOW) };
    assert!(
        !handle.is_null(),
        "there is no libssl.so.3: install libssl3"
    );
    // SAFETY: the handle was just opened, and is never closed.
    unsafe { Libssl::load(handle) }
});

impl Libssl {
    /// A block of OPENSSL_malloc that holds `bytes`; not NULL, if they are empty either.
    pub fn block(&self, bytes: &[u8]) -> *mut u8 {
        // SAFETY: the file name may be NULL; the block is as long as what is copied.
        unsafe {
            let block = (self.CRYPTO_malloc)(bytes.len().max(1), std::ptr::null(), 0);
            assert!(!block.is_null(), "there is memory");
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.cast(), bytes.len());
            block.cast()
        }
    }

    /// Frees such a block.
    ///
    /// # Safety
    /// The block must be the caller's.
    pub unsafe fn free(&self, block: *mut u8) {
        // SAFETY: the caller vouches for the block; the file name may be NULL.
        unsafe { (self.CRYPTO_free)(block.cast(), std::ptr::null(), 0) };
    }

    /// A certificate; the caller owns it.
    pub fn certificate(&self, der: &[u8]) -> *mut X509 {
        let mut at = der.as_ptr();
        let length = c_long::try_from(der.len()).expect("certificates are short");
        // SAFETY: `at` points to as many bytes.
        let read = unsafe { (self.d2i_X509)(std::ptr::null_mut(), &raw mut at, length) };
        assert!(!read.is_null(), "libcrypto reads what was minted");
        read
    }

    /// Gives a context a private key in PEM.
    ///
    /// # Safety
    /// `ctx` must be valid, and its certificate the key's.
    pub unsafe fn use_key(&self, ctx: *mut SSL_CTX, pem: &str) {
        let length = c_int::try_from(pem.len()).expect("keys are short");
        let null = std::ptr::null_mut();
        // SAFETY: the BIO reads from `pem`, which outlives it; the rest may be NULL.
        unsafe {
            let bio = (self.BIO_new_mem_buf)(pem.as_ptr().cast(), length);
            let key = (self.PEM_read_bio_PrivateKey)(bio, null, null, null);
            assert_eq!((self.SSL_CTX_use_PrivateKey)(ctx, key), 1);
            (self.EVP_PKEY_free)(key);
            (self.BIO_free)(bio);
        }
    }
}
