//! `openssl s_server`, which sets a status callback of its own only when told to staple.

use super::host::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// `openssl s_server -www`, as an unprivileged user.
#[derive(Clone, Debug, Default)]
pub struct OpensslServer {
    own_response: Option<String>,
}

impl OpensslServer {
    /// Without stapling of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets it staple the response in a file of the site: -status_file.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }
}

impl Host for OpensslServer {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let openssl = installed(&["/usr/bin/openssl"], "openssl");
        let mut program = Program::new(openssl)
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .arg("-cert")
            .arg(site.path("cert.pem"))
            .arg("-cert_chain")
            .arg(site.path("ca.pem"))
            .arg("-key")
            .arg(site.path("key.pem"))
            .user("nobody");
        if let Some(file) = &self.own_response {
            program = program.arg("-status_file").arg(site.path(file));
        }
        shim.apply(program).start()
    }
}
