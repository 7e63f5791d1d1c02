//! What the status_request family means, whichever way it is called.

pub mod adopt;
pub mod api;
pub mod callback;
pub mod certificates;
mod chain;
pub mod client;
mod configured_issuers;
pub mod connection;
pub mod context;
pub mod deferred;
mod issuer;
pub mod load;
mod place;
mod presented;
mod response;
mod server;
