//! The agent as its users meet it: the real program, real files, responders that
//! do right and wrong. What counts is what the live map serves afterwards, and
//! which cause is told.

mod bring;
mod clock;
mod connections;
mod crowd;
mod disk;
mod faults;
mod fleet;
mod flood;
mod intermediates;
mod inward;
mod issuers;
mod judgement;
mod life;
mod live;
mod main_thread;
mod metrics;
mod naming;
mod page;
mod proxies;
mod real;
mod redirects;
mod remade;
mod removal;
mod renewal;
mod renewed;
mod revoked;
mod scene;
mod sentences;
mod served;
mod spool;
mod store;
mod support;
mod umask;
mod watching;
mod ways;
mod words;
