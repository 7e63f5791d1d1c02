//! OCSP without I/O: what a certificate says about its status, requests,
//! responses, and when to ask again.
//!
//! This crate runs inside other people's processes as well as in the agent, so
//! it keeps to four rules. It does no I/O and reads no clock: the time is always
//! passed in. It never panics, whatever the input. It refuses inputs of more than
//! 64 KiB before it looks at them, and copies little, so what it allocates is
//! bounded. And it has no cryptography but the hashes of a certID: signatures
//! belong to a libcrypto, which the caller lends as [`Signatures`].
//!
//! The path of a response:
//!
//! 1. [`Certificate::from_der`] for leaf and issuer, [`Identity::new`] for the pair;
//! 2. [`request::encode`] and [`request::HttpRequest`] to ask;
//! 3. [`judge()`] for what the answer is worth, [`better`] for whether it takes the
//!    place of the one before;
//! 4. [`schedule`], with what [`http`] reads from the headers, for the time of
//!    the next request.
//!
//! Sources: RFC 6960 (OCSP), RFC 5019 (its profile for high volume), RFC 5280
//! (certificates), RFC 7633 (TLS feature, must-staple), RFC 9654 (nonce).

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod asn1;
pub mod certificate;
mod extensions;
pub mod fault;
pub mod http;
pub mod identity;
pub mod judge;
pub mod key;
mod limits;
mod name;
pub mod request;
pub mod response;
pub mod schedule;
pub mod single;
mod text;
pub mod time;
pub mod unstapled;
pub mod validity;

pub use certificate::{Certificate, CertificateError};
pub use fault::Fault;
pub use identity::{CertId, HashAlgorithm, Identity};
pub use judge::{Judged, Policy, Refusal, Signatures, Verdict, better, judge};
pub use limits::{CLOCK_SKEW, LIFE_WITHOUT_NEXT_UPDATE, MAX_RESPONSE};
pub use response::{Response, Signer};
pub use single::{Single, Status};
pub use text::printable;
pub use time::UnixTime;
pub use unstapled::Unstapled;
pub use validity::Validity;
