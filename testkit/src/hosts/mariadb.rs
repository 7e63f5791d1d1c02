//! MariaDB: a thread for every connection, and one context for all.

use std::path::Path;
use std::process::Command;

use super::host::{Host, give_to, installed, private_copy};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

const USER: &str = "nobody";

/// MariaDB with an empty database of its own, started as root.
#[derive(Debug)]
pub struct MariaDb {
    data: Directory,
}

impl MariaDb {
    /// Makes a new database.
    pub fn new() -> Self {
        let data = Directory::new();
        give_to(data.path(), USER);
        let install = installed(&["/usr/bin/mariadb-install-db"], "mariadb-server-core");
        let output = Program::new(install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--user", USER])
            .arg(format!("--datadir={}", data.path().display()))
            .run();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no database was made: {message}");
        Self { data }
    }
}

impl Default for MariaDb {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for MariaDb {
    /// One at a time: all use the same database.
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let server = installed(&["/usr/sbin/mariadbd"], "mariadb-server-core");
        let key = self.data.join("key.pem");
        private_copy(&site.path("key.pem"), &key);
        give_to(&key, USER);
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        Program::start_on_free_port(|port| {
            let program = Program::new(&server)
                .args(["--no-defaults", "--bind-address=127.0.0.1", "--user", USER])
                .arg(format!("--port={port}"))
                .arg(option("datadir", self.data.path()))
                .arg(option("socket", &self.data.join("socket")))
                .arg(option("pid-file", &self.data.join("pid")))
                .arg(option("ssl-cert", &site.path("chain.pem")))
                .arg(option("ssl-key", &key))
                .arg(option("ssl-ca", &site.path("ca.pem")));
            shim.apply(program)
        })
    }

    fn starttls(&self) -> Option<&'static str> {
        Some("mysql")
    }

    fn reload(&self, _server: &Server, site: &Site) -> Option<&'static str> {
        let key = self.data.join("key.pem");
        private_copy(&site.path("key.pem"), &key);
        give_to(&key, USER);
        let client = installed(&["/usr/bin/mariadb"], "mariadb-client-core");
        let output = Command::new(client)
            .args(["--no-defaults", "--user=root", "--execute=FLUSH SSL"])
            .arg(format!("--socket={}", self.data.join("socket").display()))
            .output()
            .expect("the client can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "FLUSH SSL failed: {message}");
        Some("FLUSH SSL")
    }
}
