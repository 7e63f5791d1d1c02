//! What the tests need from the outside world, made when they run:
//! certificates, responses of every kind, responders with every fault, real
//! servers as children, and real clients as judges.
//!
//! Everything here panics with a clear message when it cannot do its work: a
//! test tool has no caller who could do better.
#![forbid(unsafe_code)]

pub mod directory;
pub mod key;
pub mod pki;
pub mod response;
pub mod site;

pub use directory::Directory;
pub use key::{Key, KeyKind};
pub use pki::{Identity, Spec};
pub use response::Response;
pub use site::Site;
pub use x509_ocsp::OcspResponseStatus;
