//! `staplegun run`, `check` and `probe` as operators use them: on real programs.

mod check;
mod probe;
mod run;
mod support;
