//! What the status_request family means, whichever way it is called.

pub mod api;
pub mod callback;
pub mod certificate;
pub mod certificates;
pub mod client;
pub mod connection;
pub mod context;
mod issuer;
mod missing_issuers;
mod server;
