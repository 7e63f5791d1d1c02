//! The certificates that the operator named: a list of paths in the store, one a
//! line, written by `staplegun add` and read by the agent.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use staplegun_store::layout::Layout;

use super::stamp::Stamp;
use crate::fetch::{Issuers, Subject, issuer_beside};

/// The most files that are looked at in a directory that was named: more than one
/// for each certificate, for keys may lie beside them.
const MAX_FILES: usize = 65_536;
/// How deep: one directory for each site is common.
const MAX_DEPTH: usize = 2;

/// Where the list lies.
pub fn path(layout: &Layout) -> PathBuf {
    layout.lasting().join("certificates")
}

/// The paths in the list; none if there is no list.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(layout: &Layout) -> anyhow::Result<Vec<PathBuf>> {
    let path = path(layout);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("cannot read the list {}", path.display()))?,
    };
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(PathBuf::from)
        .collect())
}

/// Adds absolute paths to the list, each once: a new file takes the old one's
/// place, so that no reader sees half a list.
///
/// # Errors
///
/// If it cannot be written; then the old list stands.
pub fn add(layout: &Layout, paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut all = read(layout)?;
    for new in paths {
        if !all.contains(new) {
            all.push(new.clone());
        }
    }
    let text: String = all
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    let path = path(layout);
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(layout.lasting())?;
        let mut file = fs::File::create_new(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&new);
        anyhow::Error::new(error).context(format!(
            "cannot write the list {}: run this as the owner of the store, or as root",
            path.display()
        ))
    })
}

/// What was found where the operator pointed. Files that have not changed since
/// are not read again, so that looking costs little.
#[derive(Debug, Default)]
pub struct Seen {
    files: HashMap<PathBuf, [Option<Stamp>; 2]>,
    directories: BTreeSet<PathBuf>,
    /// Paths that failed: told once.
    failed: BTreeSet<PathBuf>,
}

/// A look into a directory.
struct Looking<'a> {
    issuers: &'a Issuers,
    /// Files that may still be looked at.
    left: usize,
    found: Vec<Subject>,
}

impl Seen {
    /// The directories whose changes matter.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter()
    }

    /// Reads the certificates at `paths` that are new or have changed. What cannot
    /// be read is logged, once.
    pub fn look(&mut self, paths: &[PathBuf], issuers: &Issuers) -> Vec<Subject> {
        self.directories.clear();
        let mut subjects = Vec::new();
        for path in paths {
            match self.look_at(path, issuers) {
                Ok(found) => subjects.extend(found),
                Err(error) => {
                    if self.failed.insert(path.clone()) {
                        tracing::warn!(cause = "list", "{error:#}");
                    }
                }
            }
        }
        subjects
    }

    /// Reads the certificates at `path`: a file, or all files with the suffix .pem,
    /// .crt or .cer in a directory and those directly under it. In a directory what
    /// is no certificate, or a certification authority's, is passed over: keys and
    /// chains lie there too.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a file that was named holds no certificate.
    pub fn look_at(&mut self, path: &Path, issuers: &Issuers) -> anyhow::Result<Vec<Subject>> {
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
            if looking.left == 0 && self.failed.insert(path.to_owned()) {
                tracing::warn!(
                    cause = "list",
                    "{} holds more than {MAX_FILES} files: the rest is passed over",
                    path.display()
                );
            }
            found = looking.found;
        } else {
            self.directories.extend(path.parent().map(Path::to_owned));
            if self.is_new(path) {
                let subject = Subject::from_file(path, issuers).inspect_err(|_| {
                    // Tried again, whether it changes or not: it may be readable then.
                    self.files.remove(path);
                })?;
                found.push(subject);
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
            if about.is_dir() && depth > 1 {
                // One that may not be read hides no other.
                if let Err(error) = self.look_into(&path, depth - 1, looking) {
                    tracing::debug!("{error:#}");
                }
            } else if about.is_file() && is_named_as_certificate(&path) && self.is_new(&path) {
                match Subject::from_file(&path, looking.issuers) {
                    Ok(subject) if subject.leaf.is_ca() => {}
                    Ok(subject) => looking.found.push(subject),
                    Err(error) => tracing::debug!("{error:#}"),
                }
            }
        }
        Ok(())
    }

    /// Whether the file, or its issuer's beside it, is not the one that was read.
    fn is_new(&mut self, path: &Path) -> bool {
        let stamp = |path: &Path| fs::metadata(path).ok().map(|about| Stamp::of(&about));
        let stamps = [stamp(path), stamp(&issuer_beside(path))];
        self.files.insert(path.to_owned(), stamps) != Some(stamps)
    }
}

fn is_named_as_certificate(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|suffix| ["pem", "crt", "cer"].contains(&suffix))
}
