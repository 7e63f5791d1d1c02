//! What every entry does first and last: find the real library, do our part
//! behind the guard, and where our part cannot be done let the real function
//! answer.

use std::ffi::{CStr, c_int, c_long, c_uchar, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::config;
use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::library::{Library, Ready};
use crate::host::route;
use crate::host::ssl::Ssl;
use crate::host::types::{self, SSL, SSL_CTX, StatusCallback};
use crate::status::api;

/// The library that made `ssl`, else the one that `entry` would reach without us.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL.
pub unsafe fn library_of_ssl(ssl: *const SSL, entry: &CStr) -> Option<&'static Library> {
    // SAFETY: the caller vouches for ssl.
    unsafe { route::of_ssl(ssl) }.or_else(|| route::without_object(entry))
}

/// The library that made `ctx`, else the one that `entry` would reach without us.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX.
pub unsafe fn library_of_ctx(ctx: *const SSL_CTX, entry: &CStr) -> Option<&'static Library> {
    // SAFETY: the caller vouches for ctx.
    unsafe { route::of_ctx(ctx) }.or_else(|| route::without_object(entry))
}

/// A handle on `ssl`, unless the shim is disabled or cannot work on its library.
///
/// # Safety
/// `ssl` must be NULL or a valid SSL for as long as the handle is used.
pub unsafe fn ssl_handle(ssl: *mut SSL) -> Option<Ssl> {
    if config::get().disabled {
        return None;
    }
    let ssl = NonNull::new(ssl)?;
    // SAFETY: the caller vouches for ssl.
    unsafe { Ssl::from_raw(route::of_ssl(ssl.as_ptr())?, ssl) }
}

/// A handle on `ctx`, unless the shim is disabled or cannot work on its library.
///
/// # Safety
/// `ctx` must be NULL or a valid SSL_CTX for as long as the handle is used.
pub unsafe fn ctx_handle(ctx: *mut SSL_CTX) -> Option<SslCtx> {
    if config::get().disabled {
        return None;
    }
    let ctx = NonNull::new(ctx)?;
    // SAFETY: the caller vouches for ctx.
    unsafe { SslCtx::from_raw(route::of_ctx(ctx.as_ptr())?, ctx) }
}

/// Our part of an operation. None if it could not be done, after a panic or for
/// want of memory: then the real function is called, as without us.
#[cfg_attr(feature = "faults", track_caller)]
fn ours<R>(host: Ready, part: impl FnOnce() -> Option<R>) -> Option<R> {
    guard::quietly(host.crypto, None, part)
}

/// The answer of a function that this libssl does not have: 0, with an error queued.
pub fn absent(library: &'static Library) -> c_int {
    if let Some(host) = library.already_ready() {
        host.queue_unsupported();
    }
    0
}

/// What a command of the family answers when it fails.
pub fn failure(command: c_int) -> c_long {
    match command {
        types::GET_OCSP_RESP | types::GET_OCSP_RESP_EX | types::GET_TYPE => -1,
        _ => 0,
    }
}

/// Whether a command of the family writes through its pointer argument.
fn writes(command: c_int) -> bool {
    matches!(
        command,
        types::GET_EXTS
            | types::GET_IDS
            | types::GET_OCSP_RESP
            | types::GET_OCSP_RESP_EX
            | types::GET_CB
            | types::GET_ARG
    )
}

/// Whether `SSL_ctrl` with this command belongs to the family.
pub const fn is_ssl_command(command: c_int) -> bool {
    matches!(
        command,
        types::SET_TYPE
            | types::GET_EXTS
            | types::SET_EXTS
            | types::GET_IDS
            | types::SET_IDS
            | types::GET_OCSP_RESP
            | types::SET_OCSP_RESP
            | types::GET_TYPE
            | types::GET_OCSP_RESP_EX
            | types::SET_OCSP_RESP_EX
    )
}

/// Whether `SSL_CTX_ctrl` with this command belongs to the family.
pub const fn is_ctx_command(command: c_int) -> bool {
    matches!(
        command,
        types::SET_ARG | types::SET_TYPE | types::GET_TYPE | types::GET_CB | types::GET_ARG
    )
}

/// The family on an SSL, by command.
///
/// # Safety
/// As for `SSL_ctrl`; `ssl` and `parg` may be NULL.
pub unsafe fn family_of_ssl(
    ssl: *mut SSL,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    // SAFETY: the caller vouches for ssl and for what parg points to.
    unsafe {
        let Some(handle) = ssl_handle(ssl) else {
            return ssl_command_without_us(ssl, command, larg, parg);
        };
        if writes(command) && parg.is_null() {
            return failure(command);
        }
        let host = handle.host();
        let real = || handle.ctrl(command, larg, parg);
        match command {
            types::SET_TYPE => {
                let Some(status_type) = as_int(larg) else {
                    return 0;
                };
                match ours(host, || api::set_type(&handle, status_type)) {
                    Some(done) => c_long::from(done),
                    None => {
                        let done = real();
                        past_us(&handle, || api::type_went_past_us(&handle, status_type));
                        done
                    }
                }
            }
            types::GET_TYPE => c_long::from(api::status_type(&handle)),
            types::SET_OCSP_RESP => {
                let Some(given) = given_response(handle, larg, parg.cast()) else {
                    return 0;
                };
                // What is not taken stays the program's, whatever happens.
                let mut given = ManuallyDrop::new(given);
                match ours(host, || api::set_response(&handle, &mut given)) {
                    Some(done) => c_long::from(done),
                    None => {
                        let done = real();
                        past_us(&handle, || api::response_went_past_us(&handle));
                        done
                    }
                }
            }
            types::GET_OCSP_RESP => {
                let lent = ours(host, || api::response(&handle));
                let lent = lent.unwrap_or_else(|| api::response_without_record(&handle));
                let (start, length) = lent.unwrap_or((ptr::null_mut(), 0));
                *parg.cast::<*mut c_uchar>() = start;
                if start.is_null() {
                    -1
                } else {
                    length as c_long
                }
            }
            types::GET_OCSP_RESP_EX => {
                *parg.cast::<*mut c_void>() = ptr::null_mut();
                let visible =
                    guard::quietly(host.crypto, true, || api::list_is_the_programs(&handle));
                let supported = visible && handle.response_count().is_some();
                if !supported {
                    return -1;
                }
                match real() {
                    count if count > 0 => count,
                    _ => {
                        *parg.cast::<*mut c_void>() = ptr::null_mut();
                        -1
                    }
                }
            }
            types::SET_OCSP_RESP_EX => {
                let done = real();
                if done == 1 && ours(host, || api::list_was_set(&handle)).is_none() {
                    past_us(&handle, || api::response_went_past_us(&handle));
                }
                done
            }
            // The setters and getters of ids and exts: libssl's own.
            _ => real(),
        }
    }
}

/// The family on an SSL_CTX, by command.
///
/// # Safety
/// As for `SSL_CTX_ctrl`; `ctx` and `parg` may be NULL.
pub unsafe fn family_of_ctx(
    ctx: *mut SSL_CTX,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    // SAFETY: the caller vouches for ctx and for what parg points to.
    unsafe {
        let Some(handle) = ctx_handle(ctx) else {
            return ctx_command_without_us(ctx, command, larg, parg);
        };
        if writes(command) && parg.is_null() {
            return failure(command);
        }
        let host = handle.host();
        let real = || handle.ctrl(command, larg, parg);
        match command {
            types::SET_TYPE => {
                let Some(status_type) = as_int(larg) else {
                    return 0;
                };
                match ours(host, || api::set_context_type(&handle, status_type)) {
                    Some(done) => c_long::from(done),
                    None => {
                        let done = real();
                        if done == 1 {
                            api::context_type_went_past_us(&handle, status_type);
                        }
                        done
                    }
                }
            }
            types::GET_TYPE => c_long::from(api::context_type(&handle)),
            types::GET_CB => {
                let known = ours(host, || api::callback(&handle));
                known
                    .or_else(|| api::callback_without_record(&handle))
                    .map_or(0, |callback| {
                        *parg.cast::<Option<StatusCallback>>() = callback;
                        1
                    })
            }
            types::SET_ARG => {
                let done = real();
                if done == 1 {
                    guard::quietly(host.crypto, (), || api::argument_was_set(&handle, parg));
                }
                done
            }
            types::GET_ARG if host.before_1_1() => {
                let remembered = ours(host, || Some(api::remembered_argument(&handle)));
                remembered.map_or_else(real, |argument| {
                    *parg.cast::<*mut c_void>() = argument;
                    1
                })
            }
            _ => real(),
        }
    }
}

/// `SSL_CTX_set_tlsext_status_cb`.
///
/// # Safety
/// `ctx` must be NULL or valid.
pub unsafe fn set_callback(ctx: *mut SSL_CTX, callback: Option<StatusCallback>) -> c_long {
    // SAFETY: the caller vouches for ctx; without us the real function stores
    // the callback as the pointer that it is declared to take.
    unsafe {
        let done = ctx_handle(ctx).and_then(|handle| {
            ours(handle.host(), || api::set_callback(&handle, callback))
                .or_else(|| api::set_callback_without_record(&handle, callback))
        });
        if let Some(done) = done {
            return c_long::from(done);
        }
        let library = (!ctx.is_null()).then(|| library_of_ctx(ctx, c"SSL_CTX_callback_ctrl"));
        match library
            .flatten()
            .and_then(|library| library.entries.SSL_CTX_callback_ctrl)
        {
            Some(real) => {
                let callback = std::mem::transmute::<
                    Option<StatusCallback>,
                    Option<types::AnyFunction>,
                >(callback);
                real(ctx, types::SET_CB, callback)
            }
            None => 0,
        }
    }
}

/// Notes that libssl took something of the program's which has no record.
#[cfg_attr(feature = "faults", track_caller)]
fn past_us(ssl: &Ssl, note: impl FnOnce()) {
    guard::quietly(ssl.host().crypto, (), note);
}

unsafe fn ssl_command_without_us(
    ssl: *mut SSL,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    if ssl.is_null() {
        clear_response_pointer(command, parg);
        return failure(command);
    }
    // SAFETY: the caller vouches for ssl and parg, as for the real function.
    unsafe {
        let library = library_of_ssl(ssl, c"SSL_ctrl");
        match library.and_then(|library| library.entries.SSL_ctrl) {
            Some(real) => real(ssl, command, larg, parg),
            None => failure(command),
        }
    }
}

unsafe fn ctx_command_without_us(
    ctx: *mut SSL_CTX,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    if ctx.is_null() {
        return failure(command);
    }
    // SAFETY: the caller vouches for ctx and parg, as for the real function.
    unsafe {
        let library = library_of_ctx(ctx, c"SSL_CTX_ctrl");
        match library.and_then(|library| library.entries.SSL_CTX_ctrl) {
            Some(real) => real(ctx, command, larg, parg),
            None => failure(command),
        }
    }
}

/// A caller that forgets to look at the answer finds no response either.
fn clear_response_pointer(command: c_int, parg: *mut c_void) {
    if matches!(command, types::GET_OCSP_RESP | types::GET_OCSP_RESP_EX) && !parg.is_null() {
        // SAFETY: the getters' argument is a pointer to a pointer.
        unsafe { *parg.cast::<*mut c_void>() = ptr::null_mut() };
    }
}

/// The response that a program hands over. The outer None: it is refused, and
/// stays the program's. The inner one: clear.
///
/// # Safety
/// `start` must be NULL or a block of the library's OPENSSL_malloc with
/// `length` bytes.
unsafe fn given_response(ssl: Ssl, length: c_long, start: *mut c_uchar) -> Option<Option<Buffer>> {
    let length = usize::try_from(as_int(length)?).ok()?;
    match NonNull::new(start) {
        None if length == 0 => Some(None),
        None => None,
        // SAFETY: the caller vouches for start and length.
        Some(start) => unsafe { Some(Some(Buffer::from_raw(ssl.host().crypto, start, length))) },
    }
}

fn as_int(number: c_long) -> Option<c_int> {
    c_int::try_from(number).ok()
}
