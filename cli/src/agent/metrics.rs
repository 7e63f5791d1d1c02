//! The agent's metrics in Prometheus' text format: in a file, and on a port of
//! the loopback. Times are Unix times in seconds, as Prometheus wants them; an
//! age is `time()` less one of them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use staplegun_store::files::{Lasting, PUBLIC, replace};
use staplegun_store::name;

use super::daemon::Daemon;
use super::event::Event;
use super::metrics_server as server;
use super::roster::Watched;
use super::worker::Worker;
use crate::fetch::Staple;

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
    /// For that file and that port of 127.0.0.1, each if wanted. Port 0 lets the
    /// kernel choose; the log tells which. Whoever asks there asks the main thread,
    /// by `events`: nothing is written down while nobody wants it.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub fn start(
        file: Option<PathBuf>,
        port: Option<u16>,
        events: &Sender<Event>,
    ) -> anyhow::Result<Self> {
        if let Some(port) = port {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .with_context(|| format!("cannot serve metrics on 127.0.0.1:{port}"))?;
            tracing::info!(address = %listener.local_addr()?, "serving metrics");
            server::start(listener, events)?;
        }
        Ok(Self(file.map(MetricsFile::start).transpose()?))
    }

    /// Has the file brought up to date, if something changed. Nothing waits for it:
    /// while it is being written, which can take long, what is newer waits for the
    /// next time.
    pub fn update(&mut self, daemon: &Daemon) {
        let Some(file) = &mut self.0 else {
            return;
        };
        let new = render(daemon);
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

/// All metrics.
pub fn render(daemon: &Daemon) -> String {
    let mut text = String::new();
    let counters = &daemon.counters;
    counter(
        &mut text,
        "fetches",
        "Responses fetched that count.",
        counters.fetched,
    );
    header(
        &mut text,
        "fetch_failures_total",
        "counter",
        "Fetches that failed.",
    );
    for (cause, count) in &counters.failed {
        line(
            &mut text,
            "fetch_failures_total",
            &format!("cause=\"{cause}\""),
            *count,
        );
    }
    counter(
        &mut text,
        "spool_refused",
        "What was left in the spool and refused.",
        counters.spool_refused.load(Ordering::Relaxed),
    );
    counter(
        &mut text,
        "revocations",
        "Responses that told a revocation.",
        counters.revocations,
    );
    gauge(
        &mut text,
        daemon,
        "certificate_not_after_seconds",
        "When the certificate ends.",
        |it| Some(it.subject.leaf.not_after()),
    );
    gauge(
        &mut text,
        daemon,
        "certificate_revoked",
        "1 if it is revoked.",
        |it| {
            Some(i64::from(
                it.known.as_ref().is_some_and(|known| !known.is_good()),
            ))
        },
    );
    gauge(
        &mut text,
        daemon,
        "staple_this_update_seconds",
        "thisUpdate of what is stapled.",
        |it| good(it).map(|known| known.validity.from),
    );
    gauge(
        &mut text,
        daemon,
        "staple_next_update_seconds",
        "When what is stapled ends.",
        |it| good(it).map(|known| known.validity.until),
    );
    gauge(
        &mut text,
        daemon,
        "fetch_last_success_seconds",
        "The last successful fetch.",
        |it| it.notes.last_success,
    );
    gauge(
        &mut text,
        daemon,
        "fetch_failures_in_a_row",
        "Failures since then.",
        |it| Some(i64::from(it.notes.failures)),
    );
    text
}

fn good(watched: &Watched) -> Option<&Staple> {
    watched.known.as_ref().filter(|known| known.is_good())
}

fn header(text: &mut String, metric: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "# HELP staplegun_{metric} {help}\n# TYPE staplegun_{metric} {kind}"
    );
}

fn line(text: &mut String, metric: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "staplegun_{metric}{{{labels}}} {value}");
}

fn counter(text: &mut String, metric: &str, help: &str, value: u64) {
    let metric = format!("{metric}_total");
    header(text, &metric, "counter", help);
    let _ = writeln!(text, "staplegun_{metric} {value}");
}

fn gauge(
    text: &mut String,
    daemon: &Daemon,
    metric: &str,
    help: &str,
    value: impl Fn(&Watched) -> Option<i64>,
) {
    header(text, metric, "gauge", help);
    for (key, watched) in daemon.roster.iter() {
        if let Some(value) = value(watched) {
            let subject = escaped(&watched.subject.leaf.display_subject());
            let labels = format!("sha256=\"{}\",subject=\"{subject}\"", name::of_key(key));
            line(text, metric, &labels, value);
        }
    }
}

/// A label's value: control characters are gone already.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
