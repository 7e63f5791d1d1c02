//! Where a certificate is met, and so where its issuer and its chain are looked for.

use std::path::Path;

use staplegun_store::Key;

use crate::host::ctx::SslCtx;
use crate::host::ssl::Ssl;
use crate::host::x509::{X509Ref, X509Store};
use crate::staples::file::Subject;
use crate::staples::leaf::Leaf;

use super::context::Context;
use super::issuer::Search;

/// The SHA-256 of a certificate, by the providers that its context works with.
pub fn key_of(x509: X509Ref<'_>, context: &Context) -> Option<Key> {
    context.library.within(x509.crypto(), || x509.sha256())
}

/// Where a certificate is met.
pub struct Place<'a> {
    ssl: Option<&'a Ssl>,
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

    /// Where to look for what belongs to a leaf, without files.
    fn search(&self) -> Search<'a> {
        Search {
            ssl: self.ssl,
            ctx: Some(self.ctx),
            store: self.store,
            path: None,
            files: false,
        }
    }

    /// Does `work` with a leaf as it is met here.
    pub fn with_subject<R>(
        &self,
        leaf: &'static Leaf,
        key: Key,
        x509: X509Ref<'_>,
        work: impl FnOnce(&Subject<'_>) -> R,
    ) -> R {
        let find_issuer = |path: Option<&Path>, files| {
            let search = Search {
                path,
                files,
                ..self.search()
            };
            search.issuer_of(x509)
        };
        work(&Subject {
            leaf,
            key,
            x509,
            library: self.context.library,
            find_issuer: &find_issuer,
            find_chain: &|| self.search().chain(),
        })
    }
}
