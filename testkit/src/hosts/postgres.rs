//! PostgreSQL, which loads its certificate once and forks for every connection.

use std::path::{Path, PathBuf};

use super::{Host, give_to, installed, private_copy};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;
use crate::wait;

const USER: &str = "postgres";

/// A PostgreSQL cluster in a temporary directory, as the user postgres: it
/// refuses to run as root.
#[derive(Debug)]
pub struct Postgres {
    cluster: Directory,
}

impl Postgres {
    /// Makes a new cluster.
    pub fn new() -> Self {
        let cluster = Directory::new();
        give_to(cluster.path(), USER);
        let output = Program::new(executable("initdb"))
            .args(["--no-sync", "-E", "UTF8", "--locale=C", "-A", "trust", "-D"])
            .arg(cluster.join("data"))
            .user(USER)
            .run();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb failed: {message}");
        Self { cluster }
    }

    /// Copies the site's key to where PostgreSQL is content with its mode.
    fn take_key(&self, site: &Site) -> PathBuf {
        let key = self.cluster.join("key.pem");
        private_copy(&site.path("key.pem"), &key);
        give_to(&key, USER);
        key
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Postgres {
    /// One at a time: all use the same cluster.
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let key = self.take_key(site);
        let set = |name: &str, value: &Path| format!("{name}={}", value.display());
        let settings = [
            "fsync=off".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            // It ends with or without a word, as it happens.
            "max_logical_replication_workers=0".to_owned(),
            "ssl=on".to_owned(),
            set("ssl_cert_file", &site.path("chain.pem")),
            set("ssl_key_file", &key),
        ];
        let server = Program::start_on_free_port(|port| {
            let program = Program::new(executable("postgres"))
                .args(["-p", &port.to_string(), "-D"])
                .arg(self.cluster.join("data"))
                .args(settings.iter().flat_map(|setting| ["-c", setting]))
                .user(USER)
                // SIGTERM waits for clients to leave.
                .stop_by_interrupt();
            shim.apply(program)
        });
        // It listens before it has recovered, and logs otherwise when stopped then.
        wait::until("PostgreSQL is ready", || {
            let ready = "database system is ready to accept connections";
            server.stderr().contains(ready).then_some(())
        });
        server
    }

    fn starttls(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn reload(&self, server: &Server, site: &Site) -> Option<&'static str> {
        self.take_key(site);
        server.hang_up();
        Some("SIGHUP")
    }
}

/// A program of the newest PostgreSQL that is installed.
pub(crate) fn executable(name: &str) -> PathBuf {
    let versions = (9..40).rev();
    let paths: Vec<String> = versions
        .map(|version| format!("/usr/lib/postgresql/{version}/bin/{name}"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    installed(&paths, "postgresql")
}
