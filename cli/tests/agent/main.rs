//! The agent as its users meet it: the real program, real files, responders that
//! do right and wrong. What counts is what the live map serves afterwards, and
//! which cause is told.

mod bring;
mod clock;
mod connections;
mod crowd;
mod disk;
mod faults;
mod flood;
mod inward;
mod issuers;
mod judgement;
mod life;
mod main_thread;
mod naming;
mod proxies;
mod real;
mod redirects;
mod remade;
mod removal;
mod renewal;
mod revoked;
mod sentences;
mod spool;
mod store;
mod support;
mod umask;
mod ways;
mod words;
