//! Carries steps out, and takes them back: what `enable` cannot finish it leaves as it found it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use staplegun_store::layout::Layout;

use super::enabled;
use super::file::{Contents, Entry};
use super::undo::Undo;
use crate::naming;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write a file.
    Write {
        /// Where.
        path: PathBuf,
        /// What stood in it when that was planned; none if there was no file.
        before: Option<String>,
        /// All that is to be in it.
        text: String,
        /// What of that is new, for people.
        shown: String,
    },
    /// Remove a file.
    Remove {
        /// Where.
        path: PathBuf,
        /// What stood in it when that was planned.
        text: String,
    },
    /// Remove a directory, unless there is something in it.
    RemoveDirectory(PathBuf),
    /// Run a program.
    Run {
        /// Its name and arguments.
        words: Vec<String>,
        /// The file that it changes.
        changes: Option<PathBuf>,
    },
    /// Name certificates to the agent.
    Name(Vec<PathBuf>),
    /// Name them no more.
    Forget(Vec<PathBuf>),
}

/// What was done, and how it was before.
#[derive(Debug, Default)]
pub struct Journal(Vec<Done>);

#[derive(Debug)]
enum Done {
    File(PathBuf, Option<Contents>),
    Directory(PathBuf),
    RemovedDirectory(PathBuf),
    Ran(Vec<String>),
    Named(Vec<PathBuf>),
    Forgotten(Vec<PathBuf>),
}

impl Journal {
    /// Does it.
    ///
    /// # Errors
    ///
    /// If it cannot be done: then it is not, and what was done before still is.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Write {
                path, before, text, ..
            } => {
                let written = self.write(path, text, before.as_deref());
                written.with_context(|| cannot(path))
            }
            Step::Remove { path, text } => self.remove(path, text).with_context(|| cannot(path)),
            Step::RemoveDirectory(path) => {
                if remove_empty(path).with_context(|| cannot(path))? {
                    self.0.push(Done::RemovedDirectory(path.clone()));
                }
                Ok(())
            }
            Step::Run { words, changes } => {
                if let Some(path) = changes {
                    let before = found(path).and_then(|entry| entry.read());
                    let before = before.with_context(|| cannot(path))?;
                    self.0.push(Done::File(path.clone(), before));
                } else {
                    self.0.push(Done::Ran(words.clone()));
                }
                run(words).map(drop)
            }
            Step::Name(paths) => {
                naming::add_files(&Layout::system(), paths)?;
                self.0.push(Done::Named(paths.clone()));
                Ok(())
            }
            Step::Forget(paths) => {
                let layout = Layout::system();
                let mut listed = naming::all(&layout)?;
                listed.retain(|path| paths.contains(path));
                naming::remove(&layout, &listed)?;
                self.0.push(Done::Forgotten(listed));
                Ok(())
            }
        }
    }

    fn write(&mut self, path: &Path, text: &str, before: Option<&str>) -> io::Result<()> {
        let entry = match Entry::find(path)? {
            Some(entry) => entry,
            None => {
                let directory = path.parent().unwrap_or(Path::new("/"));
                found(directory)?.make_directory()?;
                self.0.push(Done::Directory(directory.to_owned()));
                found(path)?
            }
        };
        let there = as_planned(&entry, before)?;
        entry.write(text.as_bytes(), there.as_ref())?;
        self.0.push(Done::File(path.to_owned(), there));
        Ok(())
    }

    fn remove(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let entry = found(path)?;
        let there = as_planned(&entry, Some(text))?;
        entry.remove()?;
        self.0.push(Done::File(path.to_owned(), there));
        Ok(())
    }

    /// Whether anything was done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts everything back, the last thing first. What cannot be put back is told, and the rest
    /// is all the same.
    pub fn take_back(self) -> Vec<anyhow::Error> {
        let mut failed = Vec::new();
        // A program that reads a file does so when the file is as it was; and by then no drop-in
        // but those that stay tells that a certificate is needed.
        let (last, done): (Vec<Done>, Vec<Done>) = self
            .0
            .into_iter()
            .partition(|done| matches!(done, Done::Ran(_) | Done::Named(_)));
        for done in done.into_iter().rev().chain(last) {
            failed.extend(done.take_back().err());
        }
        failed
    }
}

impl Done {
    fn take_back(self) -> Result<()> {
        match self {
            Self::File(path, before) => put_back(&path, before).with_context(|| cannot(&path)),
            Self::Directory(path) => {
                remove_empty(&path).with_context(|| cannot(&path))?;
                Ok(())
            }
            Self::RemovedDirectory(path) => {
                let made = found(&path).and_then(|entry| entry.make_directory());
                made.with_context(|| cannot(&path))
            }
            Self::Ran(words) => run(&words).map(drop),
            Self::Named(mut paths) => {
                let noted = enabled::notes(&enabled::names()?);
                paths.retain(|path| !noted.contains(&Undo::Certificate { path: path.clone() }));
                naming::remove(&Layout::system(), &paths)
            }
            Self::Forgotten(paths) => naming::add_files(&Layout::system(), &paths),
        }
    }
}

/// What stands there, if it is what stood there when the step was planned: else somebody is at work
/// on it, whose change would be lost.
fn as_planned(entry: &Entry, before: Option<&str>) -> io::Result<Option<Contents>> {
    let there = entry.read()?;
    if there.as_ref().map(|it| it.bytes.as_slice()) != before.map(str::as_bytes) {
        return Err(io::Error::other("it was changed meanwhile: try again"));
    }
    Ok(there)
}

fn found(path: &Path) -> io::Result<Entry> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    Entry::find(path)?.ok_or_else(missing)
}

/// Removes a directory; false if there is something in it, which stays, or if it is gone.
fn remove_empty(path: &Path) -> io::Result<bool> {
    use io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match found(path).and_then(|entry| entry.remove_directory()) {
        Ok(()) => Ok(true),
        Err(error) if [DirectoryNotEmpty, NotFound].contains(&error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

fn put_back(path: &Path, before: Option<Contents>) -> io::Result<()> {
    if let Some(before) = before {
        return found(path)?.write(&before.bytes, Some(&before));
    }
    match found(path).and_then(|entry| entry.remove()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot change {}", path.display())
}

/// Runs a program; what it prints.
///
/// # Errors
///
/// If it cannot be run, or what it says if it fails.
pub fn run(words: &[String]) -> Result<String> {
    let (name, arguments) = words.split_first().context("no program")?;
    let output = Command::new(name)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("staplegun-{name}.{}", std::process::id()));
        fs::create_dir(&path).expect("it can be made");
        path
    }

    fn write(path: &Path, text: &str) -> Step {
        Step::Write {
            path: path.to_owned(),
            before: fs::read_to_string(path).ok(),
            text: text.to_owned(),
            shown: String::new(),
        }
    }

    fn remove(path: &Path) -> Step {
        Step::Remove {
            path: path.to_owned(),
            text: fs::read_to_string(path).expect("it is there"),
        }
    }

    #[test]
    fn all_is_as_it_was_once_it_is_taken_back() {
        let directory = directory("journal");
        let (old, gone, new) = (
            directory.join("old"),
            directory.join("gone.d/gone"),
            directory.join("new.d/new"),
        );
        fs::write(&old, "1").expect("it can be written");
        fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).expect("it is ours");
        fs::create_dir(directory.join("gone.d")).expect("it can be made");
        fs::write(&gone, "2").expect("it can be written");
        let link = directory.join("link");
        std::os::unix::fs::symlink("old", &link).expect("it can be made");
        let mut journal = Journal::default();
        let steps: [&dyn Fn() -> Step; 6] = [
            &|| write(&link, "3"),
            &|| write(&old, "4"),
            &|| Step::RemoveDirectory(directory.join("gone.d")),
            &|| remove(&gone),
            &|| Step::RemoveDirectory(directory.join("gone.d")),
            &|| write(&new, "5"),
        ];
        for step in steps {
            journal.step(&step()).expect("it can be done");
        }
        let mode = |path: &Path| fs::metadata(path).map(|about| about.mode() & 0o777);
        assert_eq!(fs::read_to_string(&link).ok().as_deref(), Some("4"));
        assert_eq!(mode(&old).ok(), Some(0o640));
        assert!(!directory.join("gone.d").exists() && new.exists());
        assert!(journal.take_back().is_empty());
        assert_eq!(fs::read_to_string(&old).ok().as_deref(), Some("1"));
        assert_eq!(mode(&old).ok(), Some(0o640));
        assert_eq!(fs::read_to_string(&gone).ok().as_deref(), Some("2"));
        assert!(!directory.join("new.d").exists());
        assert_eq!(fs::read_link(&link).ok(), Some("old".into()));
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn a_link_of_a_servers_leads_to_none_of_roots_files() {
        let directory = directory("strangers");
        let own = directory.join("own");
        fs::create_dir(&own).expect("it can be made");
        let (file, link) = (directory.join("roots"), own.join("link"));
        fs::write(&file, "1").expect("it can be written");
        std::os::unix::fs::symlink(&file, &link).expect("it can be made");
        std::os::unix::fs::lchown(&link, Some(65_534), None).expect("the test runs as root");
        let around = directory.join("around");
        std::os::unix::fs::symlink(&own, &around).expect("it can be made");
        let mut journal = Journal::default();
        for path in [&link, &around.join("link")] {
            let error = journal.step(&write(path, "2")).expect_err("it is refused");
            let error = format!("{error:#}");
            assert!(error.contains("is a link of user 65534's"), "{error}");
        }
        assert!(journal.is_empty());
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), Some("1"));
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn a_link_that_takes_a_directorys_place_leads_to_none_of_roots_files() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let directory = directory("swapped");
        let (own, roots) = (directory.join("own"), directory.join("roots"));
        for one in [&own, &roots] {
            fs::create_dir(one).expect("it can be made");
            fs::write(one.join("file"), "1").expect("it can be written");
        }
        let link = directory.join("link");
        std::os::unix::fs::symlink(&roots, &link).expect("it can be made");
        std::os::unix::fs::lchown(&link, Some(65_534), None).expect("the test runs as root");
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::sync::atomic::Ordering;
                while !is_over.load(Ordering::Relaxed) {
                    let done = renameat_with(CWD, &own, CWD, &link, RenameFlags::EXCHANGE);
                    done.expect("it is ours");
                }
            });
            let mut written = 0;
            while written < 300 {
                let step = write(&own.join("file"), "2");
                written += usize::from(Journal::default().step(&step).is_ok());
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let kept = fs::read_to_string(roots.join("file"));
        assert_eq!(kept.ok().as_deref(), Some("1"));
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn what_was_changed_since_it_was_planned_stays() {
        let directory = directory("planned");
        let (file, new) = (directory.join("file"), directory.join("new"));
        fs::write(&file, "1").expect("it can be written");
        let steps = [write(&file, "2"), remove(&file), write(&new, "2")];
        for path in [&file, &new] {
            fs::write(path, "mine").expect("it can be written");
        }
        let mut journal = Journal::default();
        for step in steps {
            let error = journal.step(&step).expect_err("it is refused");
            let error = format!("{error:#}");
            assert!(
                error.ends_with("it was changed meanwhile: try again"),
                "{error}"
            );
        }
        assert!(journal.is_empty());
        for path in [&file, &new] {
            assert_eq!(fs::read_to_string(path).ok().as_deref(), Some("mine"));
        }
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn what_a_program_changed_before_it_failed_is_taken_back() {
        let directory = directory("failing");
        let file = directory.join("file");
        fs::write(&file, "1").expect("it can be written");
        let mut journal = Journal::default();
        let words = ["sh", "-c", "echo 2 >\"$0\"; echo no >&2; exit 1"].map(str::to_owned);
        let step = Step::Run {
            words: words
                .into_iter()
                .chain([file.display().to_string()])
                .collect(),
            changes: Some(file.clone()),
        };
        let error = journal.step(&step).expect_err("it fails").to_string();
        assert!(error.ends_with("failed: no"), "{error}");
        assert!(journal.take_back().is_empty());
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), Some("1"));
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
