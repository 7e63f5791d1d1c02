//! Real servers, each started as its package starts it, stapling from the live
//! map: from the first handshake, through a renewal that is published while it
//! runs confined, and through a reload with a new certificate.
//!
//! With STAPLEGUN_PROGRAMS=full (`make check-programs`) each is also probed by
//! gnutls-cli, started plainly and with a response file, its own stapling is
//! turned on where it has that, and its row of docs/programs.md is compared.
//! Else it is the quick part: s_client and the live map. With STAPLEGUN_OPENSSL the
//! servers run on the OpenSSL in that directory instead of the system's.

mod confinement;
mod document;
mod fetching;
mod gnutls;
mod live_map;
mod ring;
mod servers;
