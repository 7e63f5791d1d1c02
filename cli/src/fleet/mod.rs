//! One fetch for a fleet: what one agent fetched the others take from a Redis or Valkey
//! between them. Nothing from there is believed: it is judged as a responder's answer is.
//!
//! From the bottom up: `rank` says which of two responses goes before the other, `course`
//! what is done for one certificate, `share` whose turn it is to ask whatever others have, `breaker`
//! whether the store is used at all, `places` how many go on at once, and
//! `desk` for all certificates together: these do nothing themselves, so that the
//! tests can run them in every order. `keys` and `ask` are the store's side: its keys, and
//! the commands with what they mean. `resp` is the protocol, `address`, `secret`, `tls`,
//! `socket`, `greeting`, `sentinel` and `link` are the way there. `work` brings all of it together:
//! it obeys the desk, `replies` says what follows from what the store says, after `judging` what
//! lies there, and `recovery` from a panic; `word` is what it and the main thread tell each other, and `thread` what that sees. The main thread's part stands in `agent/shared.rs`.

mod address;
mod ask;
mod breaker;
mod command;
mod counters;
mod course;
mod desk;
mod greeting;
mod judging;
mod keys;
mod link;
#[cfg(test)]
mod model;
mod places;
mod rank;
mod recovery;
mod replies;
mod resp;
mod secret;
mod sentinel;
mod settings;
mod share;
#[cfg(test)]
mod simulation;
mod socket;
mod thread;
mod tls;
mod trouble;
mod word;
mod work;

pub use ask::Stored;
pub use command::{Args, FAILED, run};
pub use counters::{CAUSES, Counters, count};
pub use greeting::Way;
pub use places::Limits;
pub use rank::Rank;
pub use settings::FleetSettings;
pub use share::{Share, believed, own};
pub use thread::Fleet;
pub use word::{Due, Seen, Word};
