//! The C names, and nothing else: each entry finds the library, turns pointers
//! into typed handles, and hands on.

mod entry;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod init;
pub mod interpose;
pub mod loaders;
pub mod status;
