//! One handshake in memory, and what the contract says must come of it.

use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use openssl_sys::SSL;

use crate::abi::status::{SSL_get_tlsext_status_ocsp_resp, SSL_set_tlsext_status_ocsp_resp};
use crate::libssl::LIBSSL;
use crate::pki::PKI;

const SET_MAX_PROTO_VERSION: c_int = 124;
const TLS1_2: c_long = 0x0303;

/// How often each side is called at most; six times are enough for any handshake.
const ROUNDS: usize = 12;

/// What a program's callback does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// OK; accepted.
    Ok,
    /// On a server, sets a response first.
    OkWithNew,
    /// NOACK; refused.
    No,
    /// A fatal alert; an error.
    Fatal,
}

impl Answer {
    /// By a byte of the input; None is no callback.
    pub fn of(byte: u8) -> Option<Self> {
        [
            None,
            Some(Self::Ok),
            Some(Self::OkWithNew),
            Some(Self::No),
            Some(Self::Fatal),
        ][usize::from(byte) % 5]
    }
}

/// A program's side of the handshake that is going on.
pub struct Side {
    /// Its SSL.
    pub ssl: *mut SSL,
    /// What its context's callback does.
    pub answer: Option<Answer>,
    /// What its callback is passed.
    pub argument: *mut c_void,
}

/// What the callbacks were called with.
struct Going {
    server: Side,
    client: Side,
    calls: [usize; 2],
    seen: Option<Vec<u8>>,
}

thread_local! {
    static GOING: RefCell<Option<Going>> = const { RefCell::new(None) };
}

/// The callback that the program sets on every context.
pub const CALLBACK: unsafe extern "C-unwind" fn(*mut SSL, *mut c_void) -> c_int = callback;

/// It, as the getter shows it.
pub fn callback_address() -> *mut c_void {
    callback as *mut c_void
}

/// # Safety
/// libssl calls it with the SSL and the context's argument.
unsafe extern "C-unwind" fn callback(ssl: *mut SSL, argument: *mut c_void) -> c_int {
    GOING.with_borrow_mut(|going| {
        let going = going.as_mut().expect("a handshake is going on");
        let is_server = ssl == going.server.ssl;
        let side = if is_server {
            &going.server
        } else {
            &going.client
        };
        assert_eq!((ssl, argument), (side.ssl, side.argument));
        let answer = side.answer.expect("there is a callback");
        going.calls[usize::from(!is_server)] += 1;
        if !is_server {
            going.seen = response(ssl);
            return match answer {
                Answer::Ok | Answer::OkWithNew => 1,
                Answer::No => 0,
                Answer::Fatal => -1,
            };
        }
        if answer == Answer::OkWithNew {
            let length = c_int::try_from(PKI.other.len()).expect("responses are short");
            // SAFETY: the SSL is valid, and the block passes to it.
            let done =
                unsafe { SSL_set_tlsext_status_ocsp_resp(ssl, LIBSSL.block(&PKI.other), length) };
            assert_eq!(done, 1);
        }
        match answer {
            Answer::Ok | Answer::OkWithNew => 0,
            Answer::No => 3,
            Answer::Fatal => 2,
        }
    })
}

/// What a program is shown.
fn response(ssl: *mut SSL) -> Option<Vec<u8>> {
    let mut start = ptr::dangling_mut();
    // SAFETY: the SSL is valid; what it lends is as long as it says.
    unsafe {
        let length = SSL_get_tlsext_status_ocsp_resp(ssl, &raw mut start);
        let Ok(length) = usize::try_from(length) else {
            assert_eq!((length, start), (-1, ptr::null_mut()));
            return None;
        };
        Some(std::slice::from_raw_parts(start, length).to_vec())
    }
}

/// Shakes hands between two SSLs that have not yet; `own` is the response that the
/// server's program set before.
pub fn run(server: Side, client: Side, asked: bool, own: Option<Vec<u8>>, tls1_2: bool) {
    let ours = Some(PKI.good.clone());
    let new = Some(PKI.other.clone());
    let (staple, server_sees) = match server.answer {
        Some(Answer::OkWithNew) if asked => (new.clone(), new),
        Some(Answer::Ok) => (own.clone().or(ours), own),
        _ => (ours, own),
    };
    let refused = asked
        && (server.answer == Some(Answer::Fatal)
            || matches!(client.answer, Some(Answer::No | Answer::Fatal)));
    let called =
        [server.answer, client.answer].map(|answer| usize::from(asked && answer.is_some()));
    let (server_ssl, client_ssl) = (server.ssl, client.ssl);

    GOING.set(Some(Going {
        server,
        client,
        calls: [0, 0],
        seen: None,
    }));
    let done = shake(server_ssl, client_ssl, tls1_2);
    let going = GOING.take().expect("it was set above");
    assert_eq!(done, !refused, "the handshake's end");
    if refused {
        return;
    }
    assert_eq!(going.calls, called, "the callbacks' calls");
    let expected = staple.filter(|_| asked);
    if called[1] == 1 {
        assert_eq!(going.seen, expected, "what the client's callback sees");
    }
    assert_eq!(response(client_ssl), expected, "what the client is shown");
    assert_eq!(
        response(server_ssl),
        server_sees,
        "what the server is shown"
    );
}

/// True if both sides say that it is done.
fn shake(server: *mut SSL, client: *mut SSL, tls1_2: bool) -> bool {
    let (mut servers, mut clients) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: both SSLs are valid, and each end of the pair passes to one.
    unsafe {
        (LIBSSL.SSL_set_accept_state)(server);
        (LIBSSL.SSL_set_connect_state)(client);
        if tls1_2 {
            (LIBSSL.SSL_ctrl)(client, SET_MAX_PROTO_VERSION, TLS1_2, ptr::null_mut());
        }
        assert_eq!(
            (LIBSSL.BIO_new_bio_pair)(&raw mut servers, 0, &raw mut clients, 0),
            1
        );
        (LIBSSL.SSL_set_bio)(server, servers, servers);
        (LIBSSL.SSL_set_bio)(client, clients, clients);
        let mut done = (0, 0);
        for _ in 0..ROUNDS {
            done = (
                (LIBSSL.SSL_do_handshake)(client),
                (LIBSSL.SSL_do_handshake)(server),
            );
            if done == (1, 1) {
                break;
            }
        }
        (LIBSSL.ERR_clear_error)();
        done == (1, 1)
    }
}
