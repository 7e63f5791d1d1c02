//! Whom the machine and the operator trust to issue certificates, and whose certificate
//! they have for it.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context;
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext};
use staplegun_store::files::read_regular;

use crate::libcrypto;

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 64 << 20;

/// The certification authorities that the machine trusts, and those that the
/// configuration adds. May be used by several threads at once.
#[derive(Default)]
pub struct Trust {
    extra: Vec<X509>,
    /// Made when it is wanted first: the machine's authorities are many, and most agents
    /// never need one. None if libcrypto cannot make it.
    store: OnceLock<Option<X509Store>>,
}

impl Trust {
    /// Adds the certificates of a PEM file, each an anchor.
    ///
    /// # Errors
    ///
    /// If it cannot be read; then none of them is added.
    pub fn add(&mut self, file: &Path) -> anyhow::Result<()> {
        let pem = read_regular(file, MAX_FILE)
            .with_context(|| format!("cannot read the trusted issuers {}", file.display()))?;
        let certificates = X509::stack_from_pem(&pem)
            .with_context(|| format!("{} is not a PEM file of certificates", file.display()))?;
        self.extra.extend(certificates);
        self.store = OnceLock::new();
        Ok(())
    }

    fn store(&self) -> Option<&X509Store> {
        let made = || -> Result<X509Store, ErrorStack> {
            let mut builder = X509StoreBuilder::new()?;
            libcrypto::trust_the_machines(&mut builder)?;
            builder.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
            for certificate in &self.extra {
                builder.add_cert(certificate.clone())?;
            }
            // What went wrong with a missing system store is of no interest later.
            drop(ErrorStack::get());
            Ok(builder.build())
        };
        self.store.get_or_init(|| made().ok()).as_ref()
    }

    /// Whether a certificate was issued by an authority that is trusted, or by one
    /// that such an authority certified. The certificate itself is verified, not its
    /// issuer: else anybody's certificate would do for an authority's. `chain` (DER)
    /// has it first; the others may help.
    pub fn covers(&self, chain: &[&[u8]]) -> bool {
        self.verified(chain).is_some()
    }

    /// The certificate (DER) of the issuer of the first one in `chain`, if that is
    /// trusted as by [`Trust::covers`]: one that came along, or that is trusted itself.
    pub fn issuer_of(&self, chain: &[&[u8]]) -> Option<Vec<u8>> {
        self.verified(chain)?
    }

    /// None if it is not trusted.
    fn verified(&self, chain: &[&[u8]]) -> Option<Option<Vec<u8>>> {
        let store = self.store()?;
        let verified = || -> Result<_, ErrorStack> {
            let mut certificates = Stack::new()?;
            for der in chain {
                certificates.push(X509::from_der(der)?)?;
            }
            let Some(leaf) = certificates.get(0) else {
                return Ok(None);
            };
            X509StoreContext::new()?.init(store, leaf, &certificates, |context| {
                if !context.verify_cert()? {
                    return Ok(None);
                }
                let issuer = context.chain().and_then(|chain| chain.get(1));
                Ok(Some(issuer.map(|issuer| issuer.to_der()).transpose()?))
            })
        };
        verified().ok().flatten()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_testkit::{Directory, Identity, Spec};

    #[test]
    fn an_issuer_is_found_among_those_that_are_trusted_and_what_came_along() {
        let root = Identity::self_signed(&Spec::ca("Root"));
        let ca = root.issue(&Spec::ca("CA"));
        let (direct, leaf) = (root.issue(&Spec::server()), ca.issue(&Spec::server()));
        let directory = Directory::new();
        let anchors = directory.write("anchors.pem", root.pem());
        let mut trust = Trust::default();
        trust.add(&anchors).unwrap();
        let issuer_of = |chain: &[&Identity]| {
            let ders: Vec<Vec<u8>> = chain.iter().map(|one| one.der()).collect();
            trust.issuer_of(&ders.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        assert_eq!(issuer_of(&[&direct]), Some(root.der()));
        assert_eq!(issuer_of(&[&leaf, &ca]), Some(ca.der()));
        assert_eq!(issuer_of(&[&leaf]), None);
        let stranger = Identity::self_signed(&Spec::ca("CA"));
        let strange = stranger.issue(&Spec::server());
        assert_eq!(issuer_of(&[&strange, &stranger, &ca]), None);
        assert_eq!(issuer_of(&[]), None);
    }
}
