//! The status_request family as real functions, for callers that look them up
//! by name and for programs that link this library. The contract is that of the
//! manual page SSL_CTX_set_tlsext_status_cb, on every libssl.
//!
//! A NULL object or out-pointer gives the documented error. A libssl that has
//! functions of these names itself (BoringSSL, AWS-LC) answers with its own.
//! As in OpenSSL, one thread at a time uses an SSL; an SSL_CTX may be used by
//! several while none changes it.

use std::ffi::{c_char, c_int, c_long, c_uchar, c_void};
use std::ptr;

use crate::host::types::{
    self, SSL, SSL_CTX, stack_st_OCSP_RESPID, stack_st_OCSP_RESPONSE, stack_st_X509_EXTENSION,
};

use super::operation;

/// Sets the callback that a server answers a status_request with, or that a
/// client judges the server's response by. NULL unsets it.
///
/// A server's callback returns SSL_TLSEXT_ERR_OK (0) to have the response sent
/// that was set, SSL_TLSEXT_ERR_NOACK (3) to send none, and
/// SSL_TLSEXT_ERR_ALERT_FATAL (2) to end the handshake. A client's returns a
/// positive number to accept, 0 to refuse, a negative one on error.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_set_tlsext_status_cb(
    ctx: *mut SSL_CTX,
    callback: Option<unsafe extern "C-unwind" fn(ssl: *mut SSL, arg: *mut c_void) -> c_int>,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ctx(ctx, types::SET_CB, 0, types::stored(callback)) }
}

/// Stores the callback of `ctx` in `*callback`: the program's, or NULL.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX, `callback` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_get_tlsext_status_cb(
    ctx: *mut SSL_CTX,
    callback: *mut Option<unsafe extern "C-unwind" fn(ssl: *mut SSL, arg: *mut c_void) -> c_int>,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ctx(ctx, types::GET_CB, 0, callback.cast()) }
}

/// Sets the argument that the callback of `ctx` is called with.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_set_tlsext_status_arg(
    ctx: *mut SSL_CTX,
    arg: *mut c_void,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ctx(ctx, types::SET_ARG, 0, arg) }
}

/// Stores the callback's argument in `*arg`.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX, `arg` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_get_tlsext_status_arg(
    ctx: *mut SSL_CTX,
    arg: *mut *mut c_void,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ctx(ctx, types::GET_ARG, 0, arg.cast()) }
}

/// Sets the status type that new SSLs of `ctx` start with: TLSEXT_STATUSTYPE_ocsp
/// (1) to ask for a response, or -1 for none. Another type is refused and
/// changes nothing.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_set_tlsext_status_type(
    ctx: *mut SSL_CTX,
    status_type: c_int,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe {
        on_ctx(
            ctx,
            types::SET_TYPE,
            c_long::from(status_type),
            ptr::null_mut(),
        )
    }
}

/// Returns the status type that new SSLs of `ctx` start with: 1, or -1 for none
/// and on error.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_get_tlsext_status_type(ctx: *mut SSL_CTX) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ctx(ctx, types::GET_TYPE, 0, ptr::null_mut()) }
}

/// Has a client ask for a response, with TLSEXT_STATUSTYPE_ocsp (1), or not ask,
/// with -1. To be called before the handshake. Another type is refused and
/// changes nothing.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set_tlsext_status_type(
    ssl: *mut SSL,
    status_type: c_int,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe {
        on_ssl(
            ssl,
            types::SET_TYPE,
            c_long::from(status_type),
            ptr::null_mut(),
        )
    }
}

/// Returns the status type of `ssl`: 1, or -1 for none and on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_get_tlsext_status_type(ssl: *mut SSL) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::GET_TYPE, 0, ptr::null_mut()) }
}

/// Sets the extensions of a client's status_request. The stack passes to `ssl`; one
/// set before is not freed.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set_tlsext_status_exts(
    ssl: *mut SSL,
    exts: *mut stack_st_X509_EXTENSION,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::SET_EXTS, 0, exts.cast()) }
}

/// Stores the extensions of the status_request in `*exts`: a client's own, or
/// those that a server received. They stay with `ssl`.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL, `exts` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_get_tlsext_status_exts(
    ssl: *mut SSL,
    exts: *mut *mut stack_st_X509_EXTENSION,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::GET_EXTS, 0, exts.cast()) }
}

/// Sets the responders that a client trusts. The stack passes to `ssl`; one set
/// before is not freed.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set_tlsext_status_ids(
    ssl: *mut SSL,
    ids: *mut stack_st_OCSP_RESPID,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::SET_IDS, 0, ids.cast()) }
}

/// Stores the responders that the client trusts in `*ids`: a client's own, or
/// those that a server received. They stay with `ssl`.
///
/// Returns 1, or 0 on error.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL, `ids` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_get_tlsext_status_ids(
    ssl: *mut SSL,
    ids: *mut *mut stack_st_OCSP_RESPID,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::GET_IDS, 0, ids.cast()) }
}

/// Sets the response (DER) that a server sends, which must come from
/// OPENSSL_malloc and then belongs to `ssl`. (NULL, 0) clears; so does a block of
/// no length, which is freed. A negative length, or NULL with a length, is refused
/// and changes nothing.
///
/// Returns 1, or 0 on error, and then `resp` stays the caller's.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL; `resp` must be NULL or such a block of `len`
/// bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set_tlsext_status_ocsp_resp(
    ssl: *mut SSL,
    resp: *mut c_uchar,
    len: c_int,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::SET_OCSP_RESP, c_long::from(len), resp.cast()) }
}

/// Stores the response (DER) in `*resp`: what a client received, or what was set
/// on a server. It stays with `ssl`, at the same address until the next response
/// is set or received or `ssl` is freed.
///
/// Returns its length in bytes, or -1, with NULL in `*resp`, if there is none.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL, `resp` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_get_tlsext_status_ocsp_resp(
    ssl: *mut SSL,
    resp: *mut *mut c_uchar,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::GET_OCSP_RESP, 0, resp.cast()) }
}

/// Sets the responses for the whole chain, which a TLS 1.3 server sends. The stack
/// and its elements pass to `ssl`. Needs OpenSSL 3.6.
///
/// Returns 1, or 0 on error and where libssl has no such function.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL; `resp` must be NULL or a stack of its
/// libcrypto.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set0_tlsext_status_ocsp_resp_ex(
    ssl: *mut SSL,
    resp: *mut stack_st_OCSP_RESPONSE,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::SET_OCSP_RESP_EX, 0, resp.cast()) }
}

/// Stores the responses for the whole chain in `*resp`. They stay with `ssl`.
/// Needs OpenSSL 3.6.
///
/// Returns how many there are, or -1, with NULL in `*resp`, if there are none or
/// libssl has no such function.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL, `resp` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_get0_tlsext_status_ocsp_resp_ex(
    ssl: *mut SSL,
    resp: *mut *mut stack_st_OCSP_RESPONSE,
) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { on_ssl(ssl, types::GET_OCSP_RESP_EX, 0, resp.cast()) }
}

/// # Safety
/// As for `operation::on_ssl`.
unsafe fn on_ssl(ssl: *mut SSL, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { operation::on_ssl(ssl, command, larg, parg) }.unwrap_or(0)
}

/// # Safety
/// As for `operation::on_ctx`.
unsafe fn on_ctx(ctx: *mut SSL_CTX, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
    // SAFETY: the program's own arguments.
    unsafe { operation::on_ctx(ctx, command, larg, parg) }.unwrap_or(0)
}

/// Returns the version of this library, as in "0.2.0". It is a constant.
#[unsafe(no_mangle)]
pub extern "C" fn staplegun_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
