//! A typed handle on a program's SSL_CTX. Its methods call the real libssl.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::{self, NonNull};

use super::ex_data::{self, Record};
use super::library::{Library, Ready};
use super::object;
use super::types::{self, AnyFunction, SSL_CTX, StatusCallback};
use super::x509::{X509Ref, X509Stack, X509Store};

/// An SSL_CTX that its program has lent us for the duration of a call. It may
/// be shared between threads that shake hands; one thread at a time changes it.
#[derive(Clone, Copy)]
pub struct SslCtx {
    host: Ready,
    ptr: NonNull<SSL_CTX>,
}

impl SslCtx {
    /// # Safety
    /// `ptr` must be a valid SSL_CTX of `host` for as long as the handle is used.
    pub(super) unsafe fn new(host: Ready, ptr: NonNull<SSL_CTX>) -> SslCtx {
        SslCtx { host, ptr }
    }

    /// A handle, if the shim can work on this library.
    ///
    /// # Safety
    /// `ptr` must be a valid SSL_CTX of `library` for as long as the handle is used.
    pub unsafe fn from_raw(library: &'static Library, ptr: NonNull<SSL_CTX>) -> Option<SslCtx> {
        // SAFETY: the caller vouches for ptr.
        let host = unsafe { library.ready(ptr)? };
        Some(SslCtx { host, ptr })
    }

    /// The OpenSSL that made it.
    pub fn host(&self) -> Ready {
        self.host
    }

    /// Where it is: what tells two contexts apart.
    pub fn address(&self) -> usize {
        self.ptr.as_ptr() as usize
    }

    /// SSL_CTX_ctrl of the real libssl, with a pointer argument.
    ///
    /// # Safety
    /// `parg` must be what the command documents.
    unsafe fn ctrl(&self, command: c_int, larg: c_long, parg: *mut c_void) -> c_long {
        // SAFETY: the handle's SSL_CTX is valid; the caller vouches for parg.
        unsafe { (self.host.lib.ssl.SSL_CTX_ctrl)(self.ptr.as_ptr(), command, larg, parg) }
    }

    /// Gives libssl a status callback.
    pub fn set_callback(&self, callback: StatusCallback) -> bool {
        // SAFETY: libssl casts the pointer back to this type before it calls;
        // the callback is in this library, which is never unloaded.
        unsafe {
            let callback = std::mem::transmute::<StatusCallback, AnyFunction>(callback);
            (self.host.lib.ssl.SSL_CTX_callback_ctrl)(
                self.ptr.as_ptr(),
                types::SET_CB,
                Some(callback),
            ) == 1
        }
    }

    /// The status callback that libssl holds. The outer None: it does not tell
    /// (1.0.2).
    pub fn callback(&self) -> Option<Option<StatusCallback>> {
        let mut callback: Option<StatusCallback> = None;
        // SAFETY: the command writes a function pointer of this type, or NULL.
        let told = unsafe { self.ctrl(types::GET_CB, 0, (&raw mut callback).cast()) };
        (told == 1).then_some(callback)
    }

    /// Sets the status type that new SSLs start with (1.1.0 and later).
    pub fn set_status_type(&self, status_type: c_int) -> bool {
        // SAFETY: the command takes no pointer.
        unsafe { self.ctrl(types::SET_TYPE, c_long::from(status_type), ptr::null_mut()) == 1 }
    }

    /// The status type that new SSLs start with (1.1.0 and later).
    pub fn status_type(&self) -> c_int {
        // SAFETY: the command takes no pointer.
        let stored = unsafe { self.ctrl(types::GET_TYPE, 0, ptr::null_mut()) };
        c_int::try_from(stored).unwrap_or(types::STATUS_TYPE_OFF)
    }

    /// The certificate that was loaded or selected last.
    pub fn certificate(&self) -> Option<X509Ref<'_>> {
        // SAFETY: the handle's SSL_CTX is valid and holds its certificate.
        unsafe {
            let leaf = (self.host.lib.ssl.SSL_CTX_get0_certificate)(self.ptr.as_ptr());
            NonNull::new(leaf).map(|leaf| X509Ref::new(self.host.crypto, leaf))
        }
    }

    /// The chain that belongs to that certificate, if any was set.
    pub fn chain(&self) -> Option<X509Stack<'_>> {
        self.stack(types::GET_CHAIN_CERTS)
    }

    /// The extra chain certificates, which go with every certificate.
    pub fn extra_chain(&self) -> Option<X509Stack<'_>> {
        self.stack(types::GET_EXTRA_CHAIN_CERTS)
    }

    fn stack(&self, command: c_int) -> Option<X509Stack<'_>> {
        let mut stack: *mut c_void = ptr::null_mut();
        // SAFETY: both commands write a borrowed stack to the pointer given.
        unsafe {
            self.ctrl(command, 0, (&raw mut stack).cast());
            NonNull::new(stack).map(|stack| X509Stack::new(self.host.crypto, stack))
        }
    }

    /// Whether its method is one of those that only connect. An SSL_CTX has its method
    /// among its first words, as `route` relies on.
    pub fn is_client_only(&self) -> bool {
        let functions = &self.host.lib.ssl;
        let methods = [
            functions.TLS_client_method,
            functions.TLSv1_2_client_method,
            functions.TLSv1_1_client_method,
            functions.TLSv1_client_method,
            functions.DTLS_client_method,
            functions.DTLSv1_2_client_method,
            functions.OSSL_QUIC_client_method,
            functions.OSSL_QUIC_client_thread_method,
        ];
        // SAFETY: the methods' functions have no preconditions; the handle's SSL_CTX is valid.
        unsafe {
            let words = object::words(self.ptr.as_ptr()).unwrap_or_default();
            let mut clients = methods.into_iter().flatten().map(|client| client());
            clients.any(|client| !client.is_null() && words.contains(&(client as usize)))
        }
    }

    /// The store of trusted certificates.
    pub fn store(&self) -> Option<X509Store<'_>> {
        // SAFETY: the handle's SSL_CTX is valid and keeps its store meanwhile.
        unsafe {
            let store = (self.host.lib.ssl.SSL_CTX_get_cert_store)(self.ptr.as_ptr());
            NonNull::new(store).map(|store| X509Store::new(self.host.crypto, store))
        }
    }

    /// What we remember of it, if anything.
    pub fn record<T: Record>(&self) -> Option<&T> {
        // SAFETY: our index holds a T or NULL; it lives until SSL_CTX_free.
        unsafe {
            let stored =
                (self.host.lib.ssl.SSL_CTX_get_ex_data)(self.ptr.as_ptr(), self.host.indices.ctx);
            ex_data::record(stored)
        }
    }

    /// Begins to remember `value` of it. None if there is no memory.
    pub fn remember<T: Record>(&self, value: T) -> Option<&T> {
        ex_data::install(value, |stored| {
            // SAFETY: the index is ours, and its free_func releases the record.
            unsafe {
                (self.host.lib.ssl.SSL_CTX_set_ex_data)(
                    self.ptr.as_ptr(),
                    self.host.indices.ctx,
                    stored,
                ) == 1
            }
        })
    }
}
