//! The certificates that the operator named: a list of paths in the store, one a
//! line, written by `staplegun add` and read by the agent.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use staplegun_store::layout::Layout;

use crate::fetch::Subject;

/// The most files that are looked at in a directory that was named.
const MAX_FILES: usize = 4096;
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

/// What stands at a path that was named.
#[derive(Debug, Default)]
pub struct Found {
    /// The certificates.
    pub subjects: Vec<Subject>,
    /// Directories whose changes matter.
    pub directories: Vec<PathBuf>,
}

/// Reads the certificates at `path`: a file, or all files with the suffix .pem,
/// .crt or .cer in a directory and those directly under it. In a directory, what
/// is no certificate is passed over: keys lie there too.
///
/// # Errors
///
/// If it cannot be read, or a file that was named holds no certificate.
pub fn look(path: &Path) -> anyhow::Result<Found> {
    let about = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    let mut found = Found::default();
    if about.is_dir() {
        let mut left = MAX_FILES;
        look_into(path, MAX_DEPTH, &mut left, &mut found)?;
    } else {
        found.subjects.push(Subject::from_file(path)?);
        found.directories.extend(path.parent().map(Path::to_owned));
    }
    Ok(found)
}

fn look_into(
    directory: &Path,
    depth: usize,
    left: &mut usize,
    found: &mut Found,
) -> anyhow::Result<()> {
    found.directories.push(directory.to_owned());
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot list the directory {}", directory.display()))?;
    for entry in entries {
        if *left == 0 {
            tracing::warn!(
                "{} holds more than {MAX_FILES} files: the rest is passed over",
                directory.display()
            );
            return Ok(());
        }
        *left -= 1;
        let path = entry?.path();
        let Ok(about) = fs::metadata(&path) else {
            continue;
        };
        if about.is_dir() && depth > 1 {
            // One that may not be read hides no other.
            if let Err(error) = look_into(&path, depth - 1, left, found) {
                tracing::warn!("{error:#}");
            }
        } else if about.is_file() && is_named_as_certificate(&path) {
            match Subject::from_file(&path) {
                Ok(subject) => found.subjects.push(subject),
                Err(error) => tracing::debug!("{error:#}"),
            }
        }
    }
    Ok(())
}

fn is_named_as_certificate(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|suffix| ["pem", "crt", "cer"].contains(&suffix))
}
