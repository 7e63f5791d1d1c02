//! Certificates of the host's libcrypto: borrowed, owned, in stacks and stores.

use std::ffi::{c_int, c_long, c_uchar, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::memory::try_zeroed;
use super::tables::Crypto;
use super::types::X509;

/// A certificate that somebody else keeps alive for `'a`.
#[derive(Clone, Copy)]
pub struct X509Ref<'a> {
    crypto: &'static Crypto,
    ptr: NonNull<X509>,
    owner: PhantomData<&'a ()>,
}

/// A certificate of which we hold a reference. X509 reference counts are
/// atomic, so it may be released by any thread.
pub struct OwnedX509(X509Ref<'static>);

// SAFETY: an X509 is only read here, and its reference count is atomic.
unsafe impl Send for OwnedX509 {}
// SAFETY: as above.
unsafe impl Sync for OwnedX509 {}

impl<'a> X509Ref<'a> {
    /// # Safety
    /// `ptr` must be a valid X509 of `crypto` during `'a`.
    pub unsafe fn new(crypto: &'static Crypto, ptr: NonNull<X509>) -> X509Ref<'a> {
        X509Ref {
            crypto,
            ptr,
            owner: PhantomData,
        }
    }

    /// The libcrypto that it belongs to.
    pub fn crypto(&self) -> &'static Crypto {
        self.crypto
    }

    /// The pointer, for functions of that libcrypto.
    pub fn as_ptr(&self) -> *mut X509 {
        self.ptr.as_ptr()
    }

    /// Takes a reference. None for want of memory.
    pub fn to_owned(self) -> Option<OwnedX509> {
        let owned = |ptr| X509Ref {
            crypto: self.crypto,
            ptr,
            owner: PhantomData,
        };
        if let Some(up_ref) = self.crypto.X509_up_ref {
            // SAFETY: the X509 is valid.
            return (unsafe { up_ref(self.ptr.as_ptr()) } == 1).then(|| OwnedX509(owned(self.ptr)));
        }
        // 1.0.2 takes references of whole stacks only.
        // SAFETY: both stacks are ours and are freed without their elements, so
        // one reference of the X509 remains.
        unsafe {
            let stack = NonNull::new((self.crypto.OPENSSL_sk_new_null)())?;
            let pushed =
                (self.crypto.OPENSSL_sk_push)(stack.as_ptr(), self.ptr.as_ptr().cast()) > 0;
            let copy = if pushed {
                (self.crypto.X509_chain_up_ref)(stack.as_ptr())
            } else {
                ptr::null_mut()
            };
            (self.crypto.OPENSSL_sk_free)(stack.as_ptr());
            (self.crypto.OPENSSL_sk_free)(NonNull::new(copy)?.as_ptr());
        }
        Some(OwnedX509(owned(self.ptr)))
    }

    /// The SHA-256 of its DER encoding.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        let mut length: c_uint = 0;
        // SAFETY: SHA-256 writes 32 bytes; the X509 is valid.
        let done = unsafe {
            (self.crypto.X509_digest)(
                self.ptr.as_ptr(),
                (self.crypto.EVP_sha256)(),
                digest.as_mut_ptr(),
                &raw mut length,
            )
        };
        (done == 1 && length == 32).then_some(digest)
    }

    /// Its DER encoding. None if it is longer than `limit`, or for want of memory.
    pub fn to_der(self, limit: usize) -> Option<Vec<u8>> {
        // SAFETY: with a NULL target the function only tells the length.
        let length = unsafe { (self.crypto.i2d_X509)(self.ptr.as_ptr(), ptr::null_mut()) };
        let length = usize::try_from(length)
            .ok()
            .filter(|&l| l > 0 && l <= limit)?;
        let mut der = try_zeroed(length)?;
        let mut end: *mut c_uchar = der.as_mut_ptr();
        // SAFETY: the target has room for the length just told.
        let written = unsafe { (self.crypto.i2d_X509)(self.ptr.as_ptr(), &raw mut end) };
        (usize::try_from(written) == Ok(length)).then_some(der)
    }

    /// Whether `issuer` issued it: names fit and the signature verifies.
    pub fn is_issued_by(&self, issuer: X509Ref<'_>) -> bool {
        // SAFETY: both are valid; the key is released here. X509_V_OK is 0.
        unsafe {
            if (self.crypto.X509_check_issued)(issuer.as_ptr(), self.as_ptr()) != 0 {
                return false;
            }
            let key = (self.crypto.X509_get_pubkey)(issuer.as_ptr());
            if key.is_null() {
                return false;
            }
            let verified = (self.crypto.X509_verify)(self.as_ptr(), key) == 1;
            (self.crypto.EVP_PKEY_free)(key);
            verified
        }
    }
}

impl OwnedX509 {
    /// Decodes a certificate. None if it is none, or for want of memory.
    pub fn from_der(crypto: &'static Crypto, der: &[u8]) -> Option<OwnedX509> {
        let length = c_long::try_from(der.len()).ok()?;
        let mut start: *const c_uchar = der.as_ptr();
        // SAFETY: the parser reads no further than `length`; what it makes is ours.
        unsafe {
            let x509 = (crypto.d2i_X509)(ptr::null_mut(), &raw mut start, length);
            NonNull::new(x509).map(|x509| OwnedX509::from_raw(crypto, x509))
        }
    }

    /// Takes over a reference that the caller holds.
    ///
    /// # Safety
    /// `ptr` must be a valid X509 of `crypto` of which the caller owns a reference.
    pub unsafe fn from_raw(crypto: &'static Crypto, ptr: NonNull<X509>) -> OwnedX509 {
        OwnedX509(X509Ref {
            crypto,
            ptr,
            owner: PhantomData,
        })
    }

    /// The certificate.
    pub fn as_ref(&self) -> X509Ref<'_> {
        self.0
    }

    /// Gives the reference away.
    pub fn into_raw(self) -> *mut X509 {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }
}

impl Drop for OwnedX509 {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { (self.0.crypto.X509_free)(self.0.ptr.as_ptr()) };
    }
}

/// A STACK_OF(X509) that somebody else keeps alive for `'a`.
#[derive(Clone, Copy)]
pub struct X509Stack<'a> {
    crypto: &'static Crypto,
    ptr: NonNull<c_void>,
    owner: PhantomData<&'a ()>,
}

impl<'a> X509Stack<'a> {
    /// # Safety
    /// `ptr` must be a valid STACK_OF(X509) of `crypto` during `'a`.
    pub unsafe fn new(crypto: &'static Crypto, ptr: NonNull<c_void>) -> X509Stack<'a> {
        X509Stack {
            crypto,
            ptr,
            owner: PhantomData,
        }
    }

    /// Its certificates.
    pub fn iter(&self) -> impl Iterator<Item = X509Ref<'a>> + use<'a> {
        let X509Stack { crypto, ptr, .. } = *self;
        // SAFETY: the stack is valid during 'a.
        let count = unsafe { (crypto.OPENSSL_sk_num)(ptr.as_ptr()) };
        (0..count).filter_map(move |at: c_int| {
            // SAFETY: as above; the stack holds X509s.
            unsafe {
                let x509 = (crypto.OPENSSL_sk_value)(ptr.as_ptr(), at);
                NonNull::new(x509.cast::<X509>()).map(|x509| X509Ref::new(crypto, x509))
            }
        })
    }

    /// Whether this certificate is among them, be it as another X509.
    pub fn holds(&self, certificate: X509Ref<'_>) -> bool {
        let wanted = certificate.sha256();
        self.iter()
            .any(|held| wanted.is_some() && held.sha256() == wanted)
    }
}

/// An X509_STORE that somebody else keeps alive for `'a`.
#[derive(Clone, Copy)]
pub struct X509Store<'a> {
    crypto: &'static Crypto,
    ptr: NonNull<c_void>,
    owner: PhantomData<&'a ()>,
}

impl<'a> X509Store<'a> {
    /// # Safety
    /// `ptr` must be a valid X509_STORE of `crypto` during `'a`.
    pub unsafe fn new(crypto: &'static Crypto, ptr: NonNull<c_void>) -> X509Store<'a> {
        X509Store {
            crypto,
            ptr,
            owner: PhantomData,
        }
    }

    /// The issuer of `leaf` among what the store has in memory: no file is looked at. The
    /// lock is libcrypto's own, which libssl takes when it completes a chain. 1.0.2 does
    /// not let others in.
    pub fn issuer_in_memory(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let crypto = self.crypto;
        let lock = crypto.X509_STORE_lock?;
        let unlock = crypto.X509_STORE_unlock?;
        let objects = crypto.X509_STORE_get0_objects?;
        let x509_of = crypto.X509_OBJECT_get0_X509?;
        // SAFETY: the store is valid; its objects, of which some are no certificates, are
        // only looked at under its lock.
        unsafe {
            if lock(self.ptr.as_ptr()) != 1 {
                return None;
            }
            let objects = objects(self.ptr.as_ptr());
            let issuer = (0..(crypto.OPENSSL_sk_num)(objects)).find_map(|at| {
                let object = NonNull::new((crypto.OPENSSL_sk_value)(objects, at))?;
                let x509 = NonNull::new(x509_of(object.as_ptr()))?;
                let candidate = X509Ref::new(crypto, x509);
                leaf.is_issued_by(candidate)
                    .then(|| candidate.to_owned())
                    .flatten()
            });
            unlock(self.ptr.as_ptr());
            issuer
        }
    }

    /// The issuer of `leaf` as the store finds it, by its files too.
    pub fn issuer_of(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let mut issuer: *mut X509 = ptr::null_mut();
        // SAFETY: the search context is ours and freed here; what it finds it
        // hands over with a reference.
        unsafe {
            let search = NonNull::new((self.crypto.X509_STORE_CTX_new)())?;
            let found = (self.crypto.X509_STORE_CTX_init)(
                search.as_ptr(),
                self.ptr.as_ptr(),
                leaf.as_ptr(),
                ptr::null_mut(),
            ) == 1
                && (self.crypto.X509_STORE_CTX_get1_issuer)(
                    &raw mut issuer,
                    search.as_ptr(),
                    leaf.as_ptr(),
                ) == 1;
            (self.crypto.X509_STORE_CTX_free)(search.as_ptr());
            let issuer = NonNull::new(issuer).filter(|_| found)?;
            Some(OwnedX509::from_raw(self.crypto, issuer))
        }
    }
}

/// The first certificate in PEM text, among `limit` of them, that is `wanted`.
pub fn find_in_pem(
    crypto: &'static Crypto,
    text: &[u8],
    limit: usize,
    wanted: impl Fn(X509Ref<'_>) -> bool,
) -> Option<OwnedX509> {
    let length = c_int::try_from(text.len()).ok()?;
    // SAFETY: the BIO reads `text`, which outlives it, and is freed here. Each
    // X509 read is ours. The password callback gives none, so nothing prompts.
    unsafe {
        let bio = NonNull::new((crypto.BIO_new_mem_buf)(text.as_ptr().cast(), length))?;
        let read = || {
            let none = ptr::null_mut();
            let x509 =
                (crypto.PEM_read_bio_X509)(bio.as_ptr(), none, Some(no_password), ptr::null_mut());
            NonNull::new(x509).map(|x509| OwnedX509::from_raw(crypto, x509))
        };
        let found = std::iter::from_fn(read)
            .take(limit)
            .find(|x509| wanted(x509.as_ref()));
        (crypto.BIO_free)(bio.as_ptr());
        found
    }
}

unsafe extern "C-unwind" fn no_password(
    _buffer: *mut std::ffi::c_char,
    _size: c_int,
    _writing: c_int,
    _arg: *mut c_void,
) -> c_int {
    0
}
