//! What the configured files hold: responses that may be about a certificate,
//! and everything else, each with its reason.

use std::path::{Path, PathBuf};

use staplegun_ocsp::{Certificate, Fault, Response};

use crate::config;
use crate::log;

use super::ahead;
use super::directory::{self, When};
use super::source::{self, Candidate, Unreadable};
use super::watch::Source;

/// The files that were looked at for one certificate.
pub struct Candidates {
    found: Vec<Found>,
    /// Those of which only the files about the certificate are to be read.
    directories: Vec<Source>,
    watched: Vec<Source>,
    when: When,
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
    pub fn gather(path: Option<&Path>, when: When) -> Candidates {
        let mut candidates = Candidates::none(when);
        for configured in &config::get().responses {
            let source = Source::at(configured.clone());
            if source.stamp.is_none()
                && candidates.add_read_ahead(configured, ahead::of(configured))
            {
                candidates.watched.push(source);
            } else {
                candidates.add(source, true);
            }
        }
        if let Some(path) = path {
            // What is not there now is not looked for in a handshake.
            let beside = Source::at(source::beside(path, ".ocsp"));
            if beside.stamp.is_some() {
                candidates.add(beside, true);
            }
        }
        candidates
    }

    /// Reads what changed, in a handshake: nothing else.
    pub fn of_changed(source: Source) -> Candidates {
        let mut candidates = Candidates::none(When::Handshake);
        candidates.add(source, true);
        candidates
    }

    fn none(when: When) -> Candidates {
        Candidates {
            found: Vec::new(),
            directories: Vec::new(),
            watched: Vec::new(),
            when,
        }
    }

    /// What was `read` of `configured` before it was out of reach, if anything was.
    fn add_read_ahead<'r>(
        &mut self,
        configured: &Path,
        read: impl Iterator<Item = &'r Candidate>,
    ) -> bool {
        let before = self.found.len();
        self.found.extend(read.map(|ahead| Found {
            path: ahead.path.clone(),
            named: ahead.path == configured,
            bytes: Ok(ahead.der.clone()),
        }));
        self.found.len() > before
    }

    fn add(&mut self, source: Source, named: bool) {
        // What lies beside a certificate is to be a file.
        let is_directory = source.stamp.is_some_and(|stamp| stamp.is_directory());
        if is_directory && config::get().responses.contains(&source.path) {
            self.directories.push(source);
            return;
        }
        let Source { path, mut stamp } = source;
        let bytes = source::read(&path, staplegun_ocsp::MAX_RESPONSE as u64);
        if bytes.as_ref().is_err_and(Unreadable::is_out_of_resources) {
            // So that it counts as changed at the next look.
            stamp = None;
        }
        self.watched.push(Source {
            path: path.clone(),
            stamp,
        });
        self.found.push(Found { path, named, bytes });
    }

    /// Whether there was no file at all.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.directories.is_empty()
    }

    /// What is to be looked at again.
    pub fn into_watched(self) -> Vec<Source> {
        self.watched
    }

    /// The responses whose serial number is the certificate's. What is wrong with the rest is
    /// logged, about the certificate `name`, which has a response already if `is_served`.
    pub fn about(&mut self, leaf: &Certificate, name: &str, is_served: bool) -> Vec<Candidate> {
        for directory in std::mem::take(&mut self.directories) {
            let Source { path, stamp } = directory;
            let files = directory::files_about(&path, stamp, leaf.serial(), self.when);
            // What cannot be told now counts as changed at the next look.
            let stamp = stamp.filter(|_| files.is_some());
            self.watched.push(Source { path, stamp });
            for file in files.into_iter().flatten() {
                self.add(Source::at(file), false);
            }
        }
        let (mut responses, mut of_others) = (Vec::new(), Vec::new());
        for Found { path, named, bytes } in std::mem::take(&mut self.found) {
            let (what, is_anothers) = match bytes {
                Err(unreadable) => (unreadable.to_string(), false),
                Ok(der) => match is_about(&der, leaf) {
                    Ok(()) => {
                        responses.push(Candidate { path, der });
                        continue;
                    }
                    Err(fault) => {
                        let is_anothers = matches!(fault, Fault::WrongCertificate { .. });
                        (fault.to_string(), is_anothers)
                    }
                },
            };
            if named && is_anothers {
                of_others.push((path, what));
            } else {
                complain(&path, name, &what, named);
            }
        }
        // Beside this one's own it is how several certificates are configured.
        let is_amiss = !is_served && responses.is_empty();
        for (path, what) in of_others {
            complain(&path, name, &what, is_amiss);
        }
        responses
    }
}

fn complain(path: &Path, name: &str, what: &str, is_amiss: bool) {
    let path = path.display();
    if is_amiss {
        log::warning!("{path} is not stapled for {name}: {what}");
    } else {
        log::debug!("{path} is not stapled for {name}: {what}");
    }
}

/// Whether a response speaks of the certificate's serial number. The issuer is
/// compared later, when it is known.
fn is_about(der: &[u8], leaf: &Certificate) -> Result<(), Fault> {
    let response = Response::parse(der)?;
    if response.cert_ids().any(|id| id.serial == leaf.serial()) {
        return Ok(());
    }
    let Some(first) = response.cert_ids().next() else {
        return Err(Fault::NoStatus);
    };
    Err(Fault::WrongCertificate {
        difference: staplegun_ocsp::identity::Difference::Serial,
        wanted: leaf.serial_hex(),
        found: first
            .serial
            .iter()
            .take(32)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Site;

    use super::*;

    #[test]
    fn a_response_for_several_certificates_is_about_each_of_them_and_no_other() {
        let site = Site::new();
        let der = site.leaf.der();
        let leaf = Certificate::from_der(&der).expect("a certificate");
        let both = site.good().after(b"another");
        assert!(is_about(&both.der(), &leaf).is_ok());
        assert!(is_about(&site.good().der(), &leaf).is_ok());
        let neither = is_about(&both.serial(b"a third").der(), &leaf);
        assert!(matches!(neither, Err(Fault::WrongCertificate { .. })));
    }

    fn read_ahead(path: &str) -> Candidate {
        Candidate {
            path: path.into(),
            der: path.into(),
        }
    }

    /// What the operator is told of: a file that was named, and not each one of a directory.
    #[test]
    fn what_was_read_ahead_stands_for_what_is_out_of_reach() {
        let mut candidates = Candidates::none(When::Load);
        let file = Path::new("/a/file");
        assert!(candidates.add_read_ahead(file, [read_ahead("/a/file")].iter()));
        let directory = Path::new("/a/directory");
        assert!(candidates.add_read_ahead(directory, [read_ahead("/a/directory/file")].iter()));
        let missing = Path::new("/missing");
        assert!(!candidates.add_read_ahead(missing, [].iter()));

        let found = candidates.found.iter();
        let found: Vec<_> = found
            .map(|found| (found.path.to_str(), found.named))
            .collect();
        let expected = [("/a/file", true), ("/a/directory/file", false)];
        assert_eq!(found, expected.map(|(path, named)| (Some(path), named)));
    }
}
