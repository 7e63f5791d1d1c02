//! `staplegun run`, `check` and `probe` as operators use them: on real programs.

mod beside;
mod chain;
mod check;
mod enable;
mod given;
mod libc;
mod machine;
mod ports;
mod probe;
mod run;
mod scan;
mod scan_output;
mod scanning;
mod support;
mod told;
