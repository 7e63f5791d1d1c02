//! OCSP responses in the host's libcrypto: it verifies them, and holds those that libssl takes
//! as a list.

use std::ffi::{c_int, c_long, c_uchar, c_ulong, c_void};
use std::ptr::{self, NonNull};

use super::guard;
use super::tables::Crypto;
use super::x509::X509Ref;

/// X509_V_FLAG_PARTIAL_CHAIN: an intermediate may be the anchor.
const PARTIAL_CHAIN: c_ulong = 0x80000;
/// X509_V_FLAG_NO_CHECK_TIME: when certificates end is judged with the response.
/// 1.0.2 does not know it, and looks at its clock.
const NO_CHECK_TIME: c_ulong = 0x20_0000;
/// OCSP_NOINTERN: the signer is not looked for in the response.
const NO_INTERN: c_ulong = 2;

/// Whether `signer`, which is `issuer` or was certified by it for OCSP signing,
/// signed the response `der`. None if this libcrypto has no OCSP.
///
/// `OCSP_basic_verify` wants the responder ID to mean the signer, builds its chain
/// to the issuer, and wants either the issuer itself or the OCSPSigning extended
/// key usage.
pub fn verifies(issuer: X509Ref<'_>, signer: X509Ref<'_>, der: &[u8]) -> Option<bool> {
    let crypto = issuer.crypto();
    crypto.d2i_OCSP_RESPONSE.and(crypto.OCSP_RESPONSE_free)?;
    let basic_of = crypto.OCSP_response_get1_basic?;
    let free_basic = crypto.OCSP_BASICRESP_free?;
    let verify = crypto.OCSP_basic_verify?;
    let Some(response) = Decoded::from_der(crypto, der) else {
        return Some(false);
    };
    // SAFETY: each object made here is freed here; the stack is freed without
    // its elements.
    unsafe {
        let basic = NonNull::new(basic_of(response.ptr.as_ptr()));
        let anchors = (crypto.X509_STORE_new)();
        let signers = (crypto.OPENSSL_sk_new_null)();
        let prepared = !anchors.is_null()
            && !signers.is_null()
            && (crypto.X509_STORE_add_cert)(anchors, issuer.as_ptr()) == 1
            && (crypto.X509_STORE_set_flags)(anchors, PARTIAL_CHAIN | NO_CHECK_TIME) == 1
            && (crypto.OPENSSL_sk_push)(signers, signer.as_ptr().cast()) > 0;
        let verified = prepared
            && basic.is_some_and(|basic| verify(basic.as_ptr(), signers, anchors, NO_INTERN) == 1);
        if !signers.is_null() {
            (crypto.OPENSSL_sk_free)(signers);
        }
        if !anchors.is_null() {
            (crypto.X509_STORE_free)(anchors);
        }
        if let Some(basic) = basic {
            free_basic(basic.as_ptr());
        }
        Some(verified)
    }
}

/// An OCSP_RESPONSE of our own.
pub struct Decoded {
    ptr: NonNull<c_void>,
    free: unsafe extern "C-unwind" fn(*mut c_void),
}

impl Decoded {
    /// Decodes a response. None, mostly with an error queued, if it is none, for want of
    /// memory, or if this libcrypto has no OCSP.
    pub fn from_der(crypto: &'static Crypto, der: &[u8]) -> Option<Decoded> {
        let parse = crypto.d2i_OCSP_RESPONSE?;
        let free = crypto.OCSP_RESPONSE_free?;
        let length = c_long::try_from(der.len()).ok()?;
        let mut start: *const c_uchar = der.as_ptr();
        // SAFETY: the parser reads no further than `length`; what it makes is ours.
        let ptr = unsafe { parse(ptr::null_mut(), &raw mut start, length) };
        NonNull::new(ptr).map(|ptr| Decoded { free, ptr })
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        // SAFETY: it is ours, and of the function's libcrypto.
        unsafe { (self.free)(self.ptr.as_ptr()) };
    }
}

/// A STACK_OF(OCSP_RESPONSE) of our own.
pub struct ResponseList {
    crypto: &'static Crypto,
    ptr: NonNull<c_void>,
}

impl ResponseList {
    /// An empty one with room for so many. None for want of memory, of which no word stays in
    /// the error queue; nor does one where it cannot be appended to.
    pub fn new(crypto: &'static Crypto, room: usize) -> Option<ResponseList> {
        let new = crypto.OPENSSL_sk_new_reserve?;
        // SAFETY: without a function that compares it has no preconditions.
        let ptr = unsafe { new(ptr::null(), c_int::try_from(room).ok()?) };
        if ptr.is_null() {
            guard::forget_errors(crypto);
        }
        NonNull::new(ptr).map(|ptr| ResponseList { crypto, ptr })
    }

    /// Appends a response. False for want of memory.
    pub fn push(&mut self, response: Decoded) -> bool {
        let pushed = self.append(response.ptr.as_ptr());
        if pushed {
            // It is the stack's.
            std::mem::forget(response);
        }
        pushed
    }

    /// Appends so many places without a response. False for want of memory.
    pub fn push_gaps(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.append(ptr::null_mut()))
    }

    fn append(&mut self, element: *mut c_void) -> bool {
        // SAFETY: the stack is ours; it takes any pointer, also NULL.
        let appended = unsafe { (self.crypto.OPENSSL_sk_push)(self.ptr.as_ptr(), element) > 0 };
        if !appended {
            guard::forget_errors(self.crypto);
        }
        appended
    }

    /// Gives the stack away; whoever takes it frees it, and what is in it.
    pub fn into_raw(self) -> *mut c_void {
        let ptr = self.ptr.as_ptr();
        std::mem::forget(self);
        ptr
    }

    /// Takes over a stack.
    ///
    /// # Safety
    /// `ptr` must be a stack of responses of this libcrypto that belongs to the caller.
    pub unsafe fn from_raw(crypto: &'static Crypto, ptr: NonNull<c_void>) -> ResponseList {
        ResponseList { crypto, ptr }
    }
}

impl Drop for ResponseList {
    fn drop(&mut self) {
        let crypto = self.crypto;
        // SAFETY: the stack is ours, and each element a response of ours or NULL, which the
        // function takes.
        unsafe {
            for at in 0..(crypto.OPENSSL_sk_num)(self.ptr.as_ptr()) {
                let response = (crypto.OPENSSL_sk_value)(self.ptr.as_ptr(), at);
                if let Some(free) = crypto.OCSP_RESPONSE_free {
                    free(response);
                }
            }
            (crypto.OPENSSL_sk_free)(self.ptr.as_ptr());
        }
    }
}
