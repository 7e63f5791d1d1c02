//! The status_request family as one table of operations, which both ways in read: the
//! control functions that compiled programs call, and the names.
//!
//! An operation is our part of it, in `status/api.rs`. Where there is none, libssl does it:
//! by its own function of that name if it is none of OpenSSL's, else by its control function.
//! Our part may fail for want of memory, and then the operation does. After a panic libssl
//! does what our part does not have to.

use std::ffi::{c_int, c_long, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::route;
use crate::host::ssl::Ssl;
use crate::host::tables::{Crypto, NativeFamily};
use crate::host::types::{self, AnyFunction, SSL, SSL_CTX};
use crate::status::api;

use super::entry;

/// What our part of an operation comes to.
enum Answer {
    /// The operation's answer.
    Is(c_long),
    /// libssl is to answer.
    Libssls,
}

impl From<bool> for Answer {
    fn from(done: bool) -> Answer {
        Answer::Is(c_long::from(done))
    }
}

/// What the pointer argument is for.
#[derive(PartialEq)]
enum Argument {
    /// It is given, or means nothing.
    Given,
    /// The operation writes through it. NULL is a failure.
    Written,
    /// The same, and where it fails it writes NULL: a caller that forgets to look at the
    /// answer finds no response either.
    Cleared,
}

/// One operation on an object O, of which H is our handle.
struct Operation<O, H> {
    /// Its number for the control function.
    command: c_int,
    /// What it answers when it fails.
    failure: c_long,
    argument: Argument,
    /// Our part. None: what is to be remembered cannot be.
    ours: unsafe fn(&H, c_long, *mut c_void) -> Option<Answer>,
    /// What a libssl that is none of OpenSSL's has under the operation's name.
    native: unsafe fn(&NativeFamily, *mut O, c_long, *mut c_void) -> Option<c_int>,
}

// SAFETY, for all here: the program's own arguments, as the function takes them.
static ON_SSL: [Operation<SSL, Ssl>; 10] = [
    Operation {
        command: types::SET_OCSP_RESP,
        failure: 0,
        argument: Argument::Given,
        ours: set_response,
        native: |own, ssl, larg, parg| {
            let (set, length) = (own.SSL_set_tlsext_status_ocsp_resp?, larg.try_into().ok()?);
            // SAFETY: as above.
            Some(unsafe { set(ssl, parg.cast(), length) })
        },
    },
    Operation {
        command: types::GET_OCSP_RESP,
        failure: -1,
        argument: Argument::Cleared,
        ours: |ssl, _, parg| {
            let (start, length) = match api::response(ssl) {
                Some(lent) => (lent.as_ptr().cast(), lent.len() as c_long),
                None => (ptr::null_mut(), -1),
            };
            // SAFETY: as above.
            Some(unsafe { given(length, start, parg) })
        },
        native: |own, ssl, _, parg| {
            // SAFETY: as above.
            let length = unsafe { own.SSL_get_tlsext_status_ocsp_resp?(ssl, parg.cast()) };
            Some(length.try_into().unwrap_or(c_int::MAX))
        },
    },
    Operation {
        command: types::SET_TYPE,
        failure: 0,
        argument: Argument::Given,
        ours: |ssl, larg, _| api::set_type(ssl, larg).map(Answer::from),
        // SAFETY: as above.
        native: |own, ssl, larg, _| unsafe {
            Some(own.SSL_set_tlsext_status_type?(ssl, larg as c_int))
        },
    },
    Operation {
        command: types::GET_TYPE,
        failure: -1,
        argument: Argument::Given,
        ours: |ssl, _, _| Some(Answer::Is(c_long::from(api::status_type(ssl)))),
        // SAFETY: as above.
        native: |own, ssl, _, _| unsafe { Some(own.SSL_get_tlsext_status_type?(ssl)) },
    },
    Operation {
        command: types::SET_OCSP_RESP_EX,
        failure: 0,
        argument: Argument::Given,
        ours: |ssl, _, parg| {
            if ssl.response_count().is_none() {
                return Some(Answer::Libssls);
            }
            // SAFETY: the program gives a stack of this libcrypto, or NULL.
            let length = unsafe { (ssl.host().crypto.OPENSSL_sk_num)(parg) };
            api::set_list(ssl, length <= 0).map(|()| Answer::Libssls)
        },
        native: |_, _, _, _| None,
    },
    Operation {
        command: types::GET_OCSP_RESP_EX,
        failure: -1,
        argument: Argument::Cleared,
        ours: |ssl, _, parg| {
            let (count, stack) = api::list(ssl).unwrap_or((-1, ptr::null_mut()));
            // SAFETY: as above.
            Some(unsafe { given(count, stack, parg) })
        },
        native: |_, _, _, _| None,
    },
    libssls(types::GET_EXTS, Argument::Written),
    libssls(types::SET_EXTS, Argument::Given),
    libssls(types::GET_IDS, Argument::Written),
    libssls(types::SET_IDS, Argument::Given),
];

static ON_CTX: [Operation<SSL_CTX, SslCtx>; 6] = [
    Operation {
        command: types::SET_CB,
        failure: 0,
        argument: Argument::Given,
        ours: |ctx, _, parg| api::set_callback(ctx, types::from_stored(parg)).map(Answer::from),
        // SAFETY: as above.
        native: |own, ctx, _, parg| unsafe {
            Some(own.SSL_CTX_set_tlsext_status_cb?(
                ctx,
                types::from_stored(parg),
            ))
        },
    },
    Operation {
        command: types::GET_CB,
        failure: 0,
        argument: Argument::Written,
        // SAFETY: as above.
        ours: |ctx, _, parg| unsafe {
            api::callback(ctx).map(|held| given(1, types::stored(held), parg))
        },
        // SAFETY: as above.
        native: |own, ctx, _, parg| unsafe {
            Some(own.SSL_CTX_get_tlsext_status_cb?(ctx, parg.cast()))
        },
    },
    Operation {
        command: types::SET_ARG,
        failure: 0,
        argument: Argument::Given,
        ours: |ctx, _, parg| api::set_argument(ctx, parg).map(|()| Answer::Libssls),
        // SAFETY: as above.
        native: |own, ctx, _, parg| unsafe { Some(own.SSL_CTX_set_tlsext_status_arg?(ctx, parg)) },
    },
    Operation {
        command: types::GET_ARG,
        failure: 0,
        argument: Argument::Written,
        ours: |ctx, _, parg| {
            if !ctx.host().before_1_1() {
                return Some(Answer::Libssls);
            }
            // SAFETY: as above.
            api::argument(ctx).map(|argument| unsafe { given(1, argument, parg) })
        },
        // SAFETY: as above.
        native: |own, ctx, _, parg| unsafe {
            Some(own.SSL_CTX_get_tlsext_status_arg?(ctx, parg.cast()))
        },
    },
    Operation {
        command: types::SET_TYPE,
        failure: 0,
        argument: Argument::Given,
        ours: |ctx, larg, _| api::set_context_type(ctx, larg).map(Answer::from),
        native: |_, _, _, _| None,
    },
    Operation {
        command: types::GET_TYPE,
        failure: -1,
        argument: Argument::Given,
        ours: |ctx, _, _| Some(Answer::Is(c_long::from(api::context_type(ctx)))),
        native: |_, _, _, _| None,
    },
];

/// One that is libssl's altogether.
const fn libssls<O, H>(command: c_int, argument: Argument) -> Operation<O, H> {
    Operation {
        command,
        failure: 0,
        argument,
        ours: |_, _, _| Some(Answer::Libssls),
        native: |_, _, _, _| None,
    }
}

/// Whether a command of `SSL_ctrl` is one of the family's.
pub const fn is_on_ssl(command: c_int) -> bool {
    is_among(&ON_SSL, command)
}

/// Whether a command of `SSL_CTX_ctrl` is one of the family's: the callback is set otherwise.
pub const fn is_on_ctx(command: c_int) -> bool {
    is_among(&ON_CTX, command) && command != types::SET_CB
}

const fn is_among<O, H>(operations: &[Operation<O, H>], command: c_int) -> bool {
    match operations {
        [first, rest @ ..] => first.command == command || is_among(rest, command),
        [] => false,
    }
}

/// The operation that `command` is on an SSL. None: it is none of the family's.
///
/// # Safety
/// `ssl` must be NULL or valid, and the further arguments what the command documents; pointers
/// may be NULL.
#[inline]
pub unsafe fn on_ssl(
    ssl: *mut SSL,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> Option<c_long> {
    let operation = ON_SSL.iter().find(|known| known.command == command)?;
    // SAFETY: the caller vouches for the arguments.
    Some(unsafe {
        if ssl.is_null() || operation.lacks_argument(parg) {
            return Some(operation.fail(parg));
        }
        let handle = entry::ssl_handle(ssl);
        let ours = handle.and_then(|ssl| operation.ours(&ssl, ssl.host().crypto, larg, parg));
        ours.unwrap_or_else(|| {
            let Some(library) = route::for_call(ssl, c"SSL_ctrl") else {
                return operation.failure;
            };
            let own = library.own_family();
            own.and_then(|own| (operation.native)(own, ssl, larg, parg).map(c_long::from))
                .or_else(|| Some(library.entries.SSL_ctrl?(ssl, command, larg, parg)))
                .unwrap_or(operation.failure)
        })
    })
}

/// The operation that `command` is on an SSL_CTX. None: it is none of the family's.
///
/// # Safety
/// `ctx` must be NULL or valid, and the further arguments what the command documents; pointers
/// may be NULL.
pub unsafe fn on_ctx(
    ctx: *mut SSL_CTX,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> Option<c_long> {
    let operation = ON_CTX.iter().find(|known| known.command == command)?;
    // SAFETY: the caller vouches for the arguments; the callback is a function, or NULL.
    Some(unsafe {
        if ctx.is_null() || operation.lacks_argument(parg) {
            return Some(operation.fail(parg));
        }
        let handle = entry::ctx_handle(ctx);
        let ours = handle.and_then(|ctx| operation.ours(&ctx, ctx.host().crypto, larg, parg));
        ours.unwrap_or_else(|| {
            let name = match command {
                types::SET_CB => c"SSL_CTX_callback_ctrl",
                _ => c"SSL_CTX_ctrl",
            };
            let Some(library) = route::for_call(ctx, name) else {
                return operation.failure;
            };
            let entries = &library.entries;
            let own = library.own_family();
            own.and_then(|own| (operation.native)(own, ctx, larg, parg).map(c_long::from))
                .or_else(|| match command {
                    types::SET_CB => {
                        let callback =
                            std::mem::transmute::<*mut c_void, Option<AnyFunction>>(parg);
                        Some(entries.SSL_CTX_callback_ctrl?(ctx, command, callback))
                    }
                    _ => Some(entries.SSL_CTX_ctrl?(ctx, command, larg, parg)),
                })
                .unwrap_or(operation.failure)
        })
    })
}

impl<O, H> Operation<O, H> {
    /// Whether it is to write through a pointer that is NULL.
    fn lacks_argument(&self, parg: *mut c_void) -> bool {
        parg.is_null() && self.argument != Argument::Given
    }

    /// Our part, behind the guard. None: libssl is to answer.
    ///
    /// # Safety
    /// The arguments must be what the command documents; pointers may be NULL.
    unsafe fn ours(
        &self,
        handle: &H,
        crypto: &Crypto,
        larg: c_long,
        parg: *mut c_void,
    ) -> Option<c_long> {
        let ours = self.ours;
        let answer = guard::bookkeeping(None, move || {
            // SAFETY: the caller vouches for the arguments.
            guard::errors_kept(crypto, || unsafe { ours(handle, larg, parg) })
        });
        match answer {
            Some(Answer::Is(answer)) => Some(answer),
            Some(Answer::Libssls) => None,
            // SAFETY: the caller vouches for the arguments.
            None => guard::works().then(|| unsafe { self.fail(parg) }),
        }
    }

    /// # Safety
    /// `parg` must be what the command documents, or NULL.
    unsafe fn fail(&self, parg: *mut c_void) -> c_long {
        if self.argument == Argument::Cleared && !parg.is_null() {
            // SAFETY: such a getter's argument is a pointer to a pointer.
            unsafe { *parg.cast::<*mut c_void>() = ptr::null_mut() };
        }
        self.failure
    }
}

/// A getter's answer, with what it writes through its argument.
///
/// # Safety
/// `parg` must be a pointer to a pointer.
unsafe fn given(answer: c_long, gives: *mut c_void, parg: *mut c_void) -> Answer {
    // SAFETY: the caller vouches for it.
    unsafe { *parg.cast::<*mut c_void>() = gives };
    Answer::Is(answer)
}

/// `SSL_set_tlsext_status_ocsp_resp`. A negative length, or NULL with one, is refused.
///
/// # Safety
/// `start` must be NULL or a block of the library's OPENSSL_malloc with `length` bytes.
unsafe fn set_response(ssl: &Ssl, length: c_long, start: *mut c_void) -> Option<Answer> {
    let given = match (NonNull::new(start.cast()), c_int::try_from(length)) {
        (None, Ok(0)) => None,
        // SAFETY: the caller vouches for both.
        (Some(start), Ok(0..)) => unsafe {
            Some(Buffer::from_raw(ssl.host().crypto, start, length as usize))
        },
        _ => return Some(Answer::from(false)),
    };
    // What is not taken stays the program's, whatever happens.
    let mut given = ManuallyDrop::new(given);
    api::set_response(ssl, &mut given).map(Answer::from)
}
