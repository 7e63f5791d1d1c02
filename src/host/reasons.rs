//! Error reasons of our own, so that a program that prints OpenSSL's error queue
//! says why a client's handshake was refused.

use std::ffi::{CStr, c_int, c_ulong};
use std::ptr;

use super::memory::try_box;
use super::tables::{Crypto, ErrorString};

/// Why a client refuses a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A certificate of the chain is revoked.
    Revoked = 1,
    /// The responder does not know it.
    Unknown,
    /// The response is past its nextUpdate.
    Expired,
    /// The response is not valid yet.
    NotYetValid,
    /// The response is about another certificate.
    WrongCertificate,
    /// Nobody signed it who may.
    BadSignature,
    /// The responder gave an error instead of a status.
    ErrorStatus,
    /// It is no OCSP response.
    Malformed,
    /// There is none, and there must be one.
    Missing,
    /// The server's certificate was not verified, so that no response counts.
    NotVerified,
    /// The check itself could not be done.
    Internal,
}

const ALL: [(Reason, &CStr); 11] = [
    (Reason::Revoked, c"OCSP status: revoked"),
    (Reason::Unknown, c"OCSP status: unknown"),
    (Reason::Expired, c"OCSP response: expired"),
    (Reason::NotYetValid, c"OCSP response: not yet valid"),
    (
        Reason::WrongCertificate,
        c"OCSP response: for another certificate",
    ),
    (
        Reason::BadSignature,
        c"OCSP response: bad signature or signer",
    ),
    (Reason::ErrorStatus, c"OCSP response: error status"),
    (Reason::Malformed, c"OCSP response: malformed"),
    (Reason::Missing, c"OCSP response: required and not stapled"),
    (
        Reason::NotVerified,
        c"OCSP response: certificate not verified",
    ),
    (Reason::Internal, c"OCSP response: cannot be checked"),
];

/// The number under which one libcrypto knows our reasons.
pub struct Reasons {
    library: c_int,
    /// Where the tables are: libcrypto, which alone refers to them, forgets them
    /// at exit, and a leak checker would count them.
    _tables: [usize; 2],
}

impl Reasons {
    /// Takes a number and loads the strings, which libcrypto refers to for good.
    pub fn load(crypto: &'static Crypto) -> Option<Reasons> {
        let (next, load) = (crypto.ERR_get_next_error_library?, crypto.ERR_load_strings?);
        let text = |error: c_int, string: &'static CStr| ErrorString {
            error: error as c_ulong,
            string: string.as_ptr(),
        };
        // SAFETY: it has no preconditions.
        let library = unsafe { next() };
        // ERR_PACK of the library alone: 3.0 has moved it by a bit.
        let shift = if crypto.ERR_new.is_some() { 23 } else { 24 };
        let names = try_box([
            text((library & 0xff) << shift, c"staplegun"),
            ErrorString::END,
        ])?;
        let mut reasons = [const { ErrorString::END }; ALL.len() + 1];
        for (place, (reason, string)) in reasons.iter_mut().zip(ALL) {
            *place = text(reason as c_int, string);
        }
        let reasons = try_box(reasons)?;
        let (names, reasons) = (Box::into_raw(names), Box::into_raw(reasons));
        // SAFETY: both tables are ended by an entry of zeros, writable (libcrypto
        // adds the library's number to each code) and never freed.
        unsafe {
            load(0, names.cast());
            load(library, reasons.cast());
        }
        Some(Reasons {
            library,
            _tables: [names.expose_provenance(), reasons.expose_provenance()],
        })
    }

    /// Puts `reason` on this thread's error queue.
    pub fn queue(&self, crypto: &Crypto, reason: Reason) {
        // SAFETY: these functions take any numbers. ERR_set_error is variadic in
        // C; with a NULL format it reads no further argument, and on Linux's
        // ABIs such a call looks like any other.
        unsafe {
            if let (Some(new), Some(set)) = (crypto.ERR_new, crypto.ERR_set_error) {
                new();
                set(self.library, reason as c_int, ptr::null());
            } else if let Some(put) = crypto.ERR_put_error {
                put(self.library, 0, reason as c_int, c"staplegun".as_ptr(), 0);
            }
        }
    }
}
