//! `staplegun run`, `check` and `probe` as operators use them: on real programs.

mod beside;
mod check;
mod given;
mod probe;
mod run;
mod support;
mod told;
