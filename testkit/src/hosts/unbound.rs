//! Unbound, a resolver that answers DNS over TLS.

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Unbound with TLS only, started as root, in no chroot, as Debian sets it up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbound;

impl Host for Unbound {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let unbound = installed(&["/usr/sbin/unbound"], "unbound");
        let directory = Directory::new();
        let mut server = Program::start_on_free_port(|port| {
            let configuration = format!(
                "server:
  interface: 127.0.0.1@{port}
  tls-port: {port}
  tls-service-pem: {}
  tls-service-key: {}
  username: unbound
  chroot: \"\"
  pidfile: \"\"
  use-syslog: no
  do-daemonize: no
  do-ip6: no
remote-control:
  control-enable: no
",
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            let file = directory.write("unbound.conf", configuration);
            shim.apply(Program::new(&unbound).args(["-d", "-c"]).arg(file))
        });
        server.keep(directory);
        server
    }
}
