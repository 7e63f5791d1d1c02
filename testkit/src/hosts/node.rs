//! Node.js; Debian's takes its TLS from the system's libssl and sets a status callback of
//! its own on every context. The project's own builds have OpenSSL inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::host::{Host, installed};
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
    is_the_projects: bool,
    has_script: bool,
}

impl Node {
    /// Without stapling of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the machine's takes OpenSSL from the system; the project's own builds carry
    /// one inside.
    pub fn uses_the_systems_openssl() -> bool {
        let output = Program::new("ldd").arg(executable()).run();
        String::from_utf8_lossy(&output.stdout).contains("libssl.so")
    }

    /// A build with OpenSSL inside. With the library it is also given the script by which
    /// it staples.
    pub fn of_the_project() -> Self {
        Self {
            is_the_projects: true,
            has_script: true,
            ..Self::default()
        }
    }

    /// Gives it that script beside the library, too.
    pub fn with_script(mut self) -> Self {
        self.has_script = true;
        self
    }

    /// The program of such a build: the machine's, else one that is fetched once.
    pub fn projects_executable() -> &'static Path {
        static FOUND: OnceLock<PathBuf> = OnceLock::new();
        FOUND.get_or_init(|| {
            if !Self::uses_the_systems_openssl() {
                return executable();
            }
            let tool = repository().join("tools/nodes");
            let output = Program::new(tool).arg("22").run();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "tools/nodes: {output:?}");
            PathBuf::from(said.trim())
        })
    }

    /// Lets it staple the response in a file of the site: the event OCSPRequest.
    pub fn own_response(mut self, file: &str) -> Self {
        self.own_response = Some(file.to_owned());
        self
    }
}

impl Host for Node {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let mut program = Program::new(self.executable(site))
            .args(["-e", SCRIPT, "--"])
            .arg(site.path("chain.pem"))
            .arg(site.path("key.pem"))
            .user("nobody");
        if let Some(file) = &self.own_response {
            program = program.arg(site.path(file));
        }
        let preloads = |line: &String| line.starts_with("LD_PRELOAD=");
        if self.has_script && shim.assignments().iter().any(preloads) {
            // Another user need not be able to enter the tree.
            let script = fs::read(repository().join("packaging/node.cjs"));
            let script = site.write("node.cjs", script.expect("it is in the tree"));
            program = program.env("NODE_OPTIONS", format!("--require {}", script.display()));
        }
        shim.apply(program).start()
    }
}

impl Node {
    fn executable(&self, site: &Site) -> PathBuf {
        if !self.is_the_projects {
            return executable();
        }
        let (original, link) = (Self::projects_executable(), site.path("node"));
        if !link.exists() && fs::hard_link(original, &link).is_err() {
            fs::copy(original, &link).expect("it can be copied");
        }
        link
    }
}

fn repository() -> &'static Path {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.parent().expect("it lies in the tree")
}

fn executable() -> PathBuf {
    installed(&["/usr/bin/nodejs"], "nodejs")
}
