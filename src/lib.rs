//! libstaplegun: OCSP stapling for every program that uses OpenSSL, without
//! changing the program.
//!
//! This library is preloaded into programs, linked by them, or opened by them.
//! It exports:
//!
//! | names | where | for |
//! |---|---|---|
//! | the status_request family, `staplegun_version` | `abi/status.rs`, `include/staplegun.h` | callers that look functions up by name; C programs that link us |
//! | `SSL_ctrl`, `SSL_CTX_ctrl`, `SSL_CTX_callback_ctrl` | `abi/interpose.rs` | compiled programs, for which each name of the family is a macro over these |
//! | `SSL_CTX_new`, `SSL_CTX_new_ex` | `abi/interpose.rs` | contexts get our callback when they are made |
//! | `OPENSSL_init_ssl` | `abi/init.rs` | the live map is mapped when a program starts, before it enters a chroot |
//! | `SSL_new` | `abi/interpose.rs` | what a handshake has left to be done is done before the next one |
//! | `SSL_CTX_load_verify_*`, `SSL_CTX_set_default_verify_*`, `SSL_CTX_set[1]_cert_store` | `abi/issuers.rs` | one of those certificates may be the issuer of the server's |
//! | `SSL_set_session` | `abi/interpose.rs` | a client offers only sessions that were checked |
//! | `SSL[_CTX]_use_certificate` and its variants, `SSL[_CTX]_use_cert_and_key` | `abi/loaders.rs` | a response is looked for when its certificate is loaded |
//!
//! A call goes down one way: `abi`, `status`, `staples`, `verify`, `host`.
//! Nothing imports upward. It runs inside other people's processes: every entry
//! and callback ends panics, after which the process goes on as without us; nothing
//! waits, spawns, or writes unasked.

#[cfg(not(panic = "unwind"))]
compile_error!("panics must unwind: each entry turns a panic into the real function's behaviour");

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("some entries take the address that they return to, by code for x86-64 and arm64");

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!("the feature `faults` is for tests: no release is built with it");

mod abi;
mod config;
mod host;
mod log;
mod shared;
mod staples;
mod status;
mod verify;

/// Runs when the library is loaded. It reads the environment, which programs
/// clear later, and does nothing else.
extern "C" fn constructor() {
    host::guard::begin(&(log::stopped as fn(&str)));
    host::guard::work((), || {
        config::get();
        host::output::remember_stderr();
    });
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;
