//! `staplegun agent`: keeps a valid response for every certificate of its store, in the live map
//! and in plain files.
//!
//! From the bottom up: `decision` says what to do with what came and when to ask again, `known`
//! what was known before a restart, and both do nothing; `keeper` holds map and files (`live` those
//! that follow the map), `roster` the certificates (`round`: part by part),
//! `responders` how those do that are asked; `chains` those that came along with others (`leaves`:
//! how many hang on which); `survey` and `tally` are how all of it stands at a time; `daemon` has all
//! of these; `fill`, `intake`, `intermediates`, `brought`, `asking`, `expiry`, `outcome` and `shared`
//! bring together what comes from outside and the decisions; `surveying` looks at everything for who asks, who has it told in
//! numbers by `figures`; `event_loop` is the main thread, which alone decides, and `pool`, `inbox`,
//! `lister`, `staples`, `scribe`, `watch`, `signals`, `lifetime`, `metrics` and `http` are the others
//! (`worker`: those that are waited for at the end, and what panics).

mod addresses;
mod asking;
mod brought;
mod budget;
mod chain;
mod chains;
mod clock;
mod configuration;
mod counters;
mod daemon;
mod decision;
mod errands;
mod event;
mod event_loop;
mod examine;
mod expiry;
mod exposition;
mod figures;
mod figures_of_certificates;
mod figures_of_fleet;
mod fill;
mod forgiving;
mod http;
mod inbox;
mod intake;
mod intermediates;
mod keeper;
mod known;
mod lanes;
mod leaves;
mod lifetime;
pub mod list;
mod lister;
mod live;
mod log;
mod log_limits;
pub mod mapped;
mod metrics;
mod modest;
mod named;
mod outcome;
mod passed_over;
mod place;
mod pool;
mod refusals;
mod responders;
mod roster;
mod round;
mod scribe;
pub mod sentence;
mod settings;
mod shared;
mod shelf;
mod signals;
mod standby;
mod staples;
mod start;
mod stored;
mod survey;
mod surveying;
mod systemd;
mod tally;
#[cfg(test)]
mod testing;
pub mod unreadable;
mod user;
mod watch;
mod worker;

pub use clock::{now, random};
pub use configuration::Configuration;
pub use decision::{Decision, Why, decide};
pub use known::{note, recover};
pub use log::start as start_log;
pub use named::Named;
pub use place::Place;
pub use settings::SYSTEM_FILE;
pub use start::{Args, FAILED, run};
pub use worker::{Worker, caught};
