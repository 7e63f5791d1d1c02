//! Whether the signature of a response counts for a leaf, as the judgement asks.

use std::cell::RefCell;

use staplegun_ocsp::{Certificate, Response, Signatures, Signer};

use crate::host::library_context::LibraryContext;
use crate::host::memory::try_vec;
use crate::host::tables::Crypto;
use crate::host::x509::OwnedX509;
use crate::verify::{self, Unverified};

use super::leaf::{Issuer, Verified};

/// The issuer's signatures, as the host's libcrypto verifies them.
pub struct ByIssuer<'i> {
    issuer: &'i Issuer,
    crypto: &'static Crypto,
    library: LibraryContext,
    /// The last one is remembered where the program staples by itself: the same response
    /// in every handshake, and verifying one takes longer than all the rest.
    last: RefCell<Option<&'i mut Option<Verified>>>,
}

impl<'i> ByIssuer<'i> {
    /// Those of `issuer`, by `crypto`, with what was verified `last`, if that is kept.
    pub fn new(
        crypto: &'static Crypto,
        library: LibraryContext,
        issuer: &'i Issuer,
        last: Option<&'i mut Option<Verified>>,
    ) -> ByIssuer<'i> {
        ByIssuer {
            issuer,
            crypto,
            library,
            last: RefCell::new(last),
        }
    }
}

impl Signatures for ByIssuer<'_> {
    type Error = Unverified;

    fn issuer(&self) -> &Certificate {
        &self.issuer.certificate
    }

    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Unverified> {
        let mut last = self.last.borrow_mut();
        if let Some(Some((der, verified))) = last.as_deref()
            && der == response.der()
        {
            return *verified;
        }
        let verified = self.library.within(self.crypto, || {
            let issuer = OwnedX509::from_der(self.crypto, &self.issuer.der);
            let issuer = issuer.ok_or(Unverified::NoIssuer)?;
            verify::signed(issuer.as_ref(), response, signer)
        });
        if let Some(last) = last.as_deref_mut() {
            let der = try_vec(response.der().len()).map(|mut copy| {
                copy.extend_from_slice(response.der());
                copy
            });
            *last = der.map(|der| (der, verified));
        }
        verified
    }
}
