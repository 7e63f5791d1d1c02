//! `openssl s_server`, which staples whatever response it is given.

use crate::hosts::Host;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Serves with cert.pem and key.pem and sends the issuer's certificate along; it
/// answers every GET with a page about the connection.
#[derive(Clone, Debug, Default)]
pub struct SServer {
    response: Option<String>,
}

impl SServer {
    /// Staples nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Staples the response in a file of the site, whatever it says.
    pub fn stapling(file: &str) -> Self {
        Self {
            response: Some(file.to_owned()),
        }
    }
}

impl Host for SServer {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let issuer = site.write("issuer.pem", site.issuer().pem());
        let mut program = Program::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(site.path("cert.pem"))
            .arg("-key")
            .arg(site.path("key.pem"))
            .arg("-cert_chain")
            .arg(issuer);
        if let Some(file) = &self.response {
            program = program.arg("-status_file").arg(site.path(file));
        }
        shim.apply(program).start()
    }
}
