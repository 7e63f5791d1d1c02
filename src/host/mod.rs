//! The OpenSSL in this process: which libssl made an object, what functions it
//! has, and typed handles on its objects.

mod ex_data;
mod functions;
mod image;
pub mod guard;
pub mod ocsp;
pub mod origin;
pub mod library;
pub mod loaded;
pub mod memory;
pub mod output;
pub mod route;
pub mod ssl;
pub mod ctx;
pub mod buffer;
pub mod x509;
pub mod types;

pub use ex_data::Record;
