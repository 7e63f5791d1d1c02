//! A certificate whose status is asked for: the leaf, its issuer if it is known,
//! and what came along.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use openssl::x509::X509;
use staplegun_ocsp::{Certificate, Identity, UnixTime};
use staplegun_store::Key;
use staplegun_store::files::read_regular;

use super::issuer::{Issuer, Issuers};
use super::trust::Trust;
use super::{container, pem, verify};
use crate::agent::now;

/// The largest file of certificates that is read, in bytes.
const MAX_FILE: usize = 1 << 20;

/// A leaf and what is known of its issuers.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The leaf's facts.
    pub leaf: Certificate,
    issuer: Option<Issued>,
    /// The leaf in DER, then the other certificates that came along, in their
    /// order; empty once they were let go.
    certificates: Vec<Vec<u8>>,
}

/// By whom the leaf was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate that signed it.
    pub by: Arc<Issuer>,
    /// What its responders call the leaf.
    pub identity: Identity,
}

impl Subject {
    /// The leaf comes first; its issuer is looked for among the rest. Issuers that
    /// are in use already are shared by `issuers`.
    ///
    /// # Errors
    ///
    /// If the leaf is missing or not a certificate.
    pub fn new(certificates: Vec<Vec<u8>>, issuers: &Issuers) -> anyhow::Result<Self> {
        let mut subject = Self::unexamined(certificates)?;
        subject.find_issuer(issuers);
        Ok(subject)
    }

    /// The leaf comes first; its issuer is not looked for, which takes cryptography.
    ///
    /// # Errors
    ///
    /// If the leaf is missing or not a certificate.
    pub fn unexamined(certificates: Vec<Vec<u8>>) -> anyhow::Result<Self> {
        let Some(leaf) = certificates.first() else {
            bail!("there is no certificate in it");
        };
        Ok(Self {
            leaf: Certificate::from_der(leaf)?,
            issuer: None,
            certificates,
        })
    }

    /// Looks for the issuer among the certificates that came along: the best one, if the
    /// same CA's is there more than once.
    pub fn find_issuer(&mut self, issuers: &Issuers) {
        for at in 1..self.certificates.len() {
            let candidate = std::mem::take(&mut self.certificates[at]);
            self.complete(&candidate, issuers);
            self.certificates[at] = candidate;
        }
    }

    /// From a file's contents: PEM with the leaf first, or one certificate in DER.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn from_bytes(bytes: &[u8], issuers: &Issuers) -> anyhow::Result<Self> {
        let mut subject = Self::unexamined_from_bytes(bytes)?;
        subject.find_issuer(issuers);
        Ok(subject)
    }

    /// The same, without looking for the issuer.
    ///
    /// # Errors
    ///
    /// As [`Subject::from_bytes`].
    pub fn unexamined_from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let is_pem = bytes.windows(11).any(|part| part == b"-----BEGIN ");
        if !is_pem {
            // The tag of every certificate; what follows tells more if it is damaged.
            if bytes.first().is_some_and(|tag| *tag != 0x30) {
                bail!("it holds no certificate, neither in PEM nor in DER");
            }
            return Self::unexamined(vec![bytes.to_vec()]);
        }
        if let Some(certificates) = pem::plain(bytes) {
            return Self::unexamined(certificates);
        }
        // Other things may stand between the certificates: OpenSSL reads them all.
        let Ok(certificates) = X509::stack_from_pem(bytes) else {
            bail!("the PEM in it is damaged, or not of certificates");
        };
        let ders = certificates
            .iter()
            .map(|certificate| certificate.to_der())
            .collect::<Result<Vec<_>, _>>()?;
        Self::unexamined(ders)
    }

    /// From a file. An issuer may also stand in a file of the same name with
    /// `.issuer` appended.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no certificate; the message names it.
    pub fn from_file(path: &Path, issuers: &Issuers) -> anyhow::Result<Self> {
        let mut subject = read(path)
            .and_then(|bytes| {
                Self::from_bytes(&bytes, issuers).map_err(|error| {
                    match container::advice(path, &bytes) {
                        Some(advice) => anyhow::Error::msg(advice),
                        None => error,
                    }
                })
            })
            .with_context(|| format!("cannot use the certificate {}", path.display()))?;
        if subject.issuer.is_none()
            && let Ok(bytes) = read(&issuer_beside(path))
        {
            for der in certificates_in(&bytes) {
                subject.complete(&der, issuers);
            }
        }
        Ok(subject)
    }

    /// Takes `candidate` (DER) as the issuer, if it signed the leaf and none is known
    /// that is as good. Whether it did.
    pub fn complete(&mut self, candidate: &[u8], issuers: &Issuers) -> bool {
        let (Some(leaf), Some(by)) = (self.certificates.first(), issuers.get(candidate)) else {
            return false;
        };
        let Some(identity) = by.identity_of(&self.leaf) else {
            return false;
        };
        let known = self.issuer.as_ref();
        if known.is_some_and(|known| !by.outranks(&known.by, now())) {
            return false;
        }
        if !verify::issued(leaf, &by) {
            return false;
        }
        self.issuer = Some(Issued { by, identity });
        true
    }

    /// Whether it has a better issuer than `known`, which is the same leaf.
    pub fn improves(&self, known: &Self) -> bool {
        match (&self.issuer, &known.issuer) {
            (Some(new), Some(known)) => new.by.outranks(&known.by, now()),
            (new, known) => new.is_some() && known.is_none(),
        }
    }

    /// Whether an issuer is known that is valid at that time.
    pub fn has_valid_issuer(&self, now: UnixTime) -> bool {
        self.issuer.as_ref().is_some_and(|it| it.by.is_valid(now))
    }

    /// Looks for the issuer where it may be although it did not come along: among those
    /// that are trusted and, if the certificate is root's or the agent's own, among those
    /// that root brought.
    pub fn complete_from(&mut self, trust: &Trust, is_ours: bool, issuers: &Issuers) {
        let trusted = trust.issuer_of(&self.ders());
        let of_root = is_ours.then(|| issuers.of_root(&self.leaf));
        for der in trusted.into_iter().chain(of_root.into_iter().flatten()) {
            self.complete(&der, issuers);
        }
    }

    /// SHA-256 of the leaf: its name in the store.
    pub fn key(&self) -> Key {
        self.leaf.sha256()
    }

    /// The issuer, if it is known.
    pub fn issuer(&self) -> Option<&Issued> {
        self.issuer.as_ref()
    }

    /// Leaf, issuer and the rest, each in DER: as the spool takes them. None of
    /// them once they were let go.
    pub fn ders(&self) -> Vec<&[u8]> {
        let issuer = self.issuer.as_ref().map(|issuer| issuer.by.der.as_slice());
        let mut all = self.certificates.iter().map(Vec::as_slice);
        let Some(leaf) = all.next() else {
            return Vec::new();
        };
        let rest = all.filter(|der| Some(*der) != issuer);
        [leaf].into_iter().chain(issuer).chain(rest).collect()
    }

    /// The same in PEM: as `certs/` keeps them.
    pub fn to_pem(&self) -> Vec<u8> {
        self.ders().into_iter().flat_map(pem::encode).collect()
    }

    /// Lets go of the certificates themselves, if the issuer is known and lasts as long as
    /// the leaf: asking for the status takes only what was read from them.
    pub fn let_go(&mut self) {
        let end = self.leaf.not_after();
        let issuer = self.issuer.as_ref();
        if issuer.is_some_and(|issuer| issuer.by.facts.not_after() >= end) {
            self.certificates = Vec::new();
        }
    }
}

/// Reads a file of certificates that a user named.
///
/// # Errors
///
/// If it cannot be read, is no regular file, or is far too large.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_regular(path, MAX_FILE).map_err(|error| match error.kind() {
        // Tried again, it would be the same.
        ErrorKind::InvalidInput => anyhow!("{error}"),
        ErrorKind::FileTooLarge => anyhow!("{error}, too many for certificates"),
        _ => error.into(),
    })
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
    use staplegun_testkit::{Directory, wait};

    use super::*;

    #[test]
    fn what_would_be_the_same_if_it_were_read_again_is_no_error_of_the_systems() {
        let directory = Directory::new();
        let of_the_system = |path: &Path| read(path).unwrap_err().is::<std::io::Error>();
        assert!(of_the_system(&directory.join("missing.pem")));
        assert!(!of_the_system(directory.path()));
        let large = directory.write("large.pem", vec![b'x'; MAX_FILE + 1]);
        assert!(!of_the_system(&large));
    }

    #[test]
    fn a_pipe_that_takes_a_files_place_is_not_waited_for() {
        let directory = Directory::new();
        let file = directory.write("cert.pem", "text");
        let pipe = directory.join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("it can be made");
        let has_read = Arc::new(AtomicBool::new(false));
        let (path, done) = (file.clone(), Arc::clone(&has_read));
        std::thread::spawn(move || {
            for _ in 0..30_000 {
                match read(&path) {
                    Ok(bytes) => assert_eq!(bytes, b"text"),
                    Err(error) => assert_eq!(error.to_string(), "it is not a regular file"),
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        wait::until("everything was read", || {
            for _ in 0..100_000 {
                if has_read.load(Ordering::Relaxed) {
                    return Some(());
                }
                renameat_with(CWD, &file, CWD, &pipe, RenameFlags::EXCHANGE).expect("it is ours");
            }
            None
        });
    }
}
