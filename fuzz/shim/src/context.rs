//! One context of the world, and the calls that are made on it.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use openssl_sys::SSL_CTX;

use crate::abi::interpose::{SSL_CTX_callback_ctrl, SSL_CTX_ctrl, SSL_CTX_new};
use crate::abi::loaders::SSL_CTX_use_certificate;
use crate::abi::status;
use crate::arguments::{foreign, number};
use crate::handshake::{self, Answer};
use crate::host::types::{AnyFunction, StatusCallback};
use crate::libssl::LIBSSL;
use crate::pki::PKI;
use crate::take::Take;

const EXTRA_CHAIN_CERT: c_int = 14;
const SET_CB: c_int = 63;
const SET_ARG: c_int = 64;
const SET_TYPE: c_int = 65;
const GET_TYPE: c_int = 127;
const GET_CB: c_int = 128;
const GET_ARG: c_int = 129;

/// A context, its twin, and what the contract says of it.
pub struct Ctx {
    pub raw: *mut SSL_CTX,
    pub twin: *mut SSL_CTX,
    pub status_type: c_int,
    pub answer: Option<Answer>,
    pub argument: *mut c_void,
}

impl Ctx {
    pub fn new(is_server: bool) -> Self {
        // SAFETY: methods are static, contexts new, and the certificate is read anew.
        unsafe {
            let method = if is_server {
                LIBSSL.TLS_server_method
            } else {
                LIBSSL.TLS_client_method
            };
            let raw = SSL_CTX_new(method());
            let twin = (LIBSSL.SSL_CTX_new)(method());
            assert!(!raw.is_null() && !twin.is_null());
            if is_server {
                let leaf = LIBSSL.certificate(&PKI.leaf.der());
                assert_eq!(SSL_CTX_use_certificate(raw, leaf), 1);
                (LIBSSL.X509_free)(leaf);
                LIBSSL.use_key(raw, PKI.leaf.key.pem());
                let issuer = LIBSSL.certificate(&PKI.ca.der());
                assert_eq!(SSL_CTX_ctrl(raw, EXTRA_CHAIN_CERT, 0, issuer.cast()), 1);
            }
            Self {
                raw,
                twin,
                status_type: -1,
                answer: None,
                argument: ptr::null_mut(),
            }
        }
    }

    /// One call of the family on the context.
    pub fn family(&mut self, input: &mut Take) {
        let (named, larg) = (input.byte() & 1 == 1, number(input));
        let as_int = c_int::try_from(larg);
        let mut out: *mut c_void = ptr::dangling_mut();
        // SAFETY: the context is valid, and so is what the calls write to.
        unsafe {
            match input.byte() % 8 {
                0 => {
                    let done = match as_int {
                        Ok(kind) if named => status::SSL_CTX_set_tlsext_status_type(self.raw, kind),
                        _ => SSL_CTX_ctrl(self.raw, SET_TYPE, larg, ptr::null_mut()),
                    };
                    let valid = matches!(larg, -1 | 1);
                    assert_eq!(done, c_long::from(valid), "set type {larg}");
                    if valid {
                        self.status_type = as_int.unwrap_or_default();
                    }
                }
                1 => {
                    let kind = if named {
                        status::SSL_CTX_get_tlsext_status_type(self.raw)
                    } else {
                        SSL_CTX_ctrl(self.raw, GET_TYPE, larg, ptr::null_mut())
                    };
                    assert_eq!(kind, c_long::from(self.status_type));
                }
                2 => {
                    let argument = ptr::without_provenance_mut(larg.cast_unsigned() as usize);
                    let done = if named {
                        status::SSL_CTX_set_tlsext_status_arg(self.raw, argument)
                    } else {
                        SSL_CTX_ctrl(self.raw, SET_ARG, 0, argument)
                    };
                    assert_eq!(done, 1);
                    self.argument = argument;
                }
                3 => {
                    let done = if named {
                        status::SSL_CTX_get_tlsext_status_arg(self.raw, &raw mut out)
                    } else {
                        SSL_CTX_ctrl(self.raw, GET_ARG, larg, (&raw mut out).cast())
                    };
                    assert_eq!((done, out), (1, self.argument));
                }
                4 => self.set_callback(named, input),
                5 => {
                    let done = if named {
                        status::SSL_CTX_get_tlsext_status_cb(self.raw, (&raw mut out).cast())
                    } else {
                        SSL_CTX_ctrl(self.raw, GET_CB, larg, (&raw mut out).cast())
                    };
                    let expected = self
                        .answer
                        .map_or(ptr::null_mut(), |_| handshake::callback_address());
                    assert_eq!((done, out), (1, expected));
                }
                // Nowhere to write to, and no context at all.
                6 => {
                    for command in [GET_CB, GET_ARG] {
                        assert_eq!(SSL_CTX_ctrl(self.raw, command, larg, ptr::null_mut()), 0);
                    }
                }
                _ => {
                    for command in [SET_ARG, SET_TYPE, GET_TYPE, GET_CB, GET_ARG] {
                        let failure = if command == GET_TYPE { -1 } else { 0 };
                        let answer =
                            SSL_CTX_ctrl(ptr::null_mut(), command, larg, (&raw mut out).cast());
                        assert_eq!(answer, failure, "command {command} of no context");
                    }
                }
            }
        }
    }

    fn set_callback(&mut self, named: bool, input: &mut Take) {
        let answer = Answer::of(input.byte());
        let callback = answer.map(|_| handshake::CALLBACK);
        // SAFETY: the context is valid; with this command the pointer is a status
        // callback, whatever its declared type.
        let done = unsafe {
            if named {
                status::SSL_CTX_set_tlsext_status_cb(self.raw, callback)
            } else {
                let callback =
                    std::mem::transmute::<Option<StatusCallback>, Option<AnyFunction>>(callback);
                SSL_CTX_callback_ctrl(self.raw, SET_CB, callback)
            }
        };
        assert_eq!(done, 1);
        self.answer = answer;
    }

    /// A command that is none of ours: the twin answers alike.
    pub fn pass(&mut self, input: &mut Take) {
        let (command, larg) = foreign(input, &[33, 40, 41, 42, 43, 44, 45, 50, 52]);
        // SAFETY: the contexts are valid, and these commands take numbers.
        let answers = unsafe {
            (
                SSL_CTX_ctrl(self.raw, command, larg, ptr::null_mut()),
                (LIBSSL.SSL_CTX_ctrl)(self.twin, command, larg, ptr::null_mut()),
            )
        };
        assert_eq!(answers.0, answers.1, "SSL_CTX_ctrl {command} {larg}");
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        // SAFETY: both are this one's own; SSLs hold references of theirs.
        unsafe {
            (LIBSSL.SSL_CTX_free)(self.raw);
            (LIBSSL.SSL_CTX_free)(self.twin);
        }
    }
}
