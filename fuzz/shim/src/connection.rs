//! One SSL of the world, and the calls that are made on it.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use openssl_sys::SSL;

use crate::abi::interpose::SSL_ctrl;
use crate::abi::status;
use crate::arguments::{foreign, number};
use crate::libssl::LIBSSL;
use crate::take::Take;

const SET_TYPE: c_int = 65;
const GET_RESPONSE: c_int = 70;
const SET_RESPONSE: c_int = 71;
const GET_TYPE: c_int = 127;

/// An SSL, its twin, and what the contract says of it.
pub struct Connection {
    pub raw: *mut SSL,
    pub twin: *mut SSL,
    pub is_server: bool,
    pub status_type: c_int,
    /// The response that the program set: where, and how long.
    pub response: Option<(*mut u8, usize)>,
}

impl Connection {
    /// One call of the family on the SSL.
    pub fn family(&mut self, input: &mut Take) {
        let (named, larg) = (input.byte() & 1 == 1, number(input));
        let as_int = c_int::try_from(larg);
        let mut out: *mut c_void = ptr::dangling_mut();
        // SAFETY: the SSL is valid, and so is what the calls write to.
        unsafe {
            match input.byte() % 9 {
                0 => {
                    let done = match as_int {
                        Ok(kind) if named => status::SSL_set_tlsext_status_type(self.raw, kind),
                        _ => SSL_ctrl(self.raw, SET_TYPE, larg, ptr::null_mut()),
                    };
                    let valid = matches!(larg, -1 | 1);
                    assert_eq!(done, c_long::from(valid), "set type {larg}");
                    if valid {
                        self.status_type = as_int.unwrap_or_default();
                    }
                }
                1 => {
                    let kind = if named {
                        status::SSL_get_tlsext_status_type(self.raw)
                    } else {
                        SSL_ctrl(self.raw, GET_TYPE, larg, ptr::null_mut())
                    };
                    assert_eq!(kind, c_long::from(self.status_type));
                }
                // A new response, with whatever length the program gives it.
                2 | 3 => {
                    let bytes = input.bytes(usize::from(larg.cast_unsigned() as u8));
                    let block = LIBSSL.block(bytes);
                    let honest = c_long::try_from(bytes.len()).unwrap_or(0);
                    let length = if larg < 0 { larg } else { honest };
                    if !self.set(named, block, length) {
                        LIBSSL.free(block);
                    }
                }
                // What the program was lent, handed over again.
                4 => {
                    let Some((block, before)) = self.response else {
                        return;
                    };
                    let before = c_long::try_from(before).unwrap_or(0);
                    self.set(named, block, larg.min(before));
                }
                5 => drop(self.set(named, ptr::null_mut(), larg)),
                6 | 7 => self.get(named, larg),
                _ => {
                    assert_eq!(SSL_ctrl(self.raw, GET_RESPONSE, larg, ptr::null_mut()), -1);
                    let none = ptr::null_mut();
                    assert_eq!(
                        SSL_ctrl(none, GET_RESPONSE, larg, (&raw mut out).cast()),
                        -1
                    );
                    assert_eq!(SSL_ctrl(none, SET_RESPONSE, 0, ptr::null_mut()), 0);
                    assert!(out.is_null());
                }
            }
        }
        self.get(named, larg);
    }

    /// Sets a response; true if it was taken.
    ///
    /// # Safety
    /// `block` must be NULL, the program's, or what it was lent, and hold `length`
    /// bytes if that is positive.
    unsafe fn set(&mut self, named: bool, block: *mut u8, length: c_long) -> bool {
        // SAFETY: the caller vouches for the block.
        let done = unsafe {
            match c_int::try_from(length) {
                Ok(length) if named => {
                    status::SSL_set_tlsext_status_ocsp_resp(self.raw, block, length)
                }
                _ => SSL_ctrl(self.raw, SET_RESPONSE, length, block.cast()),
            }
        };
        let fits = c_int::try_from(length).is_ok() && length >= 0;
        let valid = fits && (!block.is_null() || length == 0);
        assert_eq!(done, c_long::from(valid), "set {block:?} with {length}");
        if valid {
            let length = usize::try_from(length).unwrap_or(0);
            self.response = (length > 0).then_some((block, length));
        }
        valid
    }

    /// The program is lent what it set, at the same place.
    fn get(&self, named: bool, larg: c_long) {
        let mut out: *mut u8 = ptr::dangling_mut();
        // SAFETY: the SSL is valid, and the pointer is written to.
        let length = unsafe {
            if named {
                status::SSL_get_tlsext_status_ocsp_resp(self.raw, &raw mut out)
            } else {
                SSL_ctrl(self.raw, GET_RESPONSE, larg, (&raw mut out).cast())
            }
        };
        let expected = match self.response {
            Some((start, length)) => (start, c_long::try_from(length).unwrap_or(0)),
            None => (ptr::null_mut(), -1),
        };
        assert_eq!((out, length), expected);
    }

    /// A command that is none of ours: the twin answers alike.
    pub fn pass(&mut self, input: &mut Take) {
        let (command, larg) = foreign(input, &[8, 10, 12, 33, 40, 41, 50, 52]);
        // SAFETY: the SSLs are valid, and these commands take numbers.
        let answers = unsafe {
            (
                SSL_ctrl(self.raw, command, larg, ptr::null_mut()),
                (LIBSSL.SSL_ctrl)(self.twin, command, larg, ptr::null_mut()),
            )
        };
        assert_eq!(answers.0, answers.1, "SSL_ctrl {command} {larg}");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: both are this one's own, and not used again.
        unsafe {
            (LIBSSL.SSL_free)(self.raw);
            (LIBSSL.SSL_free)(self.twin);
        }
    }
}
