//! The scene of most tests: a CA, perhaps an intermediate one, and a server's
//! certificate, with their files in a temporary directory.

use std::path::PathBuf;

use crate::directory::{Directory, set_mode};
use crate::key::KeyKind;
use crate::pki::{Identity, Spec};
use crate::response::Response;

/// A server's certificate with its issuers, and their files:
///
/// | file | holds |
/// |---|---|
/// | `ca.pem` | the root |
/// | `cert.pem` | the leaf alone |
/// | `chain.pem` | the leaf, then its issuers up to and including the root |
/// | `key.pem` | the leaf's key, mode 0644 |
/// | `bundle.pem` | chain and key in one file, as HAProxy wants it |
///
/// The root stands in `chain.pem` so that the leaf's issuer is always there.
pub struct Site {
    /// The self-signed root.
    pub root: Identity,
    /// The CA between root and leaf, if there is one.
    pub intermediate: Option<Identity>,
    /// The server's certificate.
    pub leaf: Identity,
    /// Where the files are.
    pub directory: Directory,
}

impl Site {
    /// A P-256 leaf for localhost, issued by the root.
    pub fn new() -> Self {
        Self::with(&Spec::server())
    }

    /// An RSA leaf for localhost, issued by an RSA root.
    pub fn rsa() -> Self {
        let root = Identity::self_signed(&Spec::ca("Test root").key(KeyKind::Rsa2048));
        let leaf = root.issue(&Spec::server().key(KeyKind::Rsa2048));
        Self::of(root, None, leaf)
    }

    /// A leaf as specified, issued by the root.
    pub fn with(leaf: &Spec) -> Self {
        let root = Identity::self_signed(&Spec::ca("Test root"));
        let leaf = root.issue(leaf);
        Self::of(root, None, leaf)
    }

    /// A leaf as specified, issued by an intermediate CA.
    pub fn with_intermediate(leaf: &Spec) -> Self {
        let root = Identity::self_signed(&Spec::ca("Test root"));
        let intermediate = root.issue(&Spec::ca("Test intermediate"));
        let leaf = intermediate.issue(leaf);
        Self::of(root, Some(intermediate), leaf)
    }

    fn of(root: Identity, intermediate: Option<Identity>, leaf: Identity) -> Self {
        let site = Self {
            root,
            intermediate,
            leaf,
            directory: Directory::new(),
        };
        let key = site.leaf.key.pem();
        site.write("ca.pem", site.root.pem());
        site.write("cert.pem", site.leaf.pem());
        site.write("chain.pem", site.chain_pem());
        site.write("key.pem", key);
        site.write("bundle.pem", site.chain_pem() + key);
        site
    }

    fn chain_pem(&self) -> String {
        let intermediate = self.intermediate.iter().map(Identity::pem);
        std::iter::once(self.leaf.pem())
            .chain(intermediate)
            .chain(std::iter::once(self.root.pem()))
            .collect()
    }

    /// The CA that issued the leaf.
    pub fn issuer(&self) -> &Identity {
        self.intermediate.as_ref().unwrap_or(&self.root)
    }

    /// A good response for the leaf, to be changed or encoded.
    pub fn good(&self) -> Response<'_> {
        Response::good(&self.leaf, self.issuer())
    }

    /// The path of a file in the site's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file into the site's directory, replacing by rename.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        self.directory.write(name, contents)
    }

    /// Writes a file of the given mode into the site's directory.
    pub fn write_with_mode(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.write(name, contents);
        set_mode(&path, mode);
        path
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
