//! Node.js; Debian's takes its TLS from the system's libssl and sets a status callback of
//! its own on every context.

use std::path::PathBuf;

use super::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

const SCRIPT: &str = "
const [chain, key, own] = process.argv.slice(1);
const fs = require('fs');
const options = { cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
const server = require('https').createServer(options, (_, answer) => answer.end());
if (own) server.on('OCSPRequest', (_, __, done) => done(null, fs.readFileSync(own)));
server.listen(0, '127.0.0.1');
";

/// Node.js's https server, as an unprivileged user.
#[derive(Clone, Debug, Default)]
pub struct Node {
    own_response: Option<String>,
}

impl Node {
    /// Without stapling of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it takes OpenSSL from the system; the project's own builds carry
    /// one inside.
    pub fn uses_the_systems_openssl() -> bool {
        let output = Program::new("ldd").arg(executable()).run();
        String::from_utf8_lossy(&output.stdout).contains("libssl.so")
    }

    /// Lets it staple the response in a file of the site: the event OCSPRequest.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }
}

impl Host for Node {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let mut program = Program::new(executable())
            .args(["-e", SCRIPT, "--"])
            .arg(site.path("chain.pem"))
            .arg(site.path("key.pem"))
            .user("nobody");
        if let Some(file) = &self.own_response {
            program = program.arg(site.path(file));
        }
        shim.apply(program).start()
    }
}

fn executable() -> PathBuf {
    installed(&["/usr/bin/nodejs"], "nodejs")
}
