//! Certificates that issue: read once, however many leaves they signed, and
//! shared by them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use staplegun_ocsp::{Certificate, Identity, UnixTime};
use staplegun_store::name;

use super::accepted::Accepted;

/// A certificate that may have signed leaves, with what is made of it for every
/// response: OpenSSL 3.0 takes longer to decode a certificate than to verify a
/// signature. May be used by several threads at once.
pub struct Issuer {
    /// In DER.
    pub der: Vec<u8>,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// What it says.
    pub facts: Certificate,
    /// Its public key.
    pub key: PKey<Public>,
    /// It alone, as the end of every chain (RFC 6960, 4.2.2.2: a delegated
    /// responder's certificate must come from the issuer itself).
    pub anchors: X509Store,
    /// It alone, as one who may have signed.
    pub signers: Stack<X509>,
    /// Those whose right to sign responses was found.
    pub accepted: Accepted,
    /// The identity of a leaf of it, whose hashes the others share.
    first: Mutex<Option<Identity>>,
}

impl Issuer {
    /// Reads one; None if it is not a certificate with a key that libcrypto knows.
    pub fn read(der: &[u8]) -> Option<Self> {
        let facts = Certificate::from_der(der).ok()?;
        let made = || -> Result<_, ErrorStack> {
            let certificate = X509::from_der(der)?;
            let key = certificate.public_key()?;
            let mut anchors = X509StoreBuilder::new()?;
            // When certificates end is judged with the response, by the time that
            // it is judged for.
            anchors.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
            anchors.add_cert(certificate.clone())?;
            let mut signers = Stack::new()?;
            signers.push(certificate)?;
            Ok((key, anchors.build(), signers))
        };
        let (key, anchors, signers) = made().ok()?;
        Some(Self {
            der: der.to_vec(),
            sha256: name::of_key(&facts.sha256()),
            facts,
            key,
            anchors,
            signers,
            accepted: Accepted::default(),
            first: Mutex::default(),
        })
    }

    /// Whether it is valid at that time.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.facts.not_before() <= now && now <= self.facts.not_after()
    }

    /// Whether it is rather to be used than `other`, which has the same name and key:
    /// a CA's certificate is renewed, and chains may have the old one and the new one. A
    /// response counts no longer than the certificate of its issuer.
    pub fn outranks(&self, other: &Self, now: UnixTime) -> bool {
        let rank = |one: &Self| (one.is_valid(now), one.facts.not_after());
        rank(self) > rank(other)
    }

    /// What its responders call `leaf`; None if the leaf names another issuer.
    /// Whether it signed the leaf is not looked at.
    pub fn identity_of(&self, leaf: &Certificate) -> Option<Identity> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sibling) = first.as_ref().and_then(|first| first.sibling(leaf)) {
            return Some(sibling);
        }
        let identity = Identity::new(leaf, &self.facts)?;
        first.get_or_insert_with(|| identity.clone());
        Some(identity)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// The most certificates of issuers that are kept of those that root brought.
const OF_ROOT: usize = 256;

/// The issuers that are in use somewhere, each once; and those that came along with
/// certificates of root, for others of root that came alone.
#[derive(Debug, Default)]
pub struct Issuers {
    known: Mutex<HashMap<Vec<u8>, Weak<Issuer>>>,
    of_root: Mutex<VecDeque<(Certificate, Vec<u8>)>>,
}

impl Issuers {
    /// The issuer with that DER: the one in use, or read now. None if it cannot be
    /// read.
    pub fn get(&self, der: &[u8]) -> Option<Arc<Issuer>> {
        if let Some(known) = self.known(der) {
            return Some(known);
        }
        // Read without the lock: two threads may do it at once, and one wins.
        let issuer = Arc::new(Issuer::read(der)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = known.get(der).and_then(Weak::upgrade) {
            return Some(other);
        }
        // Whoever brings many issuers that are dropped again leaves nothing behind.
        known.retain(|_, issuer| issuer.strong_count() > 0);
        known.insert(der.to_vec(), Arc::downgrade(&issuer));
        Some(issuer)
    }

    /// Keeps what came along with a certificate of root, of which `chain` (DER) consists.
    /// True if something in it is new.
    pub fn learn_of_root(&self, chain: &[&[u8]]) -> bool {
        let mut of_root = self.of_root.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_news = false;
        for der in chain.iter().skip(1) {
            if of_root.iter().any(|(_, known)| known == der) {
                continue;
            }
            let Ok(facts) = Certificate::from_der(der) else {
                continue;
            };
            if of_root.len() >= OF_ROOT {
                of_root.pop_front();
            }
            of_root.push_back((facts, der.to_vec()));
            is_news = true;
        }
        is_news
    }

    /// Those of root's (DER) that have the name of the issuer of `leaf`.
    pub fn of_root(&self, leaf: &Certificate) -> Vec<Vec<u8>> {
        let of_root = self.of_root.lock().unwrap_or_else(PoisonError::into_inner);
        let named = of_root
            .iter()
            .filter(|(facts, _)| leaf.names_as_issuer(facts));
        named.map(|(_, der)| der.clone()).collect()
    }

    fn known(&self, der: &[u8]) -> Option<Arc<Issuer>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(der).and_then(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_testkit::{Identity as Minted, Spec};

    #[test]
    fn what_root_brought_is_found_by_its_name_and_only_so_much_is_kept() {
        let issuers = Issuers::default();
        let ca = Minted::self_signed(&Spec::ca("CA"));
        let leaf = ca.issue(&Spec::server());
        let facts = Certificate::from_der(&leaf.der()).unwrap();
        assert!(issuers.of_root(&facts).is_empty());
        assert!(issuers.learn_of_root(&[&leaf.der(), &ca.der()]));
        assert!(!issuers.learn_of_root(&[&leaf.der(), &ca.der()]));
        assert_eq!(issuers.of_root(&facts), [ca.der()]);
        let other = Minted::self_signed(&Spec::ca("Other"));
        for _ in 0..OF_ROOT {
            let more = other.issue(&Spec::ca("More"));
            assert!(issuers.learn_of_root(&[&leaf.der(), &more.der()]));
        }
        assert_eq!(issuers.of_root.lock().unwrap().len(), OF_ROOT);
        assert!(issuers.of_root(&facts).is_empty());
    }

    #[test]
    fn one_issuer_is_read_once_and_gone_when_nobody_uses_it() {
        let issuers = Issuers::default();
        let der = Minted::self_signed(&Spec::ca("CA")).der();
        let (one, same) = (issuers.get(&der).unwrap(), issuers.get(&der).unwrap());
        assert!(Arc::ptr_eq(&one, &same));
        drop((one, same));
        assert!(issuers.known(&der).is_none());
        let other = Minted::self_signed(&Spec::ca("Other")).der();
        let other = issuers.get(&other).unwrap();
        assert_eq!(issuers.known.lock().unwrap().len(), 1, "{other:?}");
        assert!(issuers.get(b"garbage").is_none());
    }
}
