//! Python's http.server over its ssl module: libssl arrives by dlopen with
//! RTLD_LOCAL, and the chain is loaded by path.

use super::host::{Host, installed};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Its arguments are what it is told of its CA or nothing, the curve or nothing, and the
/// certificates as `chain:key`. Accepting includes the handshake; a client that
/// fails in it is not an error of the server.
const SCRIPT: &str = "
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
for pair in sys.argv[3:]:
    context.load_cert_chain(*pair.split(':'))
manner, _, file = sys.argv[1].partition(':')
if manner == 'cafile':
    context.load_verify_locations(file)
elif manner == 'capath':
    context.load_verify_locations(capath=file)
elif manner == 'cadata':
    context.load_verify_locations(cadata=open(file).read())
elif manner == 'default':
    context.load_default_certs()
if sys.argv[2]:
    context.set_ecdh_curve(sys.argv[2])
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// How Python is told of a CA, after it has loaded its certificates.
#[derive(Clone, Debug)]
enum Ca {
    Nothing,
    File(String),
    Directory(String),
    Data(String),
    Default,
}

/// Python's https server, as an unprivileged user.
#[derive(Clone, Debug)]
pub struct Python {
    ca: Ca,
    curve: String,
    certificates: Vec<(String, String)>,
}

impl Python {
    /// Serves with chain.pem and key.pem, without a CA file.
    pub fn new() -> Self {
        Self::with("chain.pem", "key.pem")
    }

    /// Serves with other files of the site.
    pub fn with(chain: &str, key: &str) -> Self {
        Self {
            ca: Ca::Nothing,
            curve: String::new(),
            certificates: vec![(chain.to_owned(), key.to_owned())],
        }
    }

    /// Loads another certificate into the same context.
    pub fn and(mut self, chain: &str, key: &str) -> Self {
        self.certificates.push((chain.to_owned(), key.to_owned()));
        self
    }

    /// Loads a CA file of the site into the context's store.
    pub fn verify_locations(mut self, ca_file: &str) -> Self {
        self.ca = Ca::File(ca_file.to_owned());
        self
    }

    /// Tells the context's store of a directory of the site with CA files by their hash.
    pub fn verify_directory(mut self, directory: &str) -> Self {
        self.ca = Ca::Directory(directory.to_owned());
        self
    }

    /// Reads a CA file of the site itself and puts what it says into the context's store.
    pub fn verify_data(mut self, ca_file: &str) -> Self {
        self.ca = Ca::Data(ca_file.to_owned());
        self
    }

    /// Loads the CA files that libssl looks at by itself into the context's store.
    pub fn default_certs(mut self) -> Self {
        self.ca = Ca::Default;
        self
    }

    /// Supports that elliptic curve only, by OpenSSL's name.
    pub fn curve(mut self, name: &str) -> Self {
        name.clone_into(&mut self.curve);
        self
    }
}

impl Default for Python {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Python {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        // Debian's, and not one from elsewhere in PATH with its own OpenSSL.
        let python = installed(&["/usr/bin/python3"], "python3");
        let path = |name: &str| site.path(name).display().to_string();
        let ca = match &self.ca {
            Ca::Nothing => String::new(),
            Ca::File(name) => format!("cafile:{}", path(name)),
            Ca::Directory(name) => format!("capath:{}", path(name)),
            Ca::Data(name) => format!("cadata:{}", path(name)),
            Ca::Default => "default:".to_owned(),
        };
        let pairs = self.certificates.iter();
        let pairs = pairs.map(|(chain, key)| format!("{}:{}", path(chain), path(key)));
        let program = Program::new(python)
            .args(["-c", SCRIPT, &ca, &self.curve])
            .args(pairs)
            .user("nobody");
        shim.apply(program).start()
    }
}
