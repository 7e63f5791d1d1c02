//! `staplegun remove`: takes certificates from the list, the live map and the store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use staplegun_store::files::{self, Change, Files, What, Which};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted, Writer, WriterLock};
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name, spool};

use crate::agent::{Configuration, Place, list, now};
use crate::complain::complain;
use crate::fetch::{Issuers, Subject};
use crate::naming;

const AFTER_HELP: &str = "\
A program that loads a certificate again brings it back.

Exit status: 0 they are gone, 1 one of them was not there, cannot be removed, or lies in a
directory that is named: the agent finds it there again.";

/// Drop certificates: from the list, the live map and the store
///
/// What is stapled for them is stapled no more, in any process.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What staplegun add was given, a certificate's file, or its SHA-256 as
    /// staplegun status --json shows it
    #[arg(required = true, value_name = "FILE|DIR|SHA256")]
    which: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    configuration: Configuration,
}

/// The exit status when one is not there, stays or comes back.
pub const FAILED: u8 = 1;

/// How long the agent may take to do it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes them.
///
/// # Errors
///
/// If the store cannot be read or written, or a configuration that was named cannot be used.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    let settings = args.configuration.for_command(args.place.is_system())?;
    let known = Known::of(&layout);
    let (mut paths, mut keys, mut is_all) = (Vec::new(), Vec::new(), true);
    let listed = naming::all(&layout)?;
    for which in &args.which {
        let before = (paths.len(), keys.len());
        match which.to_str().and_then(name::to_key) {
            Some(key) => keys.extend(Some(key).filter(|key| known.has(key))),
            None => {
                let path = std::path::absolute(which)
                    .with_context(|| format!("cannot use the path {}", which.display()))?;
                let is_named = listed.contains(&path);
                keys.extend(known.found_at(&path, is_named)?);
                paths.extend(Some(path).filter(|_| is_named));
            }
        }
        if (paths.len(), keys.len()) == before {
            is_all = false;
            complain(format_args!(
                "{} is neither in the list nor in the store: see staplegun status --json",
                which.display()
            ));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    // Several files may name one of them.
    let is_one =
        |path: &&PathBuf| !keys.is_empty() && held_by(path).is_some_and(|key| keys.contains(&key));
    paths.extend(listed.iter().filter(is_one).cloned());
    paths.sort_unstable();
    paths.dedup();
    for file in keys.iter().filter_map(|key| known.file_of(key)) {
        let is_around = |it: &&PathBuf| file != **it && file.starts_with(it);
        let mut around = listed.iter().filter(is_around);
        if let Some(directory) = around.find(|it| !paths.contains(it)) {
            is_all = false;
            complain(format_args!(
                "{} lies in {}, which is named: the agent finds it there again; take it out of \
                 there, or name one by one what else is there",
                file.display(),
                directory.display()
            ));
        }
    }
    if !paths.is_empty() {
        // First, so that the agent finds none of them there again.
        naming::remove(&layout, &paths)?;
    }
    remove(&layout, &known, &keys, settings.map_size)?;
    Ok(match is_all {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

/// What is known of certificates: the agent staples one before it has written it, and a full disk
/// keeps it from that.
struct Known {
    files: Files,
    map: Option<Reader>,
}

impl Known {
    fn of(layout: &Layout) -> Self {
        Self {
            files: Files::of_anybody(layout.lasting()),
            map: Reader::open_by(&layout.map(), usize::MAX, Trusted::Volumes).ok(),
        }
    }

    fn has(&self, key: &Key) -> bool {
        let is_in = |map: &Reader| map.lookup(key, now()).err() != Some(Miss::Absent);
        self.files.certificates.path_of(key).exists() || self.map.as_ref().is_some_and(is_in)
    }

    /// The file in which the certificate was found, if it is still that one's.
    fn file_of(&self, key: &Key) -> Option<PathBuf> {
        let path = PathBuf::from(self.files.notes(key).ok().flatten()?.path?);
        (held_by(&path) == Some(*key)).then_some(path)
    }

    /// The certificates that were found at that path or below it, or that lie in the file now;
    /// of a path that was named whatever the agent finds there.
    fn found_at(&self, path: &Path, is_named: bool) -> anyhow::Result<Vec<Key>> {
        let mut found = Vec::new();
        let keys = match self.files.certificates.keys() {
            Err(error) if error.cause().kind() == std::io::ErrorKind::NotFound => Vec::new(),
            keys => keys?,
        };
        for key in keys {
            let notes = self.files.notes(&key).ok().flatten().unwrap_or_default();
            if notes
                .path
                .is_some_and(|named| Path::new(&named).starts_with(path))
            {
                found.push(key);
            }
        }
        if is_named {
            // What is there no more, or cannot be read, the agent does not find either.
            let lies = list::Seen::default().look_at(path, &Issuers::default());
            found.extend(lies.iter().flatten().map(|(_, subject)| subject.key()));
        } else {
            found.extend(held_by(path).filter(|key| self.has(key)));
        }
        Ok(found)
    }
}

/// The certificate that lies in that file now.
fn held_by(path: &Path) -> Option<Key> {
    if !path.is_file() {
        return None;
    }
    let subject = Subject::from_file(path, &Issuers::default()).ok()?;
    Some(subject.key())
}

/// By the agent that has the store; else this is the agent for a moment.
fn remove(layout: &Layout, known: &Known, keys: &[Key], map_size: usize) -> anyhow::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    match WriterLock::try_take(&layout.map()) {
        Ok(lock) => {
            let mut map = Writer::open(&layout.map(), map_size, lock)?;
            let mut changes = Vec::new();
            let shown = files::live(layout);
            for key in keys {
                map.remove(key);
                shown.remove(key)?;
                let all = [Which::Certificate, Which::Staple, Which::Notes];
                changes.extend(all.map(|which| Change {
                    which,
                    key: *key,
                    what: What::Remove,
                }));
            }
            match known.files.apply(&changes).failed.into_iter().next() {
                Some(failed) => Err(failed.error.into()),
                None => Ok(()),
            }
        }
        Err(error) if error.is_busy() => {
            let mut unseen = Vec::new();
            for key in keys {
                let name = spool::publish(&layout.spool(), key, &[spool::REMOVE])
                    .context("cannot tell the agent")?;
                unseen.extend((!known.has(key)).then(|| layout.spool().join(name)));
            }
            wait(known, keys, &unseen)
        }
        Err(error) => Err(error.into()),
    }
}

/// Until the agent has removed them, the files of the store last. Of what is not to be seen there
/// it has at least taken what it was told, in the files `unseen`.
fn wait(known: &Known, keys: &[Key], unseen: &[PathBuf]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while keys.iter().any(|key| known.has(key)) || unseen.iter().any(|file| file.exists()) {
        if Instant::now() >= deadline {
            bail!(
                "the agent was told, and has not removed them after {} seconds: look at its log",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
