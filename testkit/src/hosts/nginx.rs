//! nginx, a master with two workers; it loads certificates by BIO, so that no
//! path is ever seen, and makes one context of several of them.

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// nginx with one TLS server or several. Its master runs as the user who runs the
/// tests, its workers as nobody where that is root.
#[derive(Clone, Debug)]
pub struct Nginx {
    certificates: Vec<(String, String)>,
    named_servers: Vec<(String, String, String)>,
    own_response: Option<String>,
    fetches: bool,
    ca_files: Vec<(&'static str, String)>,
}

impl Nginx {
    /// Serves with chain.pem and key.pem, stapling off.
    pub fn new() -> Self {
        Self {
            certificates: vec![("chain.pem".to_owned(), "key.pem".to_owned())],
            named_servers: Vec::new(),
            own_response: None,
            fetches: false,
            ca_files: Vec::new(),
        }
    }

    /// Serves with another certificate too.
    pub fn and(mut self, chain: &str, key: &str) -> Self {
        self.certificates.push((chain.to_owned(), key.to_owned()));
        self
    }

    /// Serves clients that ask for that name (SNI) with another certificate.
    pub fn and_server(mut self, name: &str, chain: &str, key: &str) -> Self {
        let server = (name.to_owned(), chain.to_owned(), key.to_owned());
        self.named_servers.push(server);
        self
    }

    /// Lets nginx itself staple the response in a file of the site.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }

    /// Lets nginx itself fetch what it staples, from the responder that the
    /// certificate names.
    pub fn fetches(mut self) -> Self {
        self.fetches = true;
        self
    }

    /// Knows a CA from a file of the site, by `ssl_trusted_certificate` or
    /// `ssl_client_certificate`.
    pub fn ca_file(mut self, directive: &'static str, file: &str) -> Self {
        self.ca_files.push((directive, file.to_owned()));
        self
    }

    fn configuration(&self, site: &Site, port: u16) -> String {
        let listen = format!("listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;");
        let path = |name: &String| site.path(name).display().to_string();
        let load = |chain, key| {
            let (chain, key) = (path(chain), path(key));
            format!("ssl_certificate {chain}; ssl_certificate_key {key};")
        };
        let loads = self
            .certificates
            .iter()
            .map(|(chain, key)| load(chain, key));
        let mut server = listen.clone() + &loads.collect::<String>();
        if let Some(file) = &self.own_response {
            server += &format!("ssl_stapling on; ssl_stapling_file {};", path(file));
        }
        if self.fetches {
            server += "ssl_stapling on;";
        }
        for (directive, file) in &self.ca_files {
            server += &format!("{directive} {};", path(file));
            if *directive == "ssl_client_certificate" {
                // It is not even read otherwise.
                server += "ssl_verify_client optional;";
            }
        }
        let mut servers = format!("server {{ {server} return 200; }}");
        for (name, chain, key) in &self.named_servers {
            let server = format!("{listen} server_name {name}; {}", load(chain, key));
            servers += &format!("server {{ {server} return 200; }}");
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .concat();
        format!(
            "daemon off; pid nginx.pid; lock_file nginx.lock; worker_processes 2;
             error_log stderr warn;
             events {{ worker_connections 64; }}
             http {{ access_log off; {temporary} {servers} }}"
        )
    }
}

impl Default for Nginx {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Nginx {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let nginx = installed(&["/usr/sbin/nginx"], "nginx-light");
        let directory = Directory::new();
        // Before 1.19.5 it opens the system's log first, whatever it is told.
        let help = Program::new(&nginx).arg("-h").run();
        let can = String::from_utf8_lossy(&help.stderr).contains("-e filename");
        let early_log: &[&str] = if can { &["-e", "stderr"] } else { &[] };
        let mut server = Program::start_on_free_port(|port| {
            let file = directory.write("nginx.conf", self.configuration(site, port));
            let program = Program::new(&nginx)
                .args(early_log.iter().chain([&"-p"]))
                .arg(directory.path())
                .arg("-c")
                .arg(&file);
            shim.apply(program)
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        server.hang_up();
        Some("SIGHUP")
    }
}
