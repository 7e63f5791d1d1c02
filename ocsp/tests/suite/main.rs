//! What the crate promises, held against hand-made DER, against x509-ocsp and
//! against OpenSSL's own tools.
#![forbid(unsafe_code)]

mod certificate;
mod encoding;
mod faults;
mod hostile;
mod identity;
mod judge;
mod key;
mod mint;
mod openssl;
mod request;
mod response;
mod schedule;
mod unstapled;
