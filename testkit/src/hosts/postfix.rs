//! Postfix, whose smtpd is started by the master with the environment that
//! import_environment leaves, as another user, and by Debian in a chroot.

use std::fs;

use super::host::{Host, give_to, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Postfix with an smtpd and what that needs, started as root. The library comes
/// in by import_environment.
#[derive(Debug)]
pub struct Postfix {
    chroot: bool,
    directory: Directory,
}

impl Postfix {
    /// With smtpd in a chroot (the column of master.cf) or not. Makes the queue.
    pub fn chroot(chroot: bool) -> Self {
        let directory = Directory::new();
        for made in ["queue", "data"] {
            fs::create_dir(directory.join(made)).expect("a new directory");
        }
        give_to(&directory.join("data"), "postfix");
        let postfix = Self { chroot, directory };
        postfix.configure(&Site::new(), &Shim::absent(), 0);
        let output = Program::new(installed(&["/usr/sbin/postfix"], "postfix"))
            .arg("-c")
            .arg(postfix.directory.path())
            .arg("check")
            .run();
        assert!(output.status.success(), "postfix check failed: {output:?}");
        postfix
    }

    /// Runs postconf on this configuration and returns what it prints.
    fn postconf(&self, arguments: &[&str]) -> String {
        let output = Program::new(installed(&["/usr/sbin/postconf"], "postfix"))
            .arg("-c")
            .arg(self.directory.path())
            .args(arguments)
            .run();
        assert!(output.status.success(), "postconf failed: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn configure(&self, site: &Site, shim: &Shim, port: u16) {
        let chroot = if self.chroot { "y" } else { "n" };
        let master = format!(
            "127.0.0.1:{port} inet n - {chroot} - - smtpd
cleanup unix n - {chroot} - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - {chroot} 1000? 1 tlsmgr
rewrite unix - - {chroot} - - trivial-rewrite
anvil unix - - {chroot} - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"
        );
        self.directory.write("master.cf", master);
        let main = format!(
            "compatibility_level = 3.6
queue_directory = {}
data_directory = {}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
alias_maps =
maillog_file = /dev/stdout
smtpd_tls_security_level = may
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
",
            self.directory.join("queue").display(),
            self.directory.join("data").display(),
            site.path("chain.pem").display(),
            site.path("key.pem").display(),
        );
        self.directory.write("main.cf", main);
        let imported = format!(
            "import_environment = {} {}",
            self.postconf(&["-dh", "import_environment"]).trim(),
            shim.assignments().join(" "),
        );
        self.postconf(&["-e", &imported]);
    }
}

impl Host for Postfix {
    /// One at a time: all use the same queue. The master is started as `postfix
    /// start` ends up starting it.
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        Program::start_on_free_port(|port| {
            self.configure(site, shim, port);
            Program::new("/usr/lib/postfix/sbin/master")
                .arg("-c")
                .arg(self.directory.path())
                .arg("-d")
        })
    }

    fn starttls(&self) -> Option<&'static str> {
        Some("smtp")
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        server.hang_up();
        Some("SIGHUP (postfix reload)")
    }
}
