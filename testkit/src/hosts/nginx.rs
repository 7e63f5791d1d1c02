//! nginx, a master with two workers; it loads certificates by BIO, so that no
//! path is ever seen, and makes one context of several of them.

use super::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// nginx with a single TLS server. Its master runs as the user who runs the
/// tests, its workers as nobody where that is root.
#[derive(Clone, Debug)]
pub struct Nginx {
    certificates: Vec<(String, String)>,
    own_response: Option<String>,
}

impl Nginx {
    /// Serves with chain.pem and key.pem, stapling off.
    pub fn new() -> Self {
        Self {
            certificates: vec![("chain.pem".to_owned(), "key.pem".to_owned())],
            own_response: None,
        }
    }

    /// Serves with another certificate too.
    pub fn and(mut self, chain: &str, key: &str) -> Self {
        self.certificates.push((chain.to_owned(), key.to_owned()));
        self
    }

    /// Lets nginx itself staple the response in a file of the site.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }

    fn configuration(&self, site: &Site, port: u16) -> String {
        let mut server = format!("listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;");
        let path = |name: &String| site.path(name).display().to_string();
        for (chain, key) in &self.certificates {
            let (chain, key) = (path(chain), path(key));
            server += &format!("ssl_certificate {chain}; ssl_certificate_key {key};");
        }
        if let Some(file) = &self.own_response {
            server += &format!("ssl_stapling on; ssl_stapling_file {};", path(file));
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .concat();
        format!(
            "daemon off; pid nginx.pid; lock_file nginx.lock; worker_processes 2;
             error_log stderr warn;
             events {{ worker_connections 64; }}
             http {{ access_log off; {temporary} server {{ {server} return 200; }} }}"
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
        let mut server = Program::start_on_free_port(|port| {
            let file = directory.write("nginx.conf", self.configuration(site, port));
            let program = Program::new(&nginx)
                .args(["-e", "stderr", "-p"])
                .arg(directory.path())
                .arg("-c")
                .arg(&file);
            shim.apply(program)
        });
        server.keep(directory);
        server
    }
}
