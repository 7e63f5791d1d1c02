//! A certificate was loaded, or a chain for it: its response is looked for now,
//! while files can still be read.

use std::path::Path;

use crate::config;
use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::origin::Origin;
use crate::host::ssl::Ssl;
use crate::staples;

use super::certificates::{Leaf, When};
use super::connection::Connection;
use super::context::Context;
use super::issuer::Search;

/// The program loaded a certificate into a context, from `path` if that is known.
pub fn loaded_into_context(ctx: &SslCtx, path: Option<&Path>) {
    if !config::get().staples() {
        return;
    }
    let Some((context, x509)) = Context::of(ctx).zip(ctx.certificate()) else {
        return;
    };
    if let Some(leaf) =
        context
            .certificates
            .find_or_add(x509, Origin::here(), context.library, When::Load)
    {
        look_for_response(leaf, None, Some(ctx), path);
    }
}

/// The program loaded a certificate into an SSL.
pub fn loaded_into_ssl(ssl: &Ssl, path: Option<&Path>) {
    if !config::get().staples() {
        return;
    }
    let Some((connection, x509)) = Connection::of(ssl).zip(ssl.certificate()) else {
        return;
    };
    let ctx = ssl.context();
    let context = ctx.as_ref().and_then(Context::get);
    // Within a handshake the live map must do, and what `look_again` allows: the
    // process that made the context may read files, at most once a second.
    let within = ssl.is_shaking_hands();
    let origin = match context.filter(|_| within) {
        Some(context) => context.origin,
        None => Origin::here(),
    };
    let library = Context::library_of(ctx.as_ref());
    let Some(leaf) = connection
        .certificates
        .find_or_add(x509, origin, library, When::Load)
    else {
        return;
    };
    if !within {
        look_for_response(leaf, Some(ssl), ctx.as_ref(), path);
    } else if let Some(path) = path {
        leaf.loaded_from(path);
    }
}

/// The program added to a context's chain: a leaf that waits for its issuer may
/// be completed.
pub fn chain_of_context_changed(ctx: &SslCtx) {
    let Some((context, x509)) = Context::get(ctx).zip(ctx.certificate()) else {
        return;
    };
    if let Some(leaf) = context.certificates.find(x509) {
        complete(leaf, None, Some(ctx));
    }
}

/// The program added to an SSL's chain.
pub fn chain_of_ssl_changed(ssl: &Ssl) {
    let Some((connection, x509)) = Connection::get(ssl).zip(ssl.certificate()) else {
        return;
    };
    if let Some(leaf) = connection.certificates.find(x509)
        && !ssl.is_shaking_hands()
    {
        complete(leaf, Some(ssl), ssl.context().as_ref());
    }
}

/// The certificate that `ssl` presents in this handshake.
pub fn presented<'s>(ssl: &'s Ssl, context: &'s Context) -> Option<&'s Leaf> {
    let x509 = ssl.certificate()?;
    Connection::get(ssl)
        .and_then(|connection| connection.certificates.find(x509))
        .or_else(|| {
            let certificates = &context.certificates;
            certificates.find_or_add(x509, context.origin, context.library, When::Handshake)
        })
}

/// The response to be stapled for `leaf` in this handshake, with its file
/// looked at again if that is due.
pub fn response(ssl: &Ssl, ctx: &SslCtx, leaf: &Leaf) -> Option<Buffer> {
    let find_issuer = |files| search(leaf, Some(ssl), Some(ctx), files).issuer_of(leaf.x509());
    staples::for_certificate(
        leaf.x509(),
        &leaf.key,
        leaf.path(),
        &leaf.staple,
        &find_issuer,
    )
}

/// The response for a certificate that no list has room for: the live map's.
pub fn response_unlisted(ssl: &Ssl) -> Option<Buffer> {
    let x509 = ssl.certificate()?;
    staples::from_map(x509, &x509.sha256()?)
}

/// Whether clients would reject the response `bytes` that the program staples
/// for `leaf`.
pub fn would_be_rejected(ssl: &Ssl, ctx: &SslCtx, leaf: &Leaf, bytes: &[u8]) -> bool {
    let find_issuer = |files| search(leaf, Some(ssl), Some(ctx), files).issuer_of(leaf.x509());
    staples::would_be_rejected(leaf.x509(), &leaf.staple, bytes, &find_issuer)
}

fn look_for_response(leaf: &Leaf, ssl: Option<&Ssl>, ctx: Option<&SslCtx>, path: Option<&Path>) {
    if let Some(path) = path {
        leaf.loaded_from(path);
    }
    staples::map::open();
    leaf.staple.look(leaf.x509(), leaf.path(), &|files| {
        search(leaf, ssl, ctx, files).issuer_of(leaf.x509())
    });
    publish(leaf, ssl, ctx);
}

/// What may be possible now that the issuer can be known.
fn complete(leaf: &Leaf, ssl: Option<&Ssl>, ctx: Option<&SslCtx>) {
    if leaf.staple.waits_for_issuer() {
        look_for_response(leaf, ssl, ctx, None);
    } else {
        publish(leaf, ssl, ctx);
    }
}

/// A client's certificate is nothing to staple for, so the agent need not know.
fn publish(leaf: &Leaf, ssl: Option<&Ssl>, ctx: Option<&SslCtx>) {
    let context = ctx.and_then(Context::get);
    if !context.is_some_and(|context| context.client_only) {
        staples::publish::certificate(leaf.x509(), &leaf.key, &|| {
            search(leaf, ssl, ctx, true).issuer_of(leaf.x509())
        });
    }
}

fn search<'a>(
    leaf: &'a Leaf,
    ssl: Option<&'a Ssl>,
    ctx: Option<&'a SslCtx>,
    files: bool,
) -> Search<'a> {
    Search {
        ssl,
        ctx,
        path: leaf.path(),
        files,
    }
}
