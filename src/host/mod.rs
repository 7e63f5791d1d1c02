//! The OpenSSL in this process: which libssl made an object, what functions it
//! has, and typed handles on its objects.

pub mod buffer;
pub mod ctx;
mod ex_data;
#[cfg(feature = "faults")]
mod fault;
mod functions;
pub mod guard;
mod handle;
mod image;
pub mod library;
pub mod library_context;
pub mod loaded;
pub mod memory;
mod object;
pub mod ocsp;
pub mod output;
pub mod peer;
pub mod process;
pub mod reasons;
pub mod route;
pub mod session;
pub mod ssl;
pub mod tables;
pub mod types;
#[cfg(staplegun_own_unwinder)]
mod unwinder;
pub mod x509;

pub use ex_data::Record;
