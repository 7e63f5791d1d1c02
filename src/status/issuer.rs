//! Whose signature a leaf carries. Without its issuer there is no certID and no
//! verification, and most programs load the leaf alone.

use std::path::Path;

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::memory::try_push;
use crate::host::ssl::Ssl;
use crate::host::x509::{self, OwnedX509, X509Ref, X509Stack, X509Store};
use crate::log;
use crate::staples::publish::MAX_CHAIN;
use crate::staples::source::{self, Stamp};

use super::configured_issuers;
use super::context::Context;

/// A chain file or a bundle of issuers is read up to this size.
const MAX_BUNDLE: u64 = 4 * 1024 * 1024;
/// At most so many certificates of a file are looked at.
const MAX_CERTIFICATES: usize = 1024;

/// At most so many files of a directory are looked at.
const MAX_BUNDLES: usize = 1024;

/// Where to look, in this order: the chain that the program set, the rest of
/// the file that the leaf came from, the context's stores, `cert.pem.issuer`,
/// STAPLEGUN_ISSUERS. An issuer counts only if the leaf's signature verifies
/// under it.
pub struct Search<'a> {
    /// The SSL in its handshake, or that the leaf was loaded into.
    pub ssl: Option<&'a Ssl>,
    /// Its context, or the one that the leaf was loaded into.
    pub ctx: Option<&'a SslCtx>,
    /// A store beside the context's own.
    pub store: Option<X509Store<'a>>,
    /// The file that the leaf came from.
    pub path: Option<&'a Path>,
    /// Whether files of ours may be read.
    pub files: bool,
}

impl Search<'_> {
    /// The issuer of `leaf`.
    pub fn issuer_of(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        Context::library_of(self.ctx).within(leaf.crypto(), || {
            self.in_chains(leaf)
                .or_else(|| self.in_leaf_file(leaf))
                .or_else(|| self.in_stores(leaf))
                .or_else(|| self.beside_leaf_file(leaf))
                .or_else(|| self.in_configured(leaf))
        })
    }

    fn chains(&self) -> [Option<X509Stack<'_>>; 3] {
        let of_ssl = self.ssl.and_then(Ssl::chain);
        let of_ctx = self.ctx.and_then(SslCtx::chain);
        let extra = self.ctx.and_then(SslCtx::extra_chain);
        [of_ssl, of_ctx, extra]
    }

    /// The first chain that the program set, as far as there is memory: each certificate in
    /// DER.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let mut ders = Vec::new();
        let chain = self.chains().into_iter().flatten().next();
        for x509 in chain.iter().flat_map(X509Stack::iter).take(MAX_CHAIN) {
            let der = x509.to_der(staplegun_ocsp::MAX_RESPONSE);
            if !der.is_some_and(|der| try_push(&mut ders, der)) {
                break;
            }
        }
        ders
    }

    fn in_chains(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let chains = self.chains();
        let mut all = chains.iter().flatten().flat_map(|chain| chain.iter());
        all.find(|candidate| leaf.is_issued_by(*candidate))?
            .to_owned()
    }

    /// In a handshake only what a store has in memory is looked at, and only where libssl
    /// searches it as well: where the program set a chain or forbade to complete it, the
    /// store is none of the handshake's business, unless the program gives it just now. Else
    /// the store looks where it was told to.
    fn in_stores(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let in_handshake = self.ssl.filter(|ssl| ssl.is_shaking_hands());
        let of_context = self
            .ctx
            .filter(|_| in_handshake.is_none_or(Ssl::completes_chain))
            .and_then(SslCtx::store);
        let stores = [self.store, of_context];
        stores.into_iter().flatten().find_map(|store| {
            let found = match in_handshake {
                Some(_) => store.issuer_in_memory(leaf),
                None => store.issuer_of(leaf),
            };
            found.filter(|issuer| leaf.is_issued_by(issuer.as_ref()))
        })
    }

    fn in_leaf_file(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        self.in_file(leaf, self.path.filter(|_| self.files)?)
    }

    fn beside_leaf_file(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let path = self.path.filter(|_| self.files)?;
        self.in_file(leaf, &source::beside(path, ".issuer"))
    }

    fn in_configured(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        let configured = config::get().issuers.as_deref().filter(|_| self.files)?;
        let stamp = Stamp::of(configured)?;
        configured_issuers::find(leaf, &leaf.sha256()?, stamp, || {
            if !stamp.is_directory() {
                return self.in_file(leaf, configured);
            }
            let (files, more) = source::files_in(configured, MAX_BUNDLES).ok()?;
            if more {
                log::warning!(
                    "{} has more than {MAX_BUNDLES} files; only some of them are looked at",
                    configured.display()
                );
            }
            files.iter().find_map(|file| self.in_file(leaf, file))
        })
    }

    fn in_file(&self, leaf: X509Ref<'_>, path: &Path) -> Option<OwnedX509> {
        let text = source::read(path, MAX_BUNDLE).ok()?;
        x509::find_in_pem(leaf.crypto(), &text, MAX_CERTIFICATES, |candidate| {
            leaf.is_issued_by(candidate)
        })
    }
}
