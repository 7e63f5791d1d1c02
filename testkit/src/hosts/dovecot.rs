//! Dovecot, whose imap-login shakes hands in a chroot as another user, with the
//! environment that import_environment leaves.

use std::fs;

use rustix::process::Signal;

use super::host::{Host, installed, signal};
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

    /// Dovecot 2.4 has other names for what it is told, and wants to be told so.
    fn configuration(self, port: u16, directory: &Directory, site: &Site, shim: &Shim) -> String {
        let run = directory.join("run");
        let (run, chain, key) = (run.display(), site.path("chain.pem"), site.path("key.pem"));
        let (chain, key) = (chain.display(), key.display());
        let of_the_version = if is_2_4() {
            let environment: String = shim
                .assignments()
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| format!("  {name} = {value}\n"))
                .collect();
            format!(
                "ssl_server_cert_file = {chain}
ssl_server_key_file = {key}
passdb static {{
  fields {{
    nopassword = yes
  }}
}}
import_environment {{
{environment}}}
"
            )
        } else {
            format!(
                "ssl_cert = <{chain}
ssl_key = <{key}
passdb {{
  driver = static
  args = nopassword=y
}}
import_environment = $import_environment {environment}
",
                environment = shim.assignments().join(" "),
            )
        };
        // 2.4 wants its versions first.
        let versions = if is_2_4() {
            "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
        } else {
            ""
        };
        format!(
            "{versions}base_dir = {run}
state_dir = {run}
protocols = imap
listen = 127.0.0.1
log_path = /dev/stderr
info_log_path = /dev/null
ssl = required
{of_the_version}service imap-login {{
  chroot = {chroot}
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
",
            chroot = match self.login {
                Login::Chroot => "login",
                Login::Outside => "",
            },
        )
    }
}

/// Whether it is Dovecot 2.4 or later.
fn is_2_4() -> bool {
    let output = Program::new("/usr/sbin/dovecot").arg("--version").run();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = version
        .split(['.', ' '])
        .map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(2), Some(4))
}

impl Host for Dovecot {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let dovecot = installed(&["/usr/sbin/dovecot"], "dovecot-imapd");
        let directory = Directory::new();
        fs::create_dir(directory.join("run")).expect("a new directory");
        let mut server = Program::start_on_free_port(|port| {
            let configuration = self.configuration(port, &directory, site, shim);
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
