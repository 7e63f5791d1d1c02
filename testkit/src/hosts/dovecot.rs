//! Dovecot, whose imap-login shakes hands in a chroot as another user, with the
//! environment that import_environment leaves.

use std::fs;

use rustix::process::Signal;

use super::{Host, installed, signal};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Where imap-login makes its handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// In its chroot, as it does by default.
    Chroot,
    /// In no chroot.
    Outside,
}

/// Dovecot with imaps, started as root. The library comes in by
/// import_environment; the master has nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Dovecot {
    login: Login,
}

impl Dovecot {
    /// With imap-login there.
    pub fn new(login: Login) -> Self {
        Self { login }
    }
}

impl Host for Dovecot {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let dovecot = installed(&["/usr/sbin/dovecot"], "dovecot-imapd");
        let directory = Directory::new();
        fs::create_dir(directory.join("run")).expect("a new directory");
        let mut server = Program::start_on_free_port(|port| {
            let configuration = format!(
                "base_dir = {run}
state_dir = {run}
protocols = imap
listen = 127.0.0.1
log_path = /dev/stderr
info_log_path = /dev/null
ssl = required
ssl_cert = <{chain}
ssl_key = <{key}
passdb {{
  driver = static
  args = nopassword=y
}}
service imap-login {{
  chroot = {chroot}
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
import_environment = $import_environment {environment}
",
                run = directory.join("run").display(),
                chain = site.path("chain.pem").display(),
                key = site.path("key.pem").display(),
                chroot = match self.login {
                    Login::Chroot => "login",
                    Login::Outside => "",
                },
                environment = shim.assignments().join(" "),
            );
            let file = directory.write("dovecot.conf", configuration);
            Program::new(&dovecot).args(["-F", "-c"]).arg(file)
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        signal(server, Signal::HUP);
        Some("SIGHUP (doveadm reload)")
    }
}
