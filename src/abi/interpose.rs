//! The functions through which compiled programs reach the family, since every
//! documented name is a macro over them, and through which contexts are made.
//! What is not ours passes through untouched.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::{self, NonNull};

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::library::{Library, Ready};
use crate::host::library_context::LibraryContext;
use crate::host::session::Session;
use crate::host::types::{self, AnyFunction, SSL, SSL_CTX, SSL_METHOD, SSL_SESSION};
use crate::host::x509::X509Store;
use crate::host::{guard, route};
use crate::log;
use crate::status::{adopt, client, deferred, load};

use super::entry;
use super::operation;

/// `SSL_ctrl`: the family's commands are ours, chain commands are watched.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_ctrl(
    ssl: *mut SSL,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        if hands_on(command)
            && let Some(library) = route::quick(ssl)
        {
            return (library.ssl_ctrl)(ssl, command, larg, parg);
        }
        ssl_ctrl(ssl, command, larg, parg)
    }
}

/// `SSL_ctrl` where there is more to do than to hand on.
///
/// # Safety
/// As for `SSL_ctrl`.
#[inline(never)]
unsafe fn ssl_ctrl(ssl: *mut SSL, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        if let Some(answer) = operation::on_ssl(ssl, command, larg, parg) {
            return answer;
        }
        let library = route::for_call(ssl, c"SSL_ctrl");
        let Some(real) = library.and_then(|library| library.entries.SSL_ctrl) else {
            return 0;
        };
        let done = real(ssl, command, larg, parg);
        if done > 0
            && is_chain_command(command)
            && let Some(handle) = entry::ssl_handle(ssl)
        {
            guard::quiet_work(handle.host().crypto, (), || {
                load::issuers_of_ssl_changed(&handle, chain_store(&handle.host(), command, parg))
            });
        }
        done
    }
}

/// `SSL_CTX_ctrl`: the family's commands are ours, chain commands are watched.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_ctrl(
    ctx: *mut SSL_CTX,
    command: c_int,
    larg: c_long,
    parg: *mut c_void,
) -> c_long {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        if hands_on(command)
            && let Some(library) = route::quick(ctx)
        {
            return (library.ctx_ctrl)(ctx, command, larg, parg);
        }
        ctx_ctrl(ctx, command, larg, parg)
    }
}

/// `SSL_CTX_ctrl` where there is more to do than to hand on.
///
/// # Safety
/// As for `SSL_CTX_ctrl`.
#[inline(never)]
unsafe fn ctx_ctrl(ctx: *mut SSL_CTX, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        if command != types::SET_CB
            && let Some(answer) = operation::on_ctx(ctx, command, larg, parg)
        {
            return answer;
        }
        let library = route::for_call(ctx, c"SSL_CTX_ctrl");
        let Some(real) = library.and_then(|library| library.entries.SSL_CTX_ctrl) else {
            return 0;
        };
        let done = real(ctx, command, larg, parg);
        if done > 0
            && is_chain_command(command)
            && let Some(handle) = entry::ctx_handle(ctx)
        {
            guard::quiet_work(handle.host().crypto, (), || {
                let store = chain_store(&handle.host(), command, parg);
                load::issuers_of_context_changed(&handle, false, store)
            });
        }
        done
    }
}

/// Whether a command is none that an entry looks at, on either object, told in
/// few instructions: this stands on the way of every call.
#[inline(always)]
fn hands_on(command: c_int) -> bool {
    !WATCHED
        .get(command as usize)
        .is_some_and(|&watched| watched)
}

/// The commands that are looked at.
static WATCHED: [bool; types::SET_OCSP_RESP_EX as usize + 1] = {
    let mut table = [false; types::SET_OCSP_RESP_EX as usize + 1];
    let mut command = 0;
    while command < table.len() {
        let number = command as c_int;
        table[command] = operation::is_on_ssl(number)
            || operation::is_on_ctx(number)
            || is_chain_command(number);
        command += 1;
    }
    table
};

/// The commands after which an issuer may be known: they add to a chain, or tell what it
/// is made from. On an SSL number 14 is none.
const fn is_chain_command(command: c_int) -> bool {
    matches!(
        command,
        types::EXTRA_CHAIN_CERT
            | types::CHAIN
            | types::CHAIN_CERT
            | types::BUILD_CERT_CHAIN
            | types::SET_CHAIN_CERT_STORE
    )
}

/// The store that a command gives for chains to be completed from.
///
/// # Safety
/// `parg` must be what the command documents, and libssl have taken it.
unsafe fn chain_store<'s>(
    host: &Ready,
    command: c_int,
    parg: *mut c_void,
) -> Option<X509Store<'s>> {
    let store = NonNull::new(parg).filter(|_| command == types::SET_CHAIN_CERT_STORE)?;
    // SAFETY: with this command the pointer is a store; the caller vouches for the rest.
    Some(unsafe { X509Store::new(host.crypto, store) })
}

/// `SSL_CTX_callback_ctrl`: the status callback is ours.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_callback_ctrl(
    ctx: *mut SSL_CTX,
    command: c_int,
    callback: Option<AnyFunction>,
) -> c_long {
    if command == types::SET_CB {
        let callback = callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void);
        // SAFETY: with this command the pointer is a status callback.
        return unsafe { operation::on_ctx(ctx, command, 0, callback) }.unwrap_or(0);
    }
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        let library = route::for_call(ctx, c"SSL_CTX_callback_ctrl");
        match library.and_then(|library| library.entries.SSL_CTX_callback_ctrl) {
            Some(real) => real(ctx, command, callback),
            None => 0,
        }
    }
}

/// `SSL_CTX_new`. Debian's ends in a call of `SSL_CTX_new_ex` that reaches ours;
/// upstream's does not.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_new(method: *const SSL_METHOD) -> *mut SSL_CTX {
    let library = route::for_method(method, c"SSL_CTX_new");
    let Some(library) = library else {
        return ptr::null_mut();
    };
    // SAFETY: the program's own argument, to the function it called.
    unsafe {
        let ctx = (library.entries.SSL_CTX_new)(method);
        made(library, ctx, ptr::null_mut())
    }
}

/// `SSL_CTX_new_ex` (3.0 and later). On an older libssl it is `SSL_CTX_new` if
/// neither a library context nor properties are asked for, else it fails with
/// an error queued.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_CTX_new_ex(
    library_context: *mut c_void,
    properties: *const c_char,
    method: *const SSL_METHOD,
) -> *mut SSL_CTX {
    let Some(library) = route::for_method(method, c"SSL_CTX_new_ex") else {
        return ptr::null_mut();
    };
    // SAFETY: the program's own arguments, to the function it called or to the
    // one that means the same.
    unsafe {
        let ctx = match library.entries.SSL_CTX_new_ex {
            Some(real) => real(library_context, properties, method),
            None if library_context.is_null() && properties.is_null() => {
                (library.entries.SSL_CTX_new)(method)
            }
            None => {
                entry::absent(library);
                return ptr::null_mut();
            }
        };
        made(library, ctx, library_context)
    }
}

/// `SSL_new`: what handshakes have left to be done is done now, before the next one. Mostly
/// there is nothing, and this stands on the way of every connection: from 3.0 on the second
/// word of an SSL_CTX is its method, which tells the libssl in seven instructions. A naked
/// function says itself how to unwind from it: as at its begin, all the while.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_new(ctx: *mut SSL_CTX) -> *mut SSL {
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!(
        ".cfi_startproc",
        "test rdi, rdi",
        "jz 2f",
        "mov rax, [rdi + 8]",
        "sub rax, [rip + {at_once}]",
        "cmp rax, [rip + {at_once} + 8]",
        "jae 2f",
        "jmp [rip + {at_once} + 16]",
        "2: jmp {with_more}",
        ".cfi_endproc",
        at_once = sym route::SSL_NEW_AT_ONCE,
        with_more = sym ssl_new,
    );
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!(
        ".cfi_startproc",
        "cbz x0, 2f",
        "adrp x9, {at_once}",
        "add x9, x9, :lo12:{at_once}",
        "ldr x10, [x0, #8]",
        "ldr x11, [x9]",
        "sub x10, x10, x11",
        "add x11, x9, #8",
        // What stands beside the length is read after it.
        "ldar x11, [x11]",
        "cmp x10, x11",
        "b.hs 2f",
        "ldr x11, [x9, #16]",
        "br x11",
        "2: b {with_more}",
        ".cfi_endproc",
        at_once = sym route::SSL_NEW_AT_ONCE,
        with_more = sym ssl_new,
    );
}

/// `SSL_new` where there may be more to do than to hand on.
///
/// # Safety
/// As for `SSL_new`.
#[inline(never)]
unsafe extern "C-unwind" fn ssl_new(ctx: *mut SSL_CTX) -> *mut SSL {
    // SAFETY: the program's own argument, to the function it called.
    unsafe {
        let library = route::for_call(ctx, c"SSL_new");
        if deferred::is_pending()
            && let Some(handle) = entry::ctx_handle(ctx)
        {
            guard::quiet_work(handle.host().crypto, (), deferred::do_all);
        }
        if let Some(library) = library {
            deferred::hand_on_if_done(library);
        }
        library.map_or(ptr::null_mut(), |library| (library.ssl_new)(ctx))
    }
}

/// `SSL_set_session`: under a client policy that refuses, a session whose full
/// handshake was not checked as strictly is not offered. The call succeeds and a
/// full handshake follows.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn SSL_set_session(ssl: *mut SSL, session: *mut SSL_SESSION) -> c_int {
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        let library = route::for_call(ssl, c"SSL_set_session");
        let Some(real) = library.and_then(|library| library.entries.SSL_set_session) else {
            return 0;
        };
        if !config::get().refuses_unchecked() {
            return real(ssl, session);
        }
        let handle = entry::ssl_handle(ssl).zip(NonNull::new(session));
        let offered = handle.is_none_or(|(handle, session)| {
            let session = Session::from_raw(handle.host(), session);
            guard::quiet_work(handle.host().crypto, false, || client::may_resume(session))
        });
        if offered {
            return real(ssl, session);
        }
        // What was set before is not to be offered either.
        real(ssl, ptr::null_mut());
        1
    }
}

/// What the program gets: the context, with a record if it can be. A policy that refuses what is
/// not checked goes on doing so after a panic, and where an OpenSSL's context can have no record there
/// is none, as where libssl has no memory for it.
///
/// # Safety
/// `ctx` must be NULL or a new SSL_CTX of `library`, made in `library_context`.
unsafe fn made(
    library: &'static Library,
    ctx: *mut SSL_CTX,
    library_context: *mut c_void,
) -> *mut SSL_CTX {
    let Some(new) = NonNull::new(ctx).filter(|_| !config::get().disabled) else {
        return ctx;
    };
    let refuses = config::get().refuses_unchecked() && library.openssl.is_some();
    // SAFETY: the caller vouches for ctx.
    let handle = unsafe { SslCtx::from_raw(library, new) };
    let remember = || {
        if guard::works() {
            log::complain_about_configuration();
        }
        let has_record = handle.is_some_and(|handle| {
            // SAFETY: the program keeps it as long as what was made in it.
            let made_in = unsafe { LibraryContext::from_raw(library_context) };
            guard::errors_kept(handle.host().crypto, || {
                adopt::new_context(&handle, made_in).is_some()
            })
        });
        if refuses && !has_record {
            log::warning!(
                "a context is refused: what its client must check cannot be kept, for want of memory \
                 or of a libcrypto that is known"
            );
        }
        has_record
    };
    let has_record = if refuses {
        guard::bookkeeping(false, remember)
    } else {
        guard::work(false, remember)
    };
    if has_record || !refuses {
        return ctx;
    }
    if let Some(free) = library.entries.SSL_CTX_free {
        // SAFETY: nobody else has it yet.
        unsafe { free(ctx) };
    }
    ptr::null_mut()
}
