//! A typed handle on a program's SSL. Its methods call the real libssl.

use std::ffi::{c_int, c_long, c_uchar, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::buffer::Buffer;
use super::ctx::SslCtx;
use super::ex_data::{self, Record};
use super::library::{Library, Ready};
use super::ocsp::ResponseList;
use super::types::{self, SSL};
use super::x509::{X509Ref, X509Stack};

/// An SSL that its program has lent us for the duration of a call. As in
/// OpenSSL, one thread at a time uses it.
#[derive(Clone, Copy)]
pub struct Ssl {
    host: Ready,
    ptr: NonNull<SSL>,
}

impl Ssl {
    /// A handle, if the shim can work on this library.
    ///
    /// # Safety
    /// `ptr` must be a valid SSL of `library` for as long as the handle is used.
    pub unsafe fn from_raw(library: &'static Library, ptr: NonNull<SSL>) -> Option<Ssl> {
        let host = match library.already_ready() {
            Some(host) => host,
            None => {
                let functions = &library.openssl.as_ref()?.ssl;
                // SAFETY: the caller vouches for ptr; an SSL's context is valid.
                unsafe {
                    let ctx = (functions.SSL_get_SSL_CTX)(ptr.as_ptr());
                    library.ready(NonNull::new(ctx)?)?
                }
            }
        };
        Some(Ssl { host, ptr })
    }

    /// The OpenSSL that made it.
    pub fn host(&self) -> Ready {
        self.host
    }

    /// The pointer, for functions of that libssl.
    pub fn raw(&self) -> *mut SSL {
        self.ptr.as_ptr()
    }

    /// SSL_ctrl of the real libssl, with a pointer argument.
    ///
    /// # Safety
    /// `parg` must be what the command documents.
    pub unsafe fn ctrl(&self, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
        // SAFETY: the handle's SSL is valid; the caller vouches for parg.
        unsafe { (self.host.lib.ssl.SSL_ctrl)(self.ptr.as_ptr(), command, larg, parg) }
    }

    /// Its context of the moment: another one after an SNI switch.
    pub fn context(&self) -> Option<SslCtx> {
        // SAFETY: the handle's SSL is valid, and so is its context meanwhile.
        unsafe {
            let ctx = (self.host.lib.ssl.SSL_get_SSL_CTX)(self.ptr.as_ptr());
            NonNull::new(ctx).map(|ctx| SslCtx::new(self.host, ctx))
        }
    }

    /// Whether it is (or, before a role was chosen, may become) a server.
    pub fn is_server(&self) -> bool {
        // SAFETY: the handle's SSL is valid.
        unsafe { (self.host.lib.ssl.SSL_is_server)(self.ptr.as_ptr()) != 0 }
    }

    /// Whether it is in the middle of a handshake: one of the program's callbacks
    /// runs (SNI, certificate), and whatever waits makes the handshake wait.
    pub fn is_shaking_hands(&self) -> bool {
        /// TLS_ST_BEFORE and TLS_ST_OK of 1.1.0 and later.
        const BEFORE_OR_OK: [c_int; 2] = [0, 1];
        /// SSL_ST_INIT and SSL_ST_BEFORE of 1.0.2.
        const INIT: c_int = 0x3000;
        const BEFORE: c_int = 0x4000;
        let Some(state) = self.host.lib.ssl.SSL_get_state else {
            return false;
        };
        // SAFETY: the handle's SSL is valid.
        let state = unsafe { state(self.ptr.as_ptr()) };
        if self.host.before_1_1() {
            state & INIT != 0 && state & BEFORE == 0
        } else {
            !BEFORE_OR_OK.contains(&state)
        }
    }

    /// Whether a handshake has begun, on 1.1.0 and later.
    pub fn has_begun(&self) -> bool {
        const TLS_ST_BEFORE: c_int = 0;
        let state = self.host.lib.ssl.SSL_get_state;
        // SAFETY: the handle's SSL is valid.
        state.is_none_or(|state| unsafe { state(self.ptr.as_ptr()) } != TLS_ST_BEFORE)
    }

    /// Whether it speaks TLS 1.3, over QUIC too, where libssl tells that (3.6 and later).
    pub fn is_tls13(&self) -> bool {
        const TLS1_3_VERSION: c_int = 0x304;
        const OSSL_QUIC1_VERSION: c_int = 1;
        let version = self.host.lib.ssl.SSL_version;
        version.is_some_and(|version| {
            // SAFETY: the handle's SSL is valid.
            let version = unsafe { version(self.ptr.as_ptr()) };
            matches!(version, TLS1_3_VERSION | OSSL_QUIC1_VERSION)
        })
    }

    /// Whether the handshake resumed a session.
    pub fn session_reused(&self) -> bool {
        match self.host.lib.ssl.SSL_session_reused {
            // SAFETY: the handle's SSL is valid.
            Some(reused) => unsafe { reused(self.ptr.as_ptr()) != 0 },
            // SAFETY: the command takes no pointer.
            None => unsafe { self.ctrl(types::GET_SESSION_REUSED, 0, ptr::null_mut()) != 0 },
        }
    }

    /// The certificate that this end presents, valid in a server's callback.
    pub fn certificate(&self) -> Option<X509Ref<'_>> {
        // SAFETY: the handle's SSL is valid and keeps its certificate meanwhile.
        unsafe {
            let leaf = (self.host.lib.ssl.SSL_get_certificate)(self.ptr.as_ptr());
            NonNull::new(leaf).map(|leaf| X509Ref::new(self.host.crypto, leaf))
        }
    }

    /// The chain that was set for the certificate in use, if any.
    pub fn chain(&self) -> Option<X509Stack<'_>> {
        let mut chain: *mut c_void = ptr::null_mut();
        // SAFETY: the command writes a borrowed stack to the pointer given;
        // 1.0.2 and later know it.
        unsafe {
            self.ctrl(types::GET_CHAIN_CERTS, 0, (&raw mut chain).cast());
            NonNull::new(chain).map(|chain| X509Stack::new(self.host.crypto, chain))
        }
    }

    /// Whether libssl completes the chain by itself in this handshake, from the context's
    /// store: only where the program gave it none, and did not forbid it.
    pub fn completes_chain(&self) -> bool {
        /// SSL_MODE_NO_AUTO_CHAIN of ssl.h.
        const NO_AUTO_CHAIN: c_long = 8;
        // SAFETY: the command takes no pointer; no mode is added.
        let mode = unsafe { self.ctrl(types::MODE, 0, ptr::null_mut()) };
        let has_extra = || {
            self.context()
                .is_some_and(|ctx| ctx.extra_chain().is_some())
        };
        mode & NO_AUTO_CHAIN == 0 && self.chain().is_none() && !has_extra()
    }

    /// Sets the status type as libssl stores it.
    pub fn set_status_type(&self, status_type: c_int) -> bool {
        // SAFETY: the command takes no pointer.
        unsafe { self.ctrl(types::SET_TYPE, c_long::from(status_type), ptr::null_mut()) == 1 }
    }

    /// The status type, where libssl tells it (1.1.0 and later).
    pub fn status_type(&self) -> c_int {
        // SAFETY: the command takes no pointer.
        let stored = unsafe { self.ctrl(types::GET_TYPE, 0, ptr::null_mut()) };
        c_int::try_from(stored).unwrap_or(types::STATUS_TYPE_OFF)
    }

    /// What libssl holds as the response. From 3.6 on a later call ends the
    /// life of these bytes.
    pub fn response(&self) -> Option<&[u8]> {
        let mut start: *mut c_uchar = ptr::null_mut();
        // SAFETY: the command writes a pointer to memory that libssl owns, and
        // gives its length.
        unsafe {
            let length = self.ctrl(types::GET_OCSP_RESP, 0, (&raw mut start).cast());
            let length = usize::try_from(length).ok().filter(|&length| length > 0)?;
            Some(std::slice::from_raw_parts(
                NonNull::new(start)?.as_ptr(),
                length,
            ))
        }
    }

    /// Whether libssl holds a response, without ending the life of one that it
    /// lent out before.
    pub fn has_response(&self) -> bool {
        match self.response_count() {
            Some(count) => count > 0,
            None => self.response().is_some(),
        }
    }

    /// How many responses libssl holds, where it can hold several (3.6 and
    /// later): -1 means none. None on older ones.
    pub fn response_count(&self) -> Option<c_long> {
        self.response_list().map(|(count, _)| count)
    }

    /// The same, with the stack of them, which stays libssl's.
    pub fn response_list(&self) -> Option<(c_long, *mut c_void)> {
        let untouched = ptr::dangling_mut::<c_void>();
        let mut stack = untouched;
        // SAFETY: the command, where it is known, writes a borrowed pointer.
        let count = unsafe { self.ctrl(types::GET_OCSP_RESP_EX, 0, (&raw mut stack).cast()) };
        (stack != untouched).then_some((count, stack))
    }

    /// Gives libssl a copy of `bytes` as the response, or none.
    pub fn put_response(&self, bytes: Option<&[u8]>) -> bool {
        let Some(bytes) = bytes else {
            // SAFETY: NULL and no length clears.
            return unsafe { self.ctrl(types::SET_OCSP_RESP, 0, ptr::null_mut()) == 1 };
        };
        match Buffer::copy_of(self.host.crypto, bytes) {
            Some(copy) => self.hand_over_response(copy).is_ok(),
            None => false,
        }
    }

    /// Gives libssl the buffer itself, or gives it back.
    pub fn hand_over_response(&self, buffer: Buffer) -> Result<(), Buffer> {
        let length = buffer.as_slice().len();
        let start = buffer.as_lent().cast::<c_void>().as_ptr();
        // SAFETY: libssl takes ownership of the block. It fails only for want
        // of memory, from 3.6 on, and then has not taken it.
        let done = unsafe { self.ctrl(types::SET_OCSP_RESP, length as c_long, start) };
        if done != 1 {
            return Err(buffer);
        }
        std::mem::forget(buffer);
        Ok(())
    }

    /// Whether libssl holds several responses. One that does is asked once.
    pub fn holds_several(&self) -> bool {
        let holds_several = &self.host.lib.holds_several;
        if !holds_several.load(Ordering::Relaxed) {
            if self.response_count().is_none() {
                return false;
            }
            holds_several.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Gives libssl a response for each certificate of the chain, if it
    /// [holds several](Ssl::holds_several).
    pub fn hand_over_list(&self, list: ResponseList) -> bool {
        let stack = list.into_raw();
        // SAFETY: libssl, which knows the command, takes ownership of the stack; if it did
        // not, that is still ours.
        unsafe {
            if self.ctrl(types::SET_OCSP_RESP_EX, 0, stack) == 1 {
                return true;
            }
            let crypto = self.host.crypto;
            drop(NonNull::new(stack).map(|stack| ResponseList::from_raw(crypto, stack)));
        }
        false
    }

    /// Whether libssl has the response that it was handed in this handshake. From 3.6 on it
    /// decodes what it is given, and says nothing if it cannot. Others are asked once.
    pub fn took_response(&self) -> bool {
        let keeps_any = &self.host.lib.keeps_any_bytes;
        if keeps_any.load(Ordering::Relaxed) {
            return true;
        }
        let count = self.response_count();
        if count.is_none() {
            keeps_any.store(true, Ordering::Relaxed);
        }
        count.is_none_or(|count| count > 0)
    }

    /// What we remember of it, if anything.
    pub fn record<T: Record>(&self) -> Option<&T> {
        let index = self.host.indices.ssl()?;
        // SAFETY: our index holds a T or NULL; it lives until SSL_free.
        unsafe {
            let stored = (self.host.lib.ssl.SSL_get_ex_data)(self.ptr.as_ptr(), index);
            ex_data::record(stored)
        }
    }

    /// Begins to remember `value` of it. None if there is no memory.
    pub fn remember<T: Record>(&self, value: T) -> Option<&T> {
        let index = self.host.indices.ssl_or_taken()?;
        ex_data::install(value, |stored| {
            // SAFETY: the index is ours, and its free_func releases the record.
            unsafe { (self.host.lib.ssl.SSL_set_ex_data)(self.ptr.as_ptr(), index, stored) == 1 }
        })
    }
}
