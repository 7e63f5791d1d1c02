//! The library's own targets: its environment, and its control functions.
//!
//! The library's modules are built in here as they are, so that libFuzzer sees
//! their branches and AddressSanitizer their memory. libssl is opened as a plug-in
//! would be, so all that is under test is what this crate calls by name.

// What the targets do not reach is not looked at here.
#[allow(dead_code, missing_docs)]
#[path = "../../../src/abi/mod.rs"]
mod abi;
#[allow(dead_code)]
#[path = "../../../src/config.rs"]
mod config;
#[allow(dead_code)]
#[path = "../../../src/host/mod.rs"]
mod host;
#[allow(dead_code)]
#[path = "../../../src/log.rs"]
mod log;
#[allow(dead_code)]
#[path = "../../../src/shared/mod.rs"]
mod shared;
#[allow(dead_code)]
#[path = "../../../src/staples/mod.rs"]
mod staples;
#[allow(dead_code)]
#[path = "../../../src/status/mod.rs"]
mod status;
#[path = "../../../src/verify.rs"]
mod verify;

#[path = "../../src/scratch.rs"]
pub mod scratch;
#[path = "../../src/take.rs"]
pub mod take;

mod arguments;
mod connection;
mod context;
pub mod controls;
pub mod environment;
pub mod handshake;
pub mod libssl;
pub mod pki;

/// A target by its name, which is also that of its directory in the corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this crate.
pub const TARGETS: [Target; 2] = [
    ("controls", controls::run),
    ("environment", environment::run),
];
