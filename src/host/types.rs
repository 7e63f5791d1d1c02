//! The names that every libssl shares: opaque types, command numbers, answers.
//!
//! openssl-sys gives the types and those numbers that it knows. It is used for
//! nothing else: none of its functions may be called, since `SSL_ctrl` and its
//! kin would bind to *our* exports.

use std::ffi::{c_int, c_void};
use std::ptr;

pub use openssl_sys::{SSL, SSL_CTX, SSL_METHOD, SSL_SESSION, X509};
pub use openssl_sys::{
    SSL_CTRL_CHAIN_CERT as CHAIN_CERT, SSL_CTRL_EXTRA_CHAIN_CERT as EXTRA_CHAIN_CERT,
    SSL_CTRL_GET_EXTRA_CHAIN_CERTS as GET_EXTRA_CHAIN_CERTS,
    SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP as GET_OCSP_RESP,
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB as SET_CB, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG as SET_ARG,
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP as SET_OCSP_RESP,
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE as SET_TYPE, SSL_TLSEXT_ERR_NOACK, SSL_TLSEXT_ERR_OK,
    TLSEXT_STATUSTYPE_ocsp,
};

/// Declares types of OpenSSL that are only ever pointed to.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[allow(non_camel_case_types)]
            pub struct $name {
                _never_made: [u8; 0],
            }
        )*
    };
}

opaque! {
    /// STACK_OF(X509_EXTENSION).
    stack_st_X509_EXTENSION;
    /// STACK_OF(OCSP_RESPID).
    stack_st_OCSP_RESPID;
    /// STACK_OF(OCSP_RESPONSE).
    stack_st_OCSP_RESPONSE;
}

/// SSL_CTRL_MODE: adds modes, and returns them all.
pub const MODE: c_int = 33;
/// SSL_CTRL_BUILD_CERT_CHAIN: the chain of the current certificate is made.
pub const BUILD_CERT_CHAIN: c_int = 105;
/// SSL_CTRL_SET_CHAIN_CERT_STORE: where chains are completed from.
pub const SET_CHAIN_CERT_STORE: c_int = 107;
/// SSL_CTRL_GET_SESSION_REUSED: what `SSL_session_reused` is on 1.0.2.
pub const GET_SESSION_REUSED: c_int = 8;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_EXTS.
pub const GET_EXTS: c_int = 66;
/// SSL_CTRL_SET_TLSEXT_STATUS_REQ_EXTS.
pub const SET_EXTS: c_int = 67;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_IDS.
pub const GET_IDS: c_int = 68;
/// SSL_CTRL_SET_TLSEXT_STATUS_REQ_IDS.
pub const SET_IDS: c_int = 69;
/// SSL_CTRL_CHAIN: the whole chain of the current certificate is set.
pub const CHAIN: c_int = 88;
/// SSL_CTRL_GET_CHAIN_CERTS: the chain of the current certificate.
pub const GET_CHAIN_CERTS: c_int = 115;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE, 1.1.0 and later.
pub const GET_TYPE: c_int = 127;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB, 1.1.0 and later.
pub const GET_CB: c_int = 128;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB_ARG, 1.1.0 and later.
pub const GET_ARG: c_int = 129;
/// SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP_EX, 3.6 and later.
pub const GET_OCSP_RESP_EX: c_int = 142;
/// SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP_EX, 3.6 and later.
pub const SET_OCSP_RESP_EX: c_int = 143;

/// The status type of a context or SSL that asks for nothing.
pub const STATUS_TYPE_OFF: c_int = -1;

/// A status callback, the program's or ours. It may unwind: programs throw C++
/// exceptions and cancel threads through OpenSSL's frames.
pub type StatusCallback = unsafe extern "C-unwind" fn(*mut SSL, *mut c_void) -> c_int;

/// A callback as a pointer to nothing in particular, as it is stored and passed on.
pub fn stored(callback: Option<StatusCallback>) -> *mut c_void {
    callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void)
}

/// A callback from such a pointer.
pub fn from_stored(stored: *mut c_void) -> Option<StatusCallback> {
    // SAFETY: only callbacks, and NULL, are stored and passed so; a function pointer in
    // an Option has NULL as its None.
    unsafe { std::mem::transmute::<*mut c_void, Option<StatusCallback>>(stored) }
}

/// A function pointer of no particular type, as `SSL_CTX_callback_ctrl` takes it.
pub type AnyFunction = unsafe extern "C-unwind" fn();
