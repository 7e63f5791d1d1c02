//! A mark on an SSL_SESSION: how strictly the handshake that made it was
//! checked. Sessions are shared between threads, so it is a number in ex_data,
//! written before the session is shared. A session that was written out and
//! read back has none.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::library::Ready;
use super::ssl::Ssl;
use super::types::SSL_SESSION;

/// A session that its program has lent us for the duration of a call.
#[derive(Clone, Copy)]
pub struct Session {
    host: Ready,
    ptr: NonNull<SSL_SESSION>,
}

impl Session {
    /// # Safety
    /// `ptr` must be a valid SSL_SESSION of `host` while the handle is used.
    pub unsafe fn from_raw(host: Ready, ptr: NonNull<SSL_SESSION>) -> Session {
        Session { host, ptr }
    }

    /// The session that `ssl` is using or making.
    pub fn of(ssl: &Ssl) -> Option<Session> {
        let host = ssl.host();
        // SAFETY: the handle's SSL is valid and keeps its session meanwhile.
        unsafe {
            let session = (host.lib.ssl.SSL_get_session)(ssl.raw());
            NonNull::new(session).map(|session| Session::from_raw(host, session))
        }
    }

    /// The mark; 0 if there is none.
    pub fn mark(&self) -> usize {
        let Some(index) = self.host.indices.session() else {
            return 0;
        };
        // SAFETY: the session is valid and the index is ours.
        unsafe { (self.host.lib.ssl.SSL_SESSION_get_ex_data)(self.ptr.as_ptr(), index) as usize }
    }

    /// Marks it. OpenSSL copies the mark with the session.
    pub fn set_mark(&self, mark: usize) -> bool {
        let Some(index) = self.host.indices.session_or_taken() else {
            return false;
        };
        // SAFETY: as above; what is stored is never followed as a pointer.
        unsafe {
            let mark = mark as *mut c_void;
            (self.host.lib.ssl.SSL_SESSION_set_ex_data)(self.ptr.as_ptr(), index, mark) == 1
        }
    }
}
