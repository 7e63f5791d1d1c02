//! What every server is asked, and what many of them need.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::judge::Client;
use crate::program::Server;
use crate::shim::Shim;
use crate::site::Site;

/// A server that can be started for a site, with or without the library.
pub trait Host {
    /// Starts it and waits until it listens.
    fn start(&self, site: &Site, shim: &Shim) -> Server;

    /// The protocol that it speaks before TLS, by the name that `openssl
    /// s_client -starttls` has for it, and `gnutls-cli --starttls-proto` if it
    /// speaks that.
    fn starttls(&self) -> Option<&'static str> {
        None
    }

    /// A client that can talk to it.
    fn client(&self, server: &Server, site: &Site) -> Client {
        let client = Client::new(server.port(), &site.path("ca.pem"));
        match self.starttls() {
            Some(protocol) => client.starttls(protocol),
            None => client,
        }
    }

    /// Lets it load its certificate again, as its package's reload does, and
    /// says how; it may take a moment after that. `None` if it cannot.
    fn reload(&self, _server: &Server, _site: &Site) -> Option<&'static str> {
        None
    }
}

/// The first of the paths that exists; a panic says which package is missing. A file of
/// that name in the directory that STAPLEGUN_SERVERS names comes before it.
pub fn installed(paths: &[&str], package: &str) -> PathBuf {
    let others = std::env::var_os("STAPLEGUN_SERVERS");
    let others = others.iter().flat_map(|directory| {
        let names = paths.iter().filter_map(|path| Path::new(path).file_name());
        names.map(|name| Path::new(directory).join(name))
    });
    let found = others.chain(paths.iter().map(PathBuf::from));
    let mut found = found.filter(|path| path.exists());
    found.next().unwrap_or_else(|| {
        panic!(
            "none of {} exists; install the Debian package {package}, \
             or all that the tests need with: tools/debian-packages",
            paths.join(", ")
        )
    })
}

/// Tells a server to load its configuration again.
pub fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid().cast_signed()).expect("not zero");
    kill_process(pid, signal).expect("the server runs");
}

/// Makes `user` the owner of `path` and all below it, if the tests run as root.
pub fn give_to(path: &Path, user: &str) {
    if !getuid().is_root() {
        return;
    }
    let status = Command::new("chown").args(["-R", user]).arg(path).status();
    let given = status.is_ok_and(|status| status.success());
    assert!(given, "cannot give {} to {user}", path.display());
}

/// Copies a private key so that only its new owner can read it, as servers demand.
pub fn private_copy(key: &Path, to: &Path) {
    fs::copy(key, to).unwrap_or_else(|e| panic!("cannot copy the key: {e}"));
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert_eq!(fs::metadata(to).expect("it is there").mode() & 0o777, 0o600);
}
