//! PostgreSQL, which loads its certificate once and forks for every connection.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::{Host, give_to, installed, private_copy};
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
    pg_ctlcluster: bool,
    ca_file: Option<String>,
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
        Self {
            cluster,
            pg_ctlcluster: false,
            ca_file: None,
        }
    }

    /// Knows the clients' CA from a file of the site.
    pub fn ca_file(mut self, file: &str) -> Self {
        self.ca_file = Some(file.to_owned());
        self
    }

    /// Starts it as Debian's unit does, through pg_ctlcluster, which clears the
    /// environment: the library comes in by the cluster's file `environment`.
    pub fn pg_ctlcluster(mut self) -> Self {
        self.pg_ctlcluster = true;
        self
    }

    fn started_by_pg_ctlcluster(&self, settings: &[String], shim: &Shim, port: u16) -> Program {
        let pg_ctlcluster = installed(&["/usr/bin/pg_ctlcluster"], "postgresql-common");
        let postgres = executable("postgres");
        let version = postgres.components().rev().nth(2).expect("a version");
        let version: &Path = version.as_ref();
        let configuration = self.cluster.join("conf").join(version).join("test");
        fs::create_dir_all(&configuration).expect("a directory can be made");
        let data = self.cluster.join("data");
        let places = [
            format!("data_directory={}", data.display()),
            format!("hba_file={}/pg_hba.conf", data.display()),
            format!("ident_file={}/pg_ident.conf", data.display()),
            format!("port={port}"),
        ];
        let quoted = |pairs: &[String]| -> String {
            let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
            pairs
                .map(|(name, value)| format!("{name} = '{value}'\n"))
                .collect()
        };
        let write = |name: &str, text: String| {
            fs::write(configuration.join(name), text).expect("it is ours");
        };
        write("postgresql.conf", quoted(&places) + &quoted(settings));
        write("environment", quoted(&shim.assignments()));
        write("start.conf", "manual\n".to_owned());
        give_to(&self.cluster.join("conf"), USER);
        Program::new(pg_ctlcluster)
            .env("PG_CLUSTER_CONF_ROOT", self.cluster.join("conf"))
            .arg(version)
            .args(["test", "start", "--foreground"])
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
        let mut settings = vec![
            "fsync=off".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            // It ends with or without a word, as it happens.
            "max_logical_replication_workers=0".to_owned(),
            // Whether there is one depends on the time.
            "log_checkpoints=off".to_owned(),
            "ssl=on".to_owned(),
            set("ssl_cert_file", &site.path("chain.pem")),
            set("ssl_key_file", &key),
        ];
        if let Some(file) = &self.ca_file {
            settings.push(set("ssl_ca_file", &site.path(file)));
        }
        let server = Program::start_on_free_port(|port| {
            let program = if self.pg_ctlcluster {
                self.started_by_pg_ctlcluster(&settings, shim, port)
            } else {
                let program = Program::new(executable("postgres"))
                    .args(["-p", &port.to_string(), "-D"])
                    .arg(self.cluster.join("data"))
                    .args(settings.iter().flat_map(|setting| ["-c", setting]));
                shim.apply(program)
            };
            // SIGTERM waits for clients to leave.
            program.user(USER).stop_by_interrupt()
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
