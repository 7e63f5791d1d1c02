//! Redis, and Valkey, which came from it: they rebuild their environment and title when they
//! start, and free and make their context anew on CONFIG SET.

use super::host::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// redis-server with a TLS port only, as an unprivileged user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redis;

/// valkey-server, likewise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Valkey;

impl Host for Redis {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        start("redis", site, shim)
    }

    fn reload(&self, server: &Server, site: &Site) -> Option<&'static str> {
        Some(reload("redis", server, site))
    }
}

impl Host for Valkey {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        start("valkey", site, shim)
    }

    fn reload(&self, server: &Server, site: &Site) -> Option<&'static str> {
        Some(reload("valkey", server, site))
    }
}

fn start(name: &str, site: &Site, shim: &Shim) -> Server {
    let package = format!("{name}-server");
    let program = installed(&[&format!("/usr/bin/{package}")], &package);
    let path = |name: &str| site.path(name).display().to_string();
    Program::start_on_free_port(|port| {
        let program = Program::new(&program)
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

fn reload(name: &str, server: &Server, site: &Site) -> &'static str {
    let path = |name: &str| site.path(name).display().to_string();
    let client = installed(&[&format!("/usr/bin/{name}-cli")], &format!("{name}-tools"));
    let output = Program::new(client)
        .args(["-p", &server.port().to_string(), "--tls"])
        .args(["--cacert", &path("ca.pem"), "CONFIG", "SET"])
        // Whichever is set, all files are read again; Redis 6 sets no two at once.
        .args(["tls-cert-file", &path("chain.pem")])
        .run();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert_eq!(answer.trim(), "OK", "{output:?}");
    "CONFIG SET"
}
