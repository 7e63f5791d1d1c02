//! A certificate whose status is asked for: the leaf, its issuer if it is known,
//! and what came along.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use openssl::x509::X509;
use staplegun_ocsp::{Certificate, Identity};
use staplegun_store::Key;

use super::verify;

/// The largest file of certificates that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A leaf and what is known of its issuers.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The leaf's facts.
    pub leaf: Certificate,
    /// The leaf in DER.
    leaf_der: Vec<u8>,
    issuer: Option<Issuer>,
    /// The other certificates that came along, in their order.
    others: Vec<Vec<u8>>,
}

/// The certificate that signed the leaf.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// In DER.
    pub der: Vec<u8>,
    /// What its responders call the leaf.
    pub identity: Identity,
}

impl Subject {
    /// The leaf comes first; its issuer is looked for among the rest.
    ///
    /// # Errors
    ///
    /// If the leaf is missing or not a certificate.
    pub fn new(certificates: &[&[u8]]) -> anyhow::Result<Self> {
        let Some((leaf_der, others)) = certificates.split_first() else {
            bail!("there is no certificate in it");
        };
        let mut subject = Self {
            leaf: Certificate::from_der(leaf_der)?,
            leaf_der: leaf_der.to_vec(),
            issuer: None,
            others: others.iter().map(|der| der.to_vec()).collect(),
        };
        for other in others {
            if subject.complete(other) {
                break;
            }
        }
        Ok(subject)
    }

    /// From a file's contents: PEM with the leaf first, or one certificate in DER.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let is_pem = bytes.windows(11).any(|part| part == b"-----BEGIN ");
        if !is_pem {
            return Self::new(&[bytes]);
        }
        let certificates =
            X509::stack_from_pem(bytes).context("it is not PEM of certificates, or is damaged")?;
        let ders = certificates
            .iter()
            .map(|certificate| certificate.to_der())
            .collect::<Result<Vec<_>, _>>()?;
        let ders: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
        Self::new(&ders)
    }

    /// From a file. An issuer may also stand in a file of the same name with
    /// `.issuer` appended.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no certificate; the message names it.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| -> anyhow::Result<Vec<u8>> {
            let about = std::fs::metadata(path)?;
            if !about.is_file() {
                bail!("it is not a regular file");
            }
            if about.len() > MAX_FILE {
                bail!("it has {} bytes, too many for certificates", about.len());
            }
            Ok(std::fs::read(path)?)
        };
        let mut subject = read(path)
            .and_then(|bytes| Self::from_bytes(&bytes))
            .with_context(|| format!("cannot use the certificate {}", path.display()))?;
        if subject.issuer.is_none()
            && let Ok(bytes) = read(&issuer_beside(path))
        {
            for der in certificates_in(&bytes) {
                subject.complete(&der);
            }
        }
        Ok(subject)
    }

    /// Takes `candidate` (DER) as the issuer, if it signed the leaf and none is
    /// known yet. Whether one is known now.
    pub fn complete(&mut self, candidate: &[u8]) -> bool {
        if self.issuer.is_some() {
            return true;
        }
        let Ok(facts) = Certificate::from_der(candidate) else {
            return false;
        };
        let Some(identity) = Identity::new(&self.leaf, &facts) else {
            return false;
        };
        if !verify::issued(&self.leaf_der, candidate) {
            return false;
        }
        self.issuer = Some(Issuer {
            der: candidate.to_vec(),
            identity,
        });
        true
    }

    /// SHA-256 of the leaf: its name in the store.
    pub fn key(&self) -> Key {
        self.leaf.sha256()
    }

    /// The issuer, if it is known.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    /// Leaf, issuer and the rest, each in DER: as the spool takes them.
    pub fn ders(&self) -> Vec<&[u8]> {
        let issuer = self.issuer.as_ref().map(|issuer| issuer.der.as_slice());
        let rest = self.others.iter().map(Vec::as_slice);
        let mut all = vec![self.leaf_der.as_slice()];
        all.extend(issuer);
        all.extend(rest.filter(|der| Some(*der) != issuer));
        all
    }

    /// The same in PEM: as `certs/` keeps them.
    ///
    /// # Errors
    ///
    /// If libcrypto cannot read one of them.
    pub fn to_pem(&self) -> anyhow::Result<Vec<u8>> {
        let mut pem = Vec::new();
        for der in self.ders() {
            pem.extend(X509::from_der(der)?.to_pem()?);
        }
        Ok(pem)
    }
}

/// Where the issuer of the certificate at `path` may lie: `.issuer` appended.
pub fn issuer_beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".issuer");
    beside.into()
}

/// The certificates in bytes from anywhere: PEM, one in DER, or PKCS #7 in DER
/// (`.p7c`, RFC 5280, 4.2.2.1). In DER; none if it is none of these.
pub fn certificates_in(bytes: &[u8]) -> Vec<Vec<u8>> {
    use openssl::pkcs7::Pkcs7;
    let from_pkcs7 = |bytes: &[u8]| -> Option<Vec<X509>> {
        let message = Pkcs7::from_der(bytes).ok()?;
        let certificates = message.signed()?.certificates()?;
        Some(certificates.iter().map(ToOwned::to_owned).collect())
    };
    let found = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        X509::stack_from_pem(bytes).unwrap_or_default()
    } else if let Ok(one) = X509::from_der(bytes) {
        vec![one]
    } else {
        from_pkcs7(bytes).unwrap_or_default()
    };
    // What libcrypto said of the wrong guesses.
    drop(openssl::error::ErrorStack::get());
    found.iter().filter_map(|one| one.to_der().ok()).collect()
}
