//! Mosquitto, which opens its listeners as root and then gives that up.

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Mosquitto with one TLS listener, started as root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mosquitto;

impl Host for Mosquitto {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let mosquitto = installed(&["/usr/sbin/mosquitto"], "mosquitto");
        let directory = Directory::new();
        let mut server = Program::start_on_free_port(|port| {
            let configuration = format!(
                "user mosquitto
log_dest stderr
allow_anonymous true
listener {port} 127.0.0.1
certfile {}
keyfile {}
",
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            let file = directory.write("mosquitto.conf", configuration);
            shim.apply(Program::new(&mosquitto).arg("-c").arg(file))
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        server.hang_up();
        Some("SIGHUP")
    }
}
