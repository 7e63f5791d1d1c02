//! Redis, which rebuilds its environment and title when it starts, and frees
//! and makes its context anew on CONFIG SET.

use super::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// redis-server with a TLS port only, as an unprivileged user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redis;

impl Host for Redis {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let redis = installed(&["/usr/bin/redis-server"], "redis-server");
        let path = |name: &str| site.path(name).display().to_string();
        Program::start_on_free_port(|port| {
            let program = Program::new(&redis)
                .args(["--bind", "127.0.0.1", "--port", "0"])
                .args(["--tls-port", &port.to_string()])
                .args(["--tls-cert-file", &path("chain.pem")])
                .args(["--tls-key-file", &path("key.pem")])
                .args(["--tls-ca-cert-file", &path("ca.pem")])
                .args(["--tls-auth-clients", "no", "--save", ""])
                .user("nobody");
            shim.apply(program)
        })
    }

    fn reload(&self, server: &Server, site: &Site) -> Option<&'static str> {
        let path = |name: &str| site.path(name).display().to_string();
        let output = Program::new(installed(&["/usr/bin/redis-cli"], "redis-tools"))
            .args(["-p", &server.port().to_string(), "--tls"])
            .args(["--cacert", &path("ca.pem"), "CONFIG", "SET"])
            .args(["tls-cert-file", &path("chain.pem")])
            .args(["tls-key-file", &path("key.pem")])
            .run();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert_eq!(answer.trim(), "OK", "{output:?}");
        Some("CONFIG SET")
    }
}
