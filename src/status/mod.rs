//! What the status_request family means, whichever way it is called.

pub mod api;
pub mod callback;
pub mod certificate;
pub mod certificates;
mod chain;
pub mod client;
mod configured_issuers;
pub mod connection;
pub mod context;
pub mod deferred;
mod issuer;
mod response;
mod server;
