//! What the status_request family means, whichever way it is called.

pub mod adopt;
pub mod api;
mod callback;
mod certificates;
mod chain;
pub mod client;
mod configured_issuers;
mod connection;
mod context;
pub mod deferred;
pub mod load;
mod place;
mod presented;
mod response;
mod server;
