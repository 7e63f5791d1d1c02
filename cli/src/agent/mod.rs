//! `staplegun agent`: keeps a valid response for every certificate of its store,
//! in the live map and in plain files.
//!
//! From the bottom up: `decision` says what to do with what came and when to ask
//! again, `known` what was known before a restart, and both do nothing; `keeper` holds map and files, `roster` the
//! certificates; `fill`, `intake`, `brought`, `asking` and `outcome` bring together what comes from
//! outside and the decisions; `daemon` is the main thread, which alone decides, and
//! `pool`, `inbox`, `lister`, `scribe`, `watch`, `signals`, `lifetime` and `metrics` are the others
//! (`worker`: those that are waited for at the end).

mod addresses;
mod asking;
mod brought;
mod budget;
mod clock;
mod configuration;
mod counters;
mod daemon;
mod decision;
mod event;
mod examine;
mod expiry;
mod fill;
mod forgiving;
mod inbox;
mod intake;
mod keeper;
mod known;
mod lanes;
mod lifetime;
pub mod list;
mod lister;
mod log;
mod log_limits;
pub mod mapped;
mod metrics;
mod metrics_server;
mod modest;
mod outcome;
mod passed_over;
mod place;
mod pool;
mod refusals;
mod roster;
mod scribe;
pub mod sentence;
mod settings;
mod shelf;
mod signals;
mod stamp;
mod start;
mod systemd;
pub mod unreadable;
mod user;
mod watch;
mod worker;

pub use clock::now;
pub use configuration::Configuration;
pub use decision::{Decision, Why, decide};
pub use known::{note, recover};
pub use log::start as start_log;
pub use outcome::CAUSE_REVOKED;
pub use place::Place;
pub use start::{Args, FAILED, run};
