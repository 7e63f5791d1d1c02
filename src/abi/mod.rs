//! The C names, and nothing else: each entry finds the library, turns pointers
//! into typed handles, and hands on.

mod entry;
pub mod init;
pub mod interpose;
pub mod issuers;
pub mod loaders;
mod operation;
pub mod status;
