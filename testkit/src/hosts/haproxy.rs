//! HAProxy, which loads certificates by BIO and staples by itself what stands
//! in a file `.ocsp` beside them.

use super::{Host, installed};
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
