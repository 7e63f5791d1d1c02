//! The host's libcrypto verifies an OCSP response.

use std::ffi::{c_long, c_uchar, c_ulong};
use std::ptr::{self, NonNull};

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
    let parse = crypto.d2i_OCSP_RESPONSE?;
    let free_response = crypto.OCSP_RESPONSE_free?;
    let basic_of = crypto.OCSP_response_get1_basic?;
    let free_basic = crypto.OCSP_BASICRESP_free?;
    let verify = crypto.OCSP_basic_verify?;
    let length = c_long::try_from(der.len()).ok()?;
    let mut start: *const c_uchar = der.as_ptr();
    // SAFETY: each object made here is freed here; the stack is freed without
    // its elements; the parser reads no further than `length`; a NULL object is
    // given only to the free functions, which take it.
    unsafe {
        let response = parse(ptr::null_mut(), &raw mut start, length);
        let basic = NonNull::new(response).and_then(|r| NonNull::new(basic_of(r.as_ptr())));
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
        free_response(response);
        Some(verified)
    }
}
