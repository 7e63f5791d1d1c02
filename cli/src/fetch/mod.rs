//! Getting a response for a certificate: the rules for asking and for judging,
//! which the agent uses as well, and `staplegun fetch`, which does it once.

mod command;
mod dial;
mod failure;
mod http;
mod issuer;
mod judge;
mod overrides;
mod responder;
mod store;
mod subject;
mod verify;

pub use command::{Args, FAILED, run};
pub use failure::{Failure, Kind};
pub use http::Patience;
pub use judge::{Staple, Verdict, judge};
pub use overrides::Override;
pub use responder::{Fetched, Manner, Received, fetch, responders_of};
pub use subject::{Subject, issuer_beside};
pub use verify::Trust;
