//! The paths that the operator named: lists in the store, one path a line, written by
//! `staplegun add`. One the agent reads; what its user cannot read stands in the other, whose
//! certificates root reads for it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use staplegun_store::files::{Lasting, PUBLIC, make_directory, read_regular, replace};
use staplegun_store::layout::Layout;

/// The longest list that is read, in bytes: far more than the agent looks after.
const MAX_FILE: usize = 64 << 20;

/// One of the lists.
#[derive(Clone, Debug)]
pub struct Named {
    path: PathBuf,
}

impl Named {
    /// That which the agent reads.
    pub fn to_agent(layout: &Layout) -> Self {
        Self {
            path: layout.lasting().join("certificates"),
        }
    }

    /// That of which root tells the agent.
    pub fn to_root(layout: &Layout) -> Self {
        Self {
            path: layout.lasting().join("certificates.root"),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paths in the list; none if there is no list.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(text(&self.path)
            .with_context(|| format!("cannot read the list {}", self.path.display()))?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(PathBuf::from)
            .collect())
    }

    /// Adds absolute paths to the list, each once.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then the old list stands.
    pub fn add(&self, paths: &[PathBuf]) -> anyhow::Result<()> {
        self.change(|lines| {
            for new in paths {
                let line = new.display().to_string();
                if !lines.iter().any(|known| known.trim() == line) {
                    lines.push(line);
                }
            }
        })
    }

    /// Removes absolute paths from the list; nothing happens if it has none of them.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then the old list stands.
    pub fn remove(&self, paths: &[PathBuf]) -> anyhow::Result<()> {
        let is_one = |line: &str| {
            let mut paths = paths.iter();
            paths.any(|path| line.trim() == path.display().to_string())
        };
        if !text(&self.path).is_ok_and(|text| !text.lines().any(is_one)) {
            self.change(|lines| lines.retain(|line| !is_one(line)))?;
        }
        Ok(())
    }

    /// Changes the list's lines, one process after the other: whoever comes later changes
    /// what the others made of it. A new file takes the old one's place, so that no reader
    /// sees half a list.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then the old list stands.
    fn change(&self, change: impl FnOnce(&mut Vec<String>)) -> anyhow::Result<()> {
        let path = &self.path;
        let write = || -> std::io::Result<()> {
            if let Some(store) = path.parent() {
                make_directory(store, Lasting::OnDisk)?;
            }
            // Held until this returns.
            let _lock = lock(path)?;
            let mut lines: Vec<String> = text(path)?.lines().map(str::to_owned).collect();
            change(&mut lines);
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            replace(path, text.as_bytes(), PUBLIC, Lasting::OnDisk)
        };
        write().with_context(|| {
            format!(
                "cannot write the list {}: run this as the owner of the store, or as root",
                path.display()
            )
        })
    }
}

/// By a file of its own, which nobody else may open, so that nobody else can hold it.
fn lock(list: &Path) -> std::io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(list.with_extension("lock"))?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

/// What stands in the list; nothing if there is none.
fn text(path: &Path) -> std::io::Result<String> {
    match read_regular(path, MAX_FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        bytes => String::from_utf8(bytes?).map_err(|_| ErrorKind::InvalidData.into()),
    }
}
