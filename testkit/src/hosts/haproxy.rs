//! HAProxy, which loads certificates by BIO and staples by itself what stands
//! in a file `.ocsp` beside them.

use rustix::process::Signal;

use super::host::{Host, installed, signal};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// HAProxy with one TLS frontend on bundle.pem, as an unprivileged user.
/// It staples bundle.pem.ocsp of the site, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct HaProxy;

impl Host for HaProxy {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let haproxy = installed(&["/usr/sbin/haproxy"], "haproxy");
        let directory = Directory::new();
        let mut server = Program::start_on_free_port(|port| {
            let bundle = site.path("bundle.pem");
            let configuration = format!(
                "global
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend tls
    bind 127.0.0.1:{port} ssl crt {}
    http-request return status 200
",
                bundle.display()
            );
            let file = directory.write("haproxy.cfg", configuration);
            let program = Program::new(&haproxy)
                .args(["-db", "-f"])
                .arg(&file)
                .user("nobody");
            shim.apply(program)
        });
        server.keep(directory);
        server
    }
}

/// HAProxy as Debian's unit starts it: a master and a worker with two threads,
/// started as root, as user haproxy in a chroot. It staples bundle.pem.ocsp of
/// the site, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct HaProxyService;

impl Host for HaProxyService {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let haproxy = installed(&["/usr/sbin/haproxy"], "haproxy");
        let directory = Directory::new();
        let empty = directory.join("empty");
        std::fs::create_dir(&empty).expect("a new directory");
        let mut server = Program::start_on_free_port(|port| {
            let configuration = format!(
                "global
    user haproxy
    group haproxy
    chroot {}
    nbthread 2
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend tls
    bind 127.0.0.1:{port} ssl crt {}
    http-request return status 200
",
                empty.display(),
                site.path("bundle.pem").display()
            );
            let file = directory.write("haproxy.cfg", configuration);
            shim.apply(Program::new(&haproxy).args(["-W", "-f"]).arg(file))
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        signal(server, Signal::USR2);
        Some("SIGUSR2")
    }
}
