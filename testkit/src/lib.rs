//! What the tests need from the outside world, made when they run:
//! certificates, responses of every kind, responders with every fault, real
//! servers as children, and real clients as judges.
//!
//! Everything here panics with a clear message when it cannot do its work: a
//! test tool has no caller who could do better.
#![forbid(unsafe_code)]

pub mod cases;
pub mod clients;
pub mod contract;
pub mod directory;
pub mod hosts;
pub mod images;
pub mod judge;
pub mod key;
pub mod pki;
pub mod process;
pub mod program;
pub mod responder;
pub mod response;
pub mod shim;
pub mod site;
pub mod wait;

pub use clients::{ClientProgram, SServer, Target, Visit};
pub use directory::Directory;
pub use hosts::Host;
pub use images::Image;
pub use judge::{Client, Handshake, Tls};
pub use key::{Key, KeyKind};
pub use pki::{Identity, Spec};
pub use program::{Program, Server};
pub use response::Response;
pub use shim::Shim;
pub use site::Site;
pub use x509_ocsp::OcspResponseStatus;
