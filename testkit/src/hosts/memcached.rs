//! memcached: threads with one context, loaded again by a command of the protocol.

use std::io::Write;
use std::process::{Command, Stdio};

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// memcached with TLS, started as root through the wrapper that its unit calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memcached;

impl Host for Memcached {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let wrapper = "/usr/share/memcached/scripts/systemd-memcached-wrapper";
        let wrapper = installed(&[wrapper], "memcached");
        let directory = Directory::new();
        let mut server = Program::start_on_free_port(|port| {
            let configuration = format!(
                "-u memcache
-l 127.0.0.1
-U 0
-p {port}
--enable-ssl
-o ssl_chain_cert={},ssl_key={}
",
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            let file = directory.write("memcached.conf", configuration);
            shim.apply(Program::new(&wrapper).arg(file))
        });
        server.keep(directory);
        server
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
