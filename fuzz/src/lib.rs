//! What every fuzz target does with an input, and what must hold for each.
//!
//! A target is a function that takes any bytes and panics when the code under test
//! breaks its word. `targets/` hands them to libFuzzer, `tests/` replays the corpus
//! with bounded mutations. The library's own targets stand in the crate `shim`,
//! because a binary with them has OpenSSL's names.

// The program's own modules, as it is built. What it does with the rest of them is
// not looked at here.
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/agent/mod.rs"]
mod agent;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/complain.rs"]
mod complain;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/fetch/mod.rs"]
mod fetch;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/fleet/mod.rs"]
mod fleet;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/libc_version.rs"]
mod libc_version;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/libcrypto.rs"]
mod libcrypto;

pub mod answer;
pub mod certificate;
pub mod certificate_file;
pub mod entries;
pub mod headers;
pub mod known;
pub mod map;
pub mod notes;
pub mod response;
pub mod scratch;
pub mod spool;
pub mod take;

/// A target by its name, which is also that of its directory in the corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this crate.
pub const TARGETS: [Target; 9] = [
    ("answer", answer::run),
    ("certificate", certificate::run),
    ("certificate_file", certificate_file::run),
    ("entries", entries::run),
    ("headers", headers::run),
    ("map", map::run),
    ("notes", notes::run),
    ("response", response::run),
    ("spool", spool::run),
];
