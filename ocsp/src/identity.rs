//! certID: how OCSP names a certificate, by hashes of its issuer and its serial
//! number (RFC 6960, 4.1.1).

use crate::asn1::{Cursor, NotDer, Tag, encode, integer};
use crate::certificate::Certificate;
use crate::text::hex;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::sync::Arc;

/// The hash in a certID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// What RFC 5019 asks for and every responder knows. Only a name here: it
    /// protects nothing.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    const ALL: [HashAlgorithm; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The content octets of its object identifier.
    const fn object_identifier(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x2b, 14, 3, 2, 26],
            Self::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
            Self::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
            Self::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha384 => Sha384::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }
}

/// A certID as it stands in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertId<'a> {
    /// Which hash it uses; `None` for one that is not known here, which
    /// therefore matches nothing.
    pub hash_algorithm: Option<HashAlgorithm>,
    /// Hash of the DER of the issuer's name.
    pub issuer_name_hash: &'a [u8],
    /// Hash of the issuer's public key.
    pub issuer_key_hash: &'a [u8],
    /// The content octets of the serial number.
    pub serial: &'a [u8],
}

impl<'a> CertId<'a> {
    /// Reads the next element as a CertID.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, NotDer> {
        let mut cert_id = cursor.take(Tag::Sequence, "certID")?.inside();
        let mut algorithm = cert_id.take(Tag::Sequence, "hashAlgorithm")?.inside();
        let identifier = algorithm
            .take(Tag::ObjectIdentifier, "hashAlgorithm")?
            .content;
        // The parameters are NULL or absent: both are in use and mean the same.
        let known_parameters = algorithm.is_empty()
            || (algorithm
                .optional(Tag::Null)
                .is_some_and(|null| null.content.is_empty())
                && algorithm.is_empty());
        let name_hash = cert_id.take(Tag::OctetString, "issuerNameHash")?.content;
        let key_hash = cert_id.take(Tag::OctetString, "issuerKeyHash")?.content;
        let serial = integer(cert_id.take(Tag::Integer, "serialNumber")?, "serialNumber")?;
        cert_id.end("certID")?;
        Ok(CertId {
            hash_algorithm: HashAlgorithm::ALL
                .into_iter()
                .find(|known| known_parameters && known.object_identifier() == identifier),
            issuer_name_hash: name_hash,
            issuer_key_hash: key_hash,
            serial,
        })
    }
}

/// What tells one certificate from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Same issuer, other serial number.
    Serial,
    /// Same serial number, other issuer.
    Issuer,
    /// Neither is the same.
    Both,
    /// The certID uses a hash that is not known here.
    HashAlgorithm,
}

/// A certificate as OCSP sees it: its serial number and its issuer's name and
/// key. The hashes in common use are computed once, when it is made; clones and
/// [siblings](Identity::sibling) share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    issuer: Arc<IssuerId>,
    serial: Vec<u8>,
}

/// What is the same for all certificates of an issuer.
#[derive(Debug, PartialEq, Eq)]
struct IssuerId {
    name: Vec<u8>,
    key: Vec<u8>,
    sha1: IssuerHashes,
    sha256: IssuerHashes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IssuerHashes {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    /// The identity of `leaf` under `issuer`; `None` if the issuer's subject is
    /// not the name that the leaf gives as its issuer. That the issuer's key
    /// really signed the leaf is for the caller to verify.
    pub fn new(leaf: &Certificate, issuer: &Certificate) -> Option<Identity> {
        if !leaf.names_as_issuer(issuer) {
            return None;
        }
        // RFC 6960, 4.1.1: the name as it stands in the certificate being checked.
        let name = leaf.issuer_name();
        let key = issuer.public_key_bits();
        let issuer = IssuerId {
            name: name.to_vec(),
            key: key.to_vec(),
            sha1: IssuerHashes::compute(HashAlgorithm::Sha1, name, key),
            sha256: IssuerHashes::compute(HashAlgorithm::Sha256, name, key),
        };
        Some(Identity {
            issuer: Arc::new(issuer),
            serial: leaf.serial().to_vec(),
        })
    }

    /// The identity of another leaf under the same issuer, without hashing again;
    /// `None` if it does not give its issuer the same name octet by octet, which
    /// [`Identity::new`] may still accept. That the issuer's key really signed the
    /// leaf is for the caller to verify, as there.
    pub fn sibling(&self, leaf: &Certificate) -> Option<Identity> {
        (leaf.issuer_name() == self.issuer.name).then(|| Identity {
            issuer: Arc::clone(&self.issuer),
            serial: leaf.serial().to_vec(),
        })
    }

    /// The content octets of the serial number.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The serial number in lower-case hexadecimal, for logs.
    pub fn serial_hex(&self) -> String {
        hex(&self.serial)
    }

    /// Whether a certID means this certificate: all of it is compared, under
    /// whatever hash it uses.
    pub fn matches(&self, cert_id: &CertId<'_>) -> bool {
        self.difference(cert_id).is_none()
    }

    /// What makes a certID another certificate's; `None` if it is this one's.
    pub fn difference(&self, cert_id: &CertId<'_>) -> Option<Difference> {
        let Some(hash_algorithm) = cert_id.hash_algorithm else {
            return Some(Difference::HashAlgorithm);
        };
        let same_serial = cert_id.serial == self.serial;
        let same_issuer = self.with_hashes(hash_algorithm, |hashes| {
            cert_id.issuer_name_hash == hashes.name && cert_id.issuer_key_hash == hashes.key
        });
        match (same_issuer, same_serial) {
            (true, true) => None,
            (true, false) => Some(Difference::Serial),
            (false, true) => Some(Difference::Issuer),
            (false, false) => Some(Difference::Both),
        }
    }

    /// The DER of this certificate's CertID, with NULL parameters as RFC 5019
    /// writes them.
    pub fn cert_id(&self, hash_algorithm: HashAlgorithm) -> Vec<u8> {
        let identifier = encode(0x06, &[hash_algorithm.object_identifier()]);
        let algorithm = encode(0x30, &[&identifier, &[0x05, 0x00]]);
        self.with_hashes(hash_algorithm, |hashes| {
            let parts = [
                algorithm.as_slice(),
                &encode(0x04, &[&hashes.name]),
                &encode(0x04, &[&hashes.key]),
                &encode(0x02, &[&self.serial]),
            ];
            encode(0x30, &parts)
        })
    }

    fn with_hashes<T>(
        &self,
        hash_algorithm: HashAlgorithm,
        use_hashes: impl FnOnce(&IssuerHashes) -> T,
    ) -> T {
        match hash_algorithm {
            HashAlgorithm::Sha1 => use_hashes(&self.issuer.sha1),
            HashAlgorithm::Sha256 => use_hashes(&self.issuer.sha256),
            rare => use_hashes(&IssuerHashes::compute(
                rare,
                &self.issuer.name,
                &self.issuer.key,
            )),
        }
    }
}

impl IssuerHashes {
    fn compute(hash_algorithm: HashAlgorithm, name: &[u8], key: &[u8]) -> Self {
        IssuerHashes {
            name: hash_algorithm.digest(name),
            key: hash_algorithm.digest(key),
        }
    }
}
