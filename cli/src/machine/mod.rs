//! What runs on this machine and where it listens, as far as this user may see: what
//! `scan` and `enable` both look at. Nothing here changes anything.

pub mod ports;
pub mod process;
pub mod protocol;
pub mod served;
pub mod shown;
pub mod sockets;
pub mod tls;
pub mod unit;
