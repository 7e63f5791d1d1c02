//! Real servers as hosts of the library, each with the smallest configuration
//! that speaks TLS.

mod haproxy;
mod nginx;
pub(crate) mod postgres;
mod python;
mod redis;

pub use haproxy::HaProxy;
pub use nginx::Nginx;
pub use postgres::Postgres;
pub use python::Python;
pub use redis::Redis;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;

use crate::judge::Client;
use crate::program::Server;
use crate::shim::Shim;
use crate::site::Site;

/// A server that can be started for a site, with or without the library.
pub trait Host {
    /// Starts it and waits until it listens.
    fn start(&self, site: &Site, shim: &Shim) -> Server;

    /// A client that can talk to it.
    fn client(&self, server: &Server, site: &Site) -> Client {
        Client::new(server.port(), &site.path("ca.pem"))
    }
}

/// The first of the paths that exists; a panic says which package is missing.
fn installed(paths: &[&str], package: &str) -> PathBuf {
    let found = paths.iter().map(Path::new).find(|path| path.exists());
    found.map(Path::to_owned).unwrap_or_else(|| {
        panic!(
            "none of {} exists; install the Debian package {package}, \
             or all that the tests need with: tools/debian-packages",
            paths.join(", ")
        )
    })
}

/// Makes `user` the owner of `path` and all below it, if the tests run as root.
fn give_to(path: &Path, user: &str) {
    if !getuid().is_root() {
        return;
    }
    let status = Command::new("chown").args(["-R", user]).arg(path).status();
    let given = status.is_ok_and(|status| status.success());
    assert!(given, "cannot give {} to {user}", path.display());
}

/// Copies a private key so that only its new owner can read it, as servers demand.
fn private_copy(key: &Path, to: &Path) {
    fs::copy(key, to).unwrap_or_else(|e| panic!("cannot copy the key: {e}"));
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert_eq!(fs::metadata(to).expect("it is there").mode() & 0o777, 0o600);
}
