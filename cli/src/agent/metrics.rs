//! The file where the agent's metrics go; `http` serves them, too.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use staplegun_store::files::{Lasting, PUBLIC, replace};

use super::worker::Worker;

/// How long the end waits for the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file of the metrics, if one is wanted.
#[derive(Debug)]
pub struct Metrics(Option<MetricsFile>);

/// The thread that writes it.
#[derive(Debug)]
struct MetricsFile {
    /// None at the end.
    texts: Option<SyncSender<String>>,
    thread: Worker,
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
        Ok(Self(file.map(MetricsFile::start).transpose()?))
    }

    /// Has the file brought up to date by what `render` writes, if something changed. Nothing
    /// waits for it: while it is being written, which can take long, what is newer waits for
    /// the next time.
    pub fn update(&mut self, render: impl FnOnce() -> String) {
        let Some(file) = &mut self.0 else {
            return;
        };
        let new = render();
        let texts = file.texts.as_ref().filter(|_| file.last != new);
        if texts.is_some_and(|texts| texts.try_send(new.clone()).is_ok()) {
            file.last = new;
        }
    }
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        // What it was given last is written; a hung disk keeps nobody from ending.
        self.texts = None;
        self.thread.ends_within(PATIENCE);
    }
}

impl MetricsFile {
    /// Starts the thread that writes what it is sent: whole or not at all, since a
    /// collector may read at any time.
    fn start(file: PathBuf) -> std::io::Result<Self> {
        let (sender, texts) = sync_channel::<String>(1);
        let write = move || {
            let mut failing = false;
            for text in texts {
                let written = replace(&file, text.as_bytes(), PUBLIC, Lasting::InMemory);
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
        };
        Ok(Self {
            texts: Some(sender),
            thread: Worker::start("metrics file", write)?,
            last: String::new(),
        })
    }
}
