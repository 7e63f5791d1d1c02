//! A certificate was loaded, or something that may tell its issuer. Files are looked at when it is
//! loaded, while they can still be read.

use std::path::Path;
use std::sync::MutexGuard;

use staplegun_store::Key;

use crate::config;
use crate::host::ctx::SslCtx;
use crate::host::process::Origin;
use crate::host::ssl::Ssl;
use crate::host::x509::{OwnedX509, X509Ref, X509Store};
use crate::staples::leaf::{Leaf, Told, Work};
use crate::staples::leaves::Loaded;
use crate::staples::{leaves, map, publish};

use super::adopt;
use super::chain;
use super::context::Context;
use super::deferred;
use super::place::{Place, key_of};
use super::presented::{Presented, presented};

/// The program loaded a certificate into a context, from `path` if that is known.
pub fn loaded_into_context(ctx: &SslCtx, path: Option<&Path>) {
    if !config::get().staples() {
        return;
    }
    if let Some((context, x509)) = adopt::record_of(ctx).zip(ctx.certificate()) {
        chain::known(context, ctx.host(), || ctx.chain());
        loaded(&Place::of_context(ctx, context), x509, path);
    }
}

/// The program loaded a certificate into an SSL, and not within a handshake: there nothing
/// is done about it, and what is presented in the end is met. A client's is nobody's business.
pub fn loaded_into_ssl(ssl: &Ssl, path: Option<&Path>) {
    if !config::get().staples() || !ssl.is_server() {
        return;
    }
    let Some((ctx, x509)) = ssl.context().zip(ssl.certificate()) else {
        return;
    };
    if let Some(context) = adopt::record_of(&ctx) {
        chain::known(context, ssl.host(), || ssl.chain());
        loaded(&Place::of_ssl(ssl, &ctx, context), x509, path);
    }
}

fn loaded(place: &Place<'_>, x509: X509Ref<'_>, path: Option<&Path>) {
    let context = place.context;
    // A client staples nothing, so its certificate is nobody's business.
    if context.client_only {
        return;
    }
    let Some(key) = key_of(x509, context) else {
        return;
    };
    let Some(loaded) = leaves::load(&key, Origin::here()) else {
        return;
    };
    let Loaded {
        leaf,
        mut work,
        new,
    } = loaded;
    let path = path.and_then(|path| std::path::absolute(path).ok());
    // A confined program may load a certificate from memory that it has loaded before.
    let again = leaf.told() == Told::Failed && map::is_mapped();
    let opens = config::may_open() && (new || path.is_some() || again);
    place.with_subject(leaf, key, x509, |subject| {
        if opens {
            map::open();
            subject.look(&mut work, path.as_deref());
            // Handshakes in other threads go on with what was known until here.
            context.certificates.add(x509, leaf, &key);
            publish::leaf(subject, work, true);
        } else {
            context.certificates.add(x509, leaf, &key);
            subject.complete(&mut work, false);
        }
    });
}

/// The program told a context something that may be, or lead to, an issuer: leaves that
/// wait for theirs are completed. `files` tells whether it may be in files, and `store` where
/// the program wants chains to be completed from, if it has just said so: most versions of
/// libssl do not tell it later. What was read in a leaf is decoded again: the X509 that the
/// context holds may belong to a library context that its program has freed.
pub fn issuers_of_context_changed(ctx: &SslCtx, files: bool, store: Option<X509Store<'_>>) {
    let Some(context) = Context::get(ctx) else {
        return;
    };
    if config::get().staples() {
        chain::known(context, ctx.host(), || ctx.chain());
    }
    let place = Place::of_context(ctx, context).with_store(store);
    let crypto = ctx.host().crypto;
    for (leaf, key) in context.certificates.leaves() {
        let Some(work) = leaf.work(&key).filter(|work| work.issuer.is_none()) else {
            continue;
        };
        // Who has not been read waits for nothing.
        let der = work.known_facts().map(|facts| facts.der.as_slice());
        let decoded = der
            .and_then(|der| (context.library).within(crypto, || OwnedX509::from_der(crypto, der)));
        if let Some(x509) = decoded {
            complete(&place, (leaf, key), work, x509.as_ref(), files);
        }
    }
}

/// The same for an SSL and the certificate that it presents. Within a handshake only a store
/// counts, which a callback may take away again before the handshake presents anything.
pub fn issuers_of_ssl_changed(ssl: &Ssl, store: Option<X509Store<'_>>) {
    let shakes_hands = ssl.is_shaking_hands();
    if !config::get().staples() || !ssl.is_server() || shakes_hands && store.is_none() {
        return;
    }
    let Some(ctx) = ssl.context() else { return };
    let Some(context) = Context::get(&ctx).filter(|known| !known.client_only) else {
        return;
    };
    if !shakes_hands {
        chain::known(context, ssl.host(), || ssl.chain());
    }
    let Some(Presented { x509, key, leaf }) = presented(ssl, &ctx, context) else {
        return;
    };
    let Some(leaf) = leaf else { return };
    let place = Place::of_ssl(ssl, &ctx, context).with_store(store);
    let Some(mut work) = leaf.work(&key) else {
        return;
    };
    if !shakes_hands {
        complete(&place, (leaf, key), work, x509, false);
    } else {
        place.with_subject(leaf, key, x509, |subject| {
            if subject.complete(&mut work, false) {
                deferred::tell(leaf, &key, leaf.told());
            }
        });
    }
}

fn complete(
    place: &Place<'_>,
    (leaf, key): (&'static Leaf, Key),
    mut work: MutexGuard<'_, Work>,
    x509: X509Ref<'_>,
    files: bool,
) {
    let files = files && config::may_open();
    place.with_subject(leaf, key, x509, |subject| {
        if subject.complete(&mut work, files) && config::may_open() {
            publish::leaf(subject, work, false);
        }
    });
}
