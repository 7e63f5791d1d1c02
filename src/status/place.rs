//! Where a certificate is met, and where its issuer and its chain are looked for from there.
//! Without its issuer there is no certID and no verification, and most programs load the leaf
//! alone.

use std::path::Path;

use staplegun_store::Key;

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::memory::try_push;
use crate::host::ssl::Ssl;
use crate::host::x509::{self, OwnedX509, X509Ref, X509Stack, X509Store};
use crate::log;
use crate::staples::file::Subject;
use crate::staples::leaf::Leaf;
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

/// The SHA-256 of a certificate, by the providers that its context works with.
pub fn key_of(x509: X509Ref<'_>, context: &Context) -> Option<Key> {
    context.library.within(x509.crypto(), || x509.sha256())
}

/// Where a certificate is met.
pub struct Place<'a> {
    /// The SSL in its handshake, or that the leaf was loaded into.
    ssl: Option<&'a Ssl>,
    /// Its context, or the one that the leaf was loaded into.
    ctx: &'a SslCtx,
    /// The record of `ctx`.
    pub context: &'a Context,
    /// A store beside the context's own.
    store: Option<X509Store<'a>>,
}

impl<'a> Place<'a> {
    /// In a context, into which it is loaded.
    pub fn of_context(ctx: &'a SslCtx, context: &'a Context) -> Place<'a> {
        Place {
            ssl: None,
            ctx,
            context,
            store: None,
        }
    }

    /// In an SSL of that context.
    pub fn of_ssl(ssl: &'a Ssl, ctx: &'a SslCtx, context: &'a Context) -> Place<'a> {
        Place {
            ssl: Some(ssl),
            ..Place::of_context(ctx, context)
        }
    }

    /// With that store beside the context's own.
    pub fn with_store(self, store: Option<X509Store<'a>>) -> Place<'a> {
        Place { store, ..self }
    }

    /// Does `work` with a leaf as it is met here.
    pub fn with_subject<R>(
        &self,
        leaf: &'static Leaf,
        key: Key,
        x509: X509Ref<'_>,
        work: impl FnOnce(&Subject<'_>) -> R,
    ) -> R {
        work(&Subject {
            leaf,
            key,
            x509,
            library: self.context.library,
            find_issuer: &|path, files| self.issuer_of(x509, path, files),
            find_chain: &|| self.chain(),
        })
    }

    /// The issuer of `leaf`, which came from the file at `path`. Looked for in this order: the
    /// chain that the program set, the rest of that file, the context's stores,
    /// `cert.pem.issuer`, STAPLEGUN_ISSUERS; not in files of ours unless `files` may be read.
    /// An issuer counts only if the leaf's signature verifies under it.
    fn issuer_of(&self, leaf: X509Ref<'_>, path: Option<&Path>, files: bool) -> Option<OwnedX509> {
        let path = path.filter(|_| files);
        let configured = config::get().issuers.as_deref().filter(|_| files);
        self.context.library.within(leaf.crypto(), || {
            self.in_chains(leaf)
                .or_else(|| in_file(leaf, path?))
                .or_else(|| self.in_stores(leaf))
                .or_else(|| in_file(leaf, &source::beside(path?, ".issuer")))
                .or_else(|| in_configured(leaf, configured?))
        })
    }

    fn chains(&self) -> [Option<X509Stack<'_>>; 3] {
        let of_ssl = self.ssl.and_then(Ssl::chain);
        [of_ssl, self.ctx.chain(), self.ctx.extra_chain()]
    }

    /// The first chain that the program set, as far as there is memory: each certificate in
    /// DER.
    fn chain(&self) -> Vec<Vec<u8>> {
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
        let of_context = Some(self.ctx)
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
}

/// The issuer in what STAPLEGUN_ISSUERS names.
fn in_configured(leaf: X509Ref<'_>, configured: &Path) -> Option<OwnedX509> {
    let stamp = Stamp::of(configured)?;
    configured_issuers::find(leaf, &leaf.sha256()?, stamp, || {
        if !stamp.is_directory() {
            return in_file(leaf, configured);
        }
        let (files, more) = source::files_in(configured, MAX_BUNDLES).ok()?;
        if more {
            log::warning!(
                "{} has more than {MAX_BUNDLES} files; only some of them are looked at",
                configured.display()
            );
        }
        files.iter().find_map(|file| in_file(leaf, file))
    })
}

fn in_file(leaf: X509Ref<'_>, path: &Path) -> Option<OwnedX509> {
    let text = source::read(path, MAX_BUNDLE).ok()?;
    x509::find_in_pem(leaf.crypto(), &text, MAX_CERTIFICATES, |candidate| {
        leaf.is_issued_by(candidate)
    })
}
