//! stunnel, which makes its contexts with SSL_CTX_new_ex and then gives up root.

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// stunnel with one TLS server, started as root, as user stunnel4 in a chroot.
#[derive(Clone, Debug, Default)]
pub struct Stunnel {
    ca_file: Option<String>,
}

impl Stunnel {
    /// Without a CA file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The user that its package makes, whose name was another up to Debian 13.
    pub fn user() -> &'static str {
        let users = std::fs::read_to_string("/etc/passwd").expect("it can be read");
        let old = users.lines().any(|line| line.starts_with("stunnel4:"));
        if old { "stunnel4" } else { "stunnel" }
    }

    /// Knows the clients' CA from a file of the site.
    pub fn ca_file(mut self, file: &str) -> Self {
        self.ca_file = Some(file.to_owned());
        self
    }
}

impl Host for Stunnel {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let stunnel = installed(&["/usr/bin/stunnel4"], "stunnel4");
        let directory = Directory::new();
        let empty = directory.join("empty");
        std::fs::create_dir(&empty).expect("a new directory");
        let mut server = Program::start_on_free_port(|port| {
            // Nobody listens where it connects to: the handshake comes first.
            let mut configuration = format!(
                "foreground = yes
syslog = no
pid =
setuid = {user}
setgid = {user}
chroot = {}
[tls]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:9
cert = {}
key = {}
",
                empty.display(),
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
                user = Self::user(),
            );
            if let Some(file) = &self.ca_file {
                configuration += &format!("CAfile = {}\n", site.path(file).display());
            }
            let file = directory.write("stunnel.conf", configuration);
            shim.apply(Program::new(&stunnel).arg(file))
        });
        server.keep(directory);
        server
    }
}
