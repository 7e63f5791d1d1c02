//! What the configured files hold: responses that may be about a certificate,
//! and everything else, each with its reason.

use std::path::{Path, PathBuf};

use staplegun_ocsp::{Certificate, Fault, Response};

use crate::config;
use crate::log;

use super::source::{self, Stamp, Unreadable};

/// A response, not yet judged.
pub struct Candidate {
    /// The file it came from.
    pub path: PathBuf,
    /// The whole OCSPResponse.
    pub der: Vec<u8>,
}

/// The files that were looked at for one certificate.
pub struct Candidates {
    found: Vec<Found>,
    /// What is to be looked at again, and what it was like.
    pub watched: Vec<(PathBuf, Option<Stamp>)>,
}

struct Found {
    path: PathBuf,
    /// Whether the operator named this very file, so that whatever is wrong
    /// with it is worth a line.
    named: bool,
    bytes: Result<Vec<u8>, Unreadable>,
}

impl Candidates {
    /// Reads what STAPLEGUN_RESPONSE names, and what lies beside the certificate
    /// at `path`. The stamps are taken first: what changes meanwhile is read again.
    pub fn gather(path: Option<&Path>) -> Candidates {
        let mut candidates = Candidates {
            found: Vec::new(),
            watched: Vec::new(),
        };
        for configured in &config::get().responses {
            candidates
                .watched
                .push((configured.clone(), Stamp::of(configured)));
            if configured.is_dir() {
                for file in source::files_in(configured) {
                    candidates.add(file, false);
                }
            } else {
                candidates.add(configured.clone(), true);
            }
        }
        if let Some(path) = path {
            let beside = source::beside(path, ".ocsp");
            let stamp = Stamp::of(&beside);
            candidates.watched.push((beside.clone(), stamp));
            if stamp.is_some() {
                candidates.add(beside, true);
            }
        }
        candidates
    }

    fn add(&mut self, path: PathBuf, named: bool) {
        let bytes = source::read(&path, staplegun_ocsp::MAX_RESPONSE as u64);
        self.found.push(Found { path, named, bytes });
    }

    /// Whether there was no file at all.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The responses whose serial number is the certificate's, and what is
    /// wrong with the rest.
    pub fn about(self, leaf: &Certificate) -> (Vec<Candidate>, Vec<Complaint>) {
        let (mut about, mut complaints) = (Vec::new(), Vec::new());
        for Found { path, named, bytes } in self.found {
            let (what, of_another) = match bytes {
                Err(unreadable) => (unreadable.to_string(), false),
                Ok(der) => match is_about(&der, leaf) {
                    Ok(()) => {
                        about.push(Candidate { path, der });
                        continue;
                    }
                    Err(fault) => {
                        let of_another = matches!(fault, Fault::WrongCertificate { .. });
                        (fault.to_string(), of_another)
                    }
                },
            };
            complaints.push(Complaint {
                path,
                what,
                named,
                of_another,
            });
        }
        (about, complaints)
    }
}

/// What is wrong with a file.
pub struct Complaint {
    path: PathBuf,
    what: String,
    named: bool,
    of_another: bool,
}

impl Complaint {
    /// Logs it. A file that the operator named is worth a warning, unless it is
    /// about another certificate while this one `has_response`: that is how
    /// several certificates are configured.
    pub fn log(&self, name: &str, has_response: bool) {
        let Complaint { path, what, .. } = self;
        let path = path.display();
        if self.named && !(self.of_another && has_response) {
            log::warning!("{path} is not stapled for {name}: {what}");
        } else {
            log::debug!("{path} is not stapled for {name}: {what}");
        }
    }
}

/// Whether a response speaks of the certificate's serial number. The issuer is
/// compared later, when it is known.
fn is_about(der: &[u8], leaf: &Certificate) -> Result<(), Fault> {
    let response = Response::parse(der)?;
    let mut serials = response.cert_ids().map(|id| id.serial);
    let Some(first) = serials.next() else {
        return Err(Fault::NoStatus);
    };
    if first == leaf.serial() || serials.any(|serial| serial == leaf.serial()) {
        return Ok(());
    }
    Err(Fault::WrongCertificate {
        difference: staplegun_ocsp::identity::Difference::Serial,
        wanted: leaf.serial_hex(),
        found: first
            .iter()
            .take(32)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}
