//! The Certificate message of a handshake, as libssl has decrypted it. In TLS 1.3 the staples of
//! the whole chain stand in it, of which libssl keeps none but the first before OpenSSL 3.6.

// The openssl crate has no name for the callback that libssl tells of messages.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use foreign_types::ForeignTypeRef;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef};

/// SSL3_RT_HANDSHAKE.
const HANDSHAKE: c_int = 22;
/// SSL3_MT_CERTIFICATE.
const CERTIFICATE: u8 = 11;

type Message = Mutex<Vec<u8>>;
type Callback = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    *const c_void,
    usize,
    *mut openssl_sys::SSL,
    *mut c_void,
);

unsafe extern "C" {
    fn SSL_set_msg_callback(ssl: *mut openssl_sys::SSL, callback: Option<Callback>);
}

/// Where an SSL keeps the message, so that it lives as long.
fn index() -> Option<Index<Ssl, Message>> {
    static INDEX: OnceLock<Option<Index<Ssl, Message>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

/// Keeps the Certificate message that `ssl` is going to receive.
pub fn keep_certificates(ssl: &mut Ssl) {
    let Some(index) = index() else { return };
    ssl.set_ex_data(index, Message::default());
    // SAFETY: the SSL is valid, and the callback is of the type that libssl calls
    // (SSL_set_msg_callback(3)).
    unsafe { SSL_set_msg_callback(ssl.as_ptr(), Some(note)) };
}

/// What was kept: the message without its type and length; nothing if none came.
pub fn certificates(ssl: &SslRef) -> Vec<u8> {
    let message = index().and_then(|index| ssl.ex_data(index));
    let message = message.map(|message| message.lock().unwrap_or_else(PoisonError::into_inner));
    message.map_or_else(Vec::new, |message| message.clone())
}

/// # Safety
///
/// libssl calls it with a message of so many bytes and its SSL.
unsafe extern "C" fn note(
    is_sent: c_int,
    _version: c_int,
    kind: c_int,
    start: *const c_void,
    length: usize,
    ssl: *mut openssl_sys::SSL,
    _arg: *mut c_void,
) {
    if is_sent != 0 || kind != HANDSHAKE || start.is_null() || ssl.is_null() {
        return;
    }
    // SAFETY: libssl lends so many bytes, and its SSL, for the call.
    let (bytes, ssl) = unsafe {
        (
            std::slice::from_raw_parts(start.cast::<u8>(), length),
            SslRef::from_ptr(ssl),
        )
    };
    if let [CERTIFICATE, _, _, _, body @ ..] = bytes
        && let Some(message) = index().and_then(|index| ssl.ex_data(index))
    {
        *message.lock().unwrap_or_else(PoisonError::into_inner) = body.to_vec();
    }
}
