//! The file where the agent's metrics go; `http` serves them, too.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use staplegun_store::files::{Lasting, PUBLIC, replace};

use super::worker::Worker;

/// How long the end waits for the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file of the metrics, if one is wanted.
#[derive(Debug)]
pub struct Metrics {
    /// The thread that writes it, which ends when this is dropped.
    thread: Option<Worker>,
    texts: Option<SyncSender<String>>,
    /// What it was sent last.
    last: String,
}

impl Metrics {
    /// For that file, if one is wanted.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(file: Option<PathBuf>) -> std::io::Result<Self> {
        let (sender, texts) = sync_channel(1);
        let write = |file: PathBuf| Worker::start("metrics file", move || write(&file, texts));
        let thread = file.map(write).transpose()?;
        Ok(Self {
            texts: thread.is_some().then_some(sender),
            thread,
            last: String::new(),
        })
    }

    /// Has the file brought up to date by what `render` writes, if something changed. Nothing
    /// waits for it: while it is being written, which can take long, what is newer waits for
    /// the next time.
    pub fn update(&mut self, render: impl FnOnce() -> String) {
        let Some(texts) = &self.texts else {
            return;
        };
        let new = render();
        if self.last != new && texts.try_send(new.clone()).is_ok() {
            self.last = new;
        }
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        // What it was given last is written; a hung disk keeps nobody from ending.
        self.texts = None;
        if let Some(thread) = &mut self.thread {
            thread.ends_within(PATIENCE);
        }
    }
}

/// Writes what comes: whole or not at all, since a collector may read at any time.
fn write(file: &Path, texts: Receiver<String>) {
    let mut failing = false;
    for text in texts {
        let written = replace(file, text.as_bytes(), PUBLIC, Lasting::InMemory);
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
    }
}
