//! lighttpd, which sets a status callback of its own, and staples a file if told to.

use rustix::process::Signal;

use super::host::{Host, installed, signal};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// lighttpd, started as root, as user www-data.
#[derive(Clone, Debug, Default)]
pub struct Lighttpd {
    own_response: Option<String>,
    ca_file: Option<String>,
}

impl Lighttpd {
    /// Without stapling of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets lighttpd itself staple the response in a file of the site.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }

    /// Knows the clients' CA from a file of the site.
    pub fn ca_file(mut self, file: &str) -> Self {
        self.ca_file = Some(file.to_owned());
        self
    }
}

impl Host for Lighttpd {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let module = "/usr/lib/lighttpd/mod_openssl.so";
        installed(&[module], "lighttpd-mod-openssl");
        let lighttpd = installed(&["/usr/sbin/lighttpd"], "lighttpd");
        let directory = Directory::new();
        let mut server = Program::start_on_free_port(|port| {
            // From 1.4.77 on it has TLS 1.3 alone, unless it is told.
            let mut configuration = format!(
                "server.modules = ( \"mod_openssl\" )
server.bind = \"127.0.0.1\"
server.port = {port}
server.document-root = \"{}\"
server.username = \"www-data\"
server.groupname = \"www-data\"
ssl.engine = \"enable\"
ssl.pemfile = \"{}\"
ssl.privkey = \"{}\"
ssl.openssl.ssl-conf-cmd = ( \"MinProtocol\" => \"TLSv1.2\" )
",
                directory.path().display(),
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            if let Some(file) = &self.own_response {
                let file = site.path(file);
                configuration += &format!("ssl.stapling-file = \"{}\"\n", file.display());
            }
            if let Some(file) = &self.ca_file {
                let file = site.path(file);
                configuration += &format!("ssl.ca-file = \"{}\"\n", file.display());
            }
            let file = directory.write("lighttpd.conf", configuration);
            shim.apply(Program::new(&lighttpd).args(["-D", "-f"]).arg(file))
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        signal(server, Signal::USR1);
        Some("SIGUSR1")
    }
}
