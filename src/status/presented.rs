//! The certificate that a handshake presents, and what is stapled for it.

use staplegun_store::Key;

use crate::host::buffer::Buffer;
use crate::host::ctx::SslCtx;
use crate::host::guard;
use crate::host::ssl::Ssl;
use crate::host::x509::X509Ref;
use crate::staples::leaf::{Leaf, Told};
use crate::staples::{self, leaves};

use super::context::Context;
use super::deferred;
use super::place::{Place, key_of};

/// The certificate that a handshake presents.
pub struct Presented<'s> {
    pub x509: X509Ref<'s>,
    pub key: Key,
    /// What is known of it. None where the table has no place for it.
    pub leaf: Option<&'static Leaf>,
}

/// The certificate that `ssl` presents in this handshake. One that its context does not
/// hold is hashed. What libcrypto queues if that fails is left to the caller.
pub fn presented<'s>(ssl: &'s Ssl, ctx: &SslCtx, context: &Context) -> Option<Presented<'s>> {
    let x509 = ssl.certificate()?;
    if let Some((leaf, key)) = context.certificates.find(x509) {
        let leaf = Some(leaf);
        return Some(Presented { x509, key, leaf });
    }
    let key = key_of(x509, context)?;
    let leaf = leaves::find(&key).or_else(|| deferred::first_met(&key, context.origin));
    if let Some(leaf) = leaf.filter(|leaf| deferred::has_use_of(leaf, context)) {
        let place = Place::of_ssl(ssl, ctx, context);
        guard::errors_kept(x509.crypto(), || {
            place.with_subject(leaf, key, x509, |subject| {
                deferred::met(subject, context);
            });
        });
    }
    Some(Presented { x509, key, leaf })
}

impl Presented<'_> {
    /// The response to be stapled for it in this handshake, with its file looked at again
    /// if that is due.
    pub fn response(&self, ssl: &Ssl, ctx: &SslCtx, context: &Context) -> Option<Buffer> {
        let Some(leaf) = self.leaf else {
            return staples::from_map(self.x509, &self.key);
        };
        let place = Place::of_ssl(ssl, ctx, context);
        place.with_subject(leaf, self.key, self.x509, |subject| {
            staples::for_leaf(subject, || deferred::tell(leaf, &self.key, Told::Leaf))
        })
    }

    /// Whether clients would reject the response `bytes` that the program staples for it.
    pub fn would_be_rejected(
        &self,
        ssl: &Ssl,
        ctx: &SslCtx,
        context: &Context,
        bytes: &[u8],
    ) -> bool {
        let place = Place::of_ssl(ssl, ctx, context);
        self.leaf.is_some_and(|leaf| {
            place.with_subject(leaf, self.key, self.x509, |subject| {
                staples::would_be_rejected(subject, bytes)
            })
        })
    }
}
