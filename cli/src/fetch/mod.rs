//! Getting a response for a certificate: the rules for asking and for judging,
//! which the agent uses as well, and `staplegun fetch`, which does it once.

mod accepted;
mod address;
mod ca_issuers;
mod client;
mod command;
mod container;
mod dial;
mod failure;
mod issuer;
mod judge;
mod output;
mod overrides;
mod pem;
mod proxy;
mod reach;
mod remembered;
mod resolve;
mod responder;
mod staple;
mod store;
mod subject;
mod trust;
mod verify;
mod ways;

pub use address::port_of;
pub use client::{Client, Patience};
pub use command::{Args, FAILED, run};
pub use failure::{Failure, Kind};
pub use issuer::{Issuer, Issuers};
pub use judge::judge;
pub use overrides::Override;
pub use proxy::{Proxies, ProxySettings};
pub use remembered::Responders;
pub use responder::{
    Asked, Failed, Fetched, Manner, Question, Received, fetch, may_have_responder, responders_of,
};
pub use staple::Staple;
pub use subject::{Issued, Subject, issuer_beside};
pub use trust::Trust;
