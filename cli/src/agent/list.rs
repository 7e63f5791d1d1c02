//! The certificates at the paths that the operator named.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use staplegun_store::Key;
use staplegun_store::files::Stamp;

use super::sentence;
use crate::fetch::{Issuers, Subject, issuer_beside};

/// The most files that are looked at in a directory that was named: more than one
/// for each certificate, for keys may lie beside them.
const MAX_FILES: usize = 65_536;
/// How deep: one directory for each site is common.
const MAX_DEPTH: usize = 2;

/// What was found where the operator pointed. Files that have not changed since
/// are not read again, so that looking costs little.
#[derive(Debug, Default)]
pub struct Seen {
    files: HashMap<PathBuf, Read>,
    directories: BTreeSet<PathBuf>,
    /// What cannot be looked at, and why.
    failed: BTreeMap<PathBuf, String>,
}

/// A file that was read.
#[derive(Debug)]
struct Read {
    /// Its own, and that of its issuer's beside it.
    stamps: [Option<Stamp>; 2],
    /// The certificate in it, if there is one.
    certificate: Option<Key>,
}

/// A certificate, and the file in which it was found.
pub type Found = (PathBuf, Subject);

/// A look into a directory.
struct Looking<'a> {
    issuers: &'a Issuers,
    /// Files that may still be looked at.
    left: usize,
    found: Vec<Found>,
}

impl Seen {
    /// The directories whose changes matter.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter()
    }

    /// What could not be looked at when everything was looked at last, and why.
    pub fn failed(&self) -> &BTreeMap<PathBuf, String> {
        &self.failed
    }

    /// Lets the files with that certificate be read again at the next look, though they have not
    /// changed.
    pub fn look_again(&mut self, certificate: &Key) {
        self.files
            .retain(|_, read| read.certificate.as_ref() != Some(certificate));
    }

    /// Reads the certificates at `paths` that are new or have changed. What cannot
    /// be read is logged, once.
    pub fn look(&mut self, paths: &[PathBuf], issuers: &Issuers) -> Vec<Found> {
        self.directories.clear();
        let before = std::mem::take(&mut self.failed);
        let mut all = Vec::new();
        for path in paths {
            match self.look_at(path, issuers) {
                Ok(found) => all.extend(found),
                Err(error) => {
                    self.fail(path, &error);
                    // It may be made, or made again.
                    let parent = path.parent().filter(|parent| parent.is_dir());
                    self.directories.extend(parent.map(Path::to_owned));
                }
            }
        }
        for (path, why) in &self.failed {
            if before.get(path) != Some(why) {
                tracing::warn!(cause = "list", "{why}");
            }
        }
        all
    }

    fn fail(&mut self, path: &Path, error: &anyhow::Error) {
        let why = sentence::unreadable(path, error);
        self.failed.insert(path.to_owned(), why);
    }

    /// Reads the certificates at `path`: a file, or all files with the suffix .pem,
    /// .crt or .cer in a directory and those directly under it. In a directory what
    /// is no certificate, or a certification authority's, is passed over: keys and
    /// chains lie there too.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a file that was named holds no certificate.
    pub fn look_at(&mut self, path: &Path, issuers: &Issuers) -> anyhow::Result<Vec<Found>> {
        let about =
            fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
        let mut found = Vec::new();
        if about.is_dir() {
            let mut looking = Looking {
                issuers,
                left: MAX_FILES,
                found: Vec::new(),
            };
            self.look_into(path, MAX_DEPTH, &mut looking)?;
            found = looking.found;
            if looking.left == 0 {
                let why = anyhow::anyhow!(
                    "{} holds more than {MAX_FILES} files: the rest is passed over; name \
                     the directories in it",
                    path.display()
                );
                self.fail(path, &why);
            }
        } else {
            self.directories.extend(path.parent().map(Path::to_owned));
            if self.is_new(path) {
                let subject = Subject::from_file(path, issuers).inspect_err(|_| {
                    // Tried again, whether it changes or not: it may be readable then.
                    self.files.remove(path);
                })?;
                self.note(path, &subject);
                found.push((path.to_owned(), subject));
            }
        }
        Ok(found)
    }

    fn look_into(
        &mut self,
        directory: &Path,
        depth: usize,
        looking: &mut Looking<'_>,
    ) -> anyhow::Result<()> {
        self.directories.insert(directory.to_owned());
        let entries = fs::read_dir(directory)
            .with_context(|| format!("cannot list the directory {}", directory.display()))?;
        for entry in entries {
            if looking.left == 0 {
                return Ok(());
            }
            looking.left -= 1;
            let path = entry?.path();
            let Ok(about) = fs::metadata(&path) else {
                continue;
            };
            if about.is_dir() && depth == 1 {
                if holds_certificates(&path) {
                    self.fail(&path, &anyhow::anyhow!(
                        "{path} lies too deep: of a directory that is named only those directly \
                         in it are looked at; name it by itself: staplegun add {path}",
                        path = path.display()
                    ));
                }
            } else if about.is_dir() {
                // One that may not be read hides no other.
                if let Err(error) = self.look_into(&path, depth - 1, looking) {
                    self.fail(&path, &error);
                }
            } else if about.is_file() && is_named_as_certificate(&path) && self.is_new(&path) {
                match Subject::from_file(&path, looking.issuers) {
                    Ok(subject) if subject.leaf.is_ca() => {}
                    Ok(subject) => {
                        self.note(&path, &subject);
                        looking.found.push((path, subject));
                    }
                    Err(error) => {
                        if of_the_system(&error).is_some() {
                            // It may be readable at the next look.
                            self.files.remove(&path);
                        }
                        // A key is nobody's but the server's to read.
                        if is_forbidden(&error) && !is_named_as_key(&path) {
                            self.fail(&path, &error);
                        } else {
                            tracing::debug!("{error:#}");
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the file, or its issuer's beside it, is not the one that was read.
    fn is_new(&mut self, path: &Path) -> bool {
        let stamp = |path: &Path| Stamp::of_target(path).ok();
        let stamps = [stamp(path), stamp(&issuer_beside(path))];
        let known = self.files.get(path);
        let is_new = known.is_none_or(|known| known.stamps != stamps);
        if is_new {
            let read = Read {
                stamps,
                certificate: None,
            };
            self.files.insert(path.to_owned(), read);
        }
        is_new
    }

    fn note(&mut self, path: &Path, subject: &Subject) {
        if let Some(read) = self.files.get_mut(path) {
            read.certificate = Some(subject.key());
        }
    }
}

/// Whether there are files in it that are named as certificates.
fn holds_certificates(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .take(MAX_FILES)
        .any(|entry| is_named_as_certificate(&entry.path()))
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    of_the_system(error).is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The system's error, if it could not even be read.
fn of_the_system(error: &anyhow::Error) -> Option<&std::io::Error> {
    error.root_cause().downcast_ref()
}

/// As `privkey.pem` and `server.key.pem` are.
fn is_named_as_key(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.to_lowercase().contains("key")
}

fn is_named_as_certificate(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|suffix| ["pem", "crt", "cer"].contains(&suffix))
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::directory::set_mode;
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::agent::testing::as_nobody;

    #[test]
    fn of_files_that_have_not_changed_only_those_with_that_certificate_are_read_again() {
        let directory = Directory::new();
        let leaves: [Identity; 2] = std::array::from_fn(|_| Identity::self_signed(&Spec::server()));
        let file = |name: &str, leaf: &Identity| directory.write(name, leaf.pem());
        let paths = [
            file("a.pem", &leaves[0]),
            file("b.pem", &leaves[1]),
            file("copy-of-a.pem", &leaves[0]),
        ];
        // Of a directory authorities are passed over.
        directory.write("ca.pem", Identity::self_signed(&Spec::ca("CA")).pem());
        let issuers = Issuers::default();
        for named in [paths.to_vec(), vec![directory.path().to_owned()]] {
            let mut seen = Seen::default();
            let mut look = |again: Option<&Key>| {
                again.inspect(|key| seen.look_again(key));
                let found = seen.look(&named, &issuers).into_iter();
                let mut found: Vec<PathBuf> = found.map(|(path, _)| path).collect();
                found.sort();
                found
            };
            assert_eq!(look(None), paths);
            assert!(look(None).is_empty());
            let key = openssl::sha::sha256(&leaves[0].der());
            assert_eq!(look(Some(&key)), [paths[0].clone(), paths[2].clone()]);
            assert!(look(None).is_empty());
        }
    }

    #[test]
    fn of_a_directory_what_the_agent_may_not_read_is_told_unless_it_is_a_key() {
        let directory = Directory::new();
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let leaf = ca.issue(&Spec::server());
        let good = directory.write("good.pem", leaf.pem());
        let forbidden = directory.write("forbidden.pem", leaf.pem());
        let key = directory.write("privkey.pem", "a key");
        directory.write("no-certificate.pem", "nothing");
        for path in [&forbidden, &key] {
            set_mode(path, 0);
        }
        let paths = [directory.path().to_owned()];
        let mut seen = Seen::default();
        let found = as_nobody(|| seen.look(&paths, &Issuers::default()));
        assert!(found.iter().map(|(path, _)| path).eq([&good]));
        assert!(seen.failed().keys().eq([&forbidden]), "{seen:?}");
        assert!(seen.failed()[&forbidden].contains("its renewal will be missed"));
    }

    #[test]
    fn a_directory_too_deep_is_told_if_certificates_lie_there() {
        let directory = Directory::new();
        let leaf = Identity::self_signed(&Spec::server());
        for (inner, file) in [("site/old", "a.pem"), ("site/empty", "readme")] {
            fs::create_dir_all(directory.join(inner)).expect("it is ours");
            fs::write(directory.join(inner).join(file), leaf.pem()).expect("it is ours");
        }
        let site = directory.join("site/a.crt");
        fs::write(&site, leaf.pem()).expect("it is ours");
        let mut seen = Seen::default();
        let found = seen.look(&[directory.path().to_owned()], &Issuers::default());
        assert!(found.iter().map(|(path, _)| path).eq([&site]));
        assert!(seen.failed().keys().eq([&directory.join("site/old")]));
    }
}
