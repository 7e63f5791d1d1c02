//! The file where the agent's metrics go; `http` serves them, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use staplegun_store::files::{Lasting, PUBLIC, replace};

use super::figures;
use super::survey::{Asker, Survey};
use super::worker::Worker;

/// How long the end waits for the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file of the metrics, if one is wanted.
#[derive(Debug)]
pub struct Metrics {
    /// The thread that writes it, which ends when this is dropped.
    thread: Option<Worker>,
    asker: Option<Asker>,
}

impl Metrics {
    /// For that file, if one is wanted.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(file: Option<PathBuf>) -> std::io::Result<Self> {
        let (asker, surveys) = sync_channel(1);
        let write = |file: PathBuf| Worker::start("metrics file", move || write(&file, surveys));
        let thread = file.map(write).transpose()?;
        Ok(Self {
            asker: thread.is_some().then_some(asker),
            thread,
        })
    }

    /// Whoever wants to be told how everything stands, and brings the file up to date by that.
    /// Nobody waits for it: while it is being written, which can take long, what is newer waits
    /// for the next time.
    pub fn asker(&self) -> Option<Asker> {
        self.asker.clone()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        // What it was given last is written; a hung disk keeps nobody from ending.
        self.asker = None;
        if let Some(thread) = &mut self.thread {
            thread.ends_within(PATIENCE);
        }
    }
}

/// Writes what comes, if something changed: whole or not at all, since a collector may read at any
/// time.
fn write(file: &Path, surveys: Receiver<Arc<Survey>>) {
    let mut failing = false;
    let mut last = String::new();
    for survey in surveys {
        let new = figures::metrics(&survey);
        drop(survey);
        if new == last {
            continue;
        }
        let written = replace(file, new.as_bytes(), PUBLIC, Lasting::InMemory);
        if let Err(error) = &written
            && !failing
        {
            let file = file.display();
            tracing::error!(
                cause = "metrics",
                "cannot write the metrics {file}: {error}"
            );
        }
        failing = written.is_err();
        // What could not be written is tried again.
        last = if failing { String::new() } else { new };
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::agent::daemon::Daemon;
    use crate::agent::testing::logged;

    #[test]
    fn a_file_that_cannot_be_written_is_told_once_and_written_as_soon_as_it_can_be() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (asker, surveys) = sync_channel(1);
        daemon.survey_all(Some(asker));
        let survey = surveys.recv().expect("it was told");
        let parent = directory.join("later");
        let file = parent.join("metrics");
        // Each is asked for when the one before was dealt with.
        let (sender, surveys) = sync_channel(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // The last may be written when there is a directory.
                for _ in 0..4 {
                    sender.send(Arc::clone(&survey)).expect("it is taken");
                }
                std::fs::create_dir(parent).expect("it is ours");
                sender.send(survey).expect("it is taken");
            });
            let log = logged(|| write(&file, surveys));
            assert!(log.len() == 1 && log[0].contains("cannot write"), "{log:?}");
        });
        assert!(file.exists());
    }
}
