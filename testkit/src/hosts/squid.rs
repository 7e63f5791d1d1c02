//! Squid as a TLS-terminating accelerator: the build with OpenSSL.

use super::host::{Host, give_to, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Squid, started as root in the foreground, as user proxy.
#[derive(Clone, Copy, Debug)]
pub struct Squid {
    master: bool,
}

impl Squid {
    /// With a master that starts the worker, as Debian's unit has it, or in one
    /// process (-N).
    pub fn master(master: bool) -> Self {
        Self { master }
    }
}

impl Host for Squid {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let squid = installed(&["/usr/sbin/squid"], "squid-openssl");
        let directory = Directory::new();
        give_to(directory.path(), "proxy");
        let mut server = Program::start_on_free_port(|port| {
            let path = directory.path().display();
            let configuration = format!(
                "https_port 127.0.0.1:{port} accel defaultsite=localhost tls-cert={} tls-key={}
visible_hostname localhost
pid_filename {path}/squid.pid
access_log none
cache_log {path}/cache.log
cache_store_log none
coredump_dir {path}
cache_mem 8 MB
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
http_access deny all
",
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            let file = directory.write("squid.conf", configuration);
            // A name of its own for its shared memory.
            let service = format!("staplegun{port}");
            let program = Program::new(&squid)
                .args(["--foreground", "-YC", "-n", &service])
                .args((!self.master).then_some("-N"))
                .arg("-f")
                .arg(file);
            shim.apply(program)
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        server.hang_up();
        Some("SIGHUP")
    }
}
