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
}
