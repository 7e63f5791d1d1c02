//! Real programs as clients under each policy (STAPLEGUN_CLIENT), against servers
//! that staple what they are given, right or wrong.
//!
//! With STAPLEGUN_CLIENTS=full every client meets every staple on both servers;
//! else curl and Python meet all of s_server's, and the others the telling ones.

mod document;
mod programs;
mod resumption;
mod stapled;
mod verdicts;
