//! memcached: threads with one context, loaded again by a command of the protocol.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// memcached with TLS, started as root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memcached;

impl Host for Memcached {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let memcached = installed(&["/usr/bin/memcached"], "memcached");
        let path = |name: &str| site.path(name).display().to_string();
        let (chain, key) = (path("chain.pem"), path("key.pem"));
        Program::start_on_free_port(|port| {
            let program = Program::new(&memcached)
                .args(["-u", "memcache", "-l", "127.0.0.1", "-U", "0"])
                .args(["-p", &port.to_string(), "--enable-ssl", "-o"])
                .arg(format!("ssl_chain_cert={chain},ssl_key={key}"));
            shim.apply(program)
        })
    }

    fn reload(&self, server: &Server, site: &Site) -> Option<&'static str> {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
            .arg(format!("127.0.0.1:{}", server.port()))
            .arg("-CAfile")
            .arg(site.path("ca.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl can be run");
        let mut commands = client.stdin.take().expect("it is piped");
        commands
            .write_all(b"refresh_certs\r\nquit\r\n")
            .expect("it reads");
        let output = client.wait_with_output().expect("it ends");
        let answer = String::from_utf8_lossy(&output.stdout);
        assert_eq!(answer.trim(), "OK");
        Some("refresh_certs")
    }
}
