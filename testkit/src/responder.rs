//! Responders: the real one that openssl brings, and one that does whatever a
//! test wants it to do wrong.

mod faulty;
mod http;
mod openssl;

pub use faulty::{Behaviour, FaultyResponder, Refused};
pub use http::Request;
pub use openssl::{OpensslResponder, Status};
