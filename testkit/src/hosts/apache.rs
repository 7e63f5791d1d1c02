//! Apache, which loads certificates as root and forks; its environment is what
//! the file envvars makes it.

use rustix::process::Signal;

use super::host::{Host, installed, signal};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// How Apache serves connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpm {
    /// A process for each connection.
    Prefork,
    /// Processes with threads: Debian's default.
    Event,
}

/// Apache, started as root through apache2ctl. The library comes in by the file
/// envvars.
#[derive(Clone, Copy, Debug)]
pub struct Apache {
    mpm: Mpm,
    own_stapling: Option<&'static str>,
}

impl Apache {
    /// Without stapling of its own.
    pub fn new(mpm: Mpm) -> Self {
        Self {
            mpm,
            own_stapling: None,
        }
    }

    /// Lets Apache fetch and staple by itself, from the responder that the
    /// certificate names; with more directives about that, or none.
    pub fn own_stapling(mut self, directives: &'static str) -> Self {
        self.own_stapling = Some(directives);
        self
    }

    fn configuration(self, site: &Site, directory: &Directory, port: u16) -> String {
        let mpm = match self.mpm {
            Mpm::Prefork => "prefork",
            Mpm::Event => "event",
        };
        let modules: String = [&format!("mpm_{mpm}"), "authz_core", "socache_shmcb", "ssl"]
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .concat();
        let stapling = self.own_stapling.map_or_else(String::new, |directives| {
            format!("SSLUseStapling on\nSSLStaplingCache shmcb:stapling(32768)\n{directives}\n")
        });
        format!(
            "{modules}ServerName localhost
Listen 127.0.0.1:{port}
User ${{APACHE_RUN_USER}}
Group ${{APACHE_RUN_GROUP}}
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
ErrorLog /dev/stderr
DocumentRoot {directory}
StartServers 2
SSLEngine on
{stapling}SSLCertificateFile {chain}
SSLCertificateKeyFile {key}
",
            directory = directory.path().display(),
            chain = site.path("chain.pem").display(),
            key = site.path("key.pem").display(),
        )
    }
}

impl Host for Apache {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let apache2ctl = installed(&["/usr/sbin/apache2ctl"], "apache2");
        let directory = Directory::new();
        let path = directory.path().display();
        let variables: String = [
            "APACHE_RUN_USER=www-data".to_owned(),
            "APACHE_RUN_GROUP=www-data".to_owned(),
            format!("APACHE_RUN_DIR={path}"),
            format!("APACHE_LOCK_DIR={path}/lock"),
        ]
        .into_iter()
        .chain(shim.assignments())
        .map(|assignment| format!("export {assignment}\n"))
        .collect();
        directory.write("envvars", variables);
        let mut server = Program::start_on_free_port(|port| {
            directory.write("apache2.conf", self.configuration(site, &directory, port));
            Program::new(&apache2ctl)
                .env("APACHE_CONFDIR", directory.path())
                // So that no shell stays between the test and Apache.
                .env("APACHE_HTTPD", "exec /usr/sbin/apache2")
                .env("APACHE_ULIMIT_MAX_FILES", "true")
                .args(["-D", "FOREGROUND"])
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        signal(server, Signal::USR1);
        Some("SIGUSR1 (apache2ctl graceful)")
    }
}
