//! The agent's HTTP server: the page, what it shows as JSON, and the metrics, all read-only. It
//! listens on a port of the loopback, or where the configuration says, and on a Unix socket.
//!
//! Any local user can connect to the port: who is slow, or asks without end, holds up neither
//! others nor the main thread. The page and its JSON are read from the store, as `staplegun
//! status` does; only the metrics and the responders are asked of the main thread.

mod answer;
mod client;
mod guests;
mod request;
mod settings;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Sender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use staplegun_store::layout::Layout;

use self::answer::{Answer, Kind};
use self::client::Client;
use self::guests::{Guest, Guests};
use self::request::Request;
pub use self::settings::{Doors, HttpSettings};
use super::event::Event;
use super::figures;
use super::survey::Survey;

/// How long a client may take to ask, and to read what is no more than the metrics.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to read how all certificates stand.
const LONG_PATIENCE: Duration = Duration::from_secs(20);
/// How long is waited until the main thread has looked at everything: as long as Prometheus waits.
const LOOKING: Duration = Duration::from_secs(10);
/// Which part of a processor's time answers may take: what took long is given out again for
/// so many times as long.
const PART: u32 = 20;
/// For how long the metrics are given out again at most, and how the certificates stand.
const LONGEST: Duration = Duration::from_secs(1);
const LONGEST_STATUS: Duration = Duration::from_secs(60);
/// How long to wait when no connection can be taken: there are no descriptors left, say.
const PAUSE: Duration = Duration::from_millis(100);

/// How the certificates of a store stand, in JSON; without the paths of files, if they are to
/// be kept from who asks.
pub type Tell = fn(&Layout, are_paths_shown: bool) -> anyhow::Result<String>;

/// Starts to serve at `doors`.
///
/// # Errors
///
/// If the system gives no thread.
pub fn start(doors: Doors, layout: Layout, tell: Tell, events: &Sender<Event>) -> io::Result<()> {
    let server = Arc::new(Server::new(doors.hosts, layout, tell, events));
    if let Some(listener) = doors.port {
        let accept = move |listener: &TcpListener| Ok(Client::Port(listener.accept()?.0));
        serve(Arc::clone(&server), listener, accept)?;
    }
    if let Some(listener) = doors.socket {
        let accept = move |listener: &UnixListener| Ok(Client::Socket(listener.accept()?.0));
        serve(server, listener, accept)?;
    }
    Ok(())
}

fn serve<L: Send + 'static>(
    server: Arc<Server>,
    listener: L,
    accept: impl Fn(&L) -> io::Result<Client> + Send + 'static,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("http".to_owned());
    thread.spawn(move || {
        loop {
            match accept(&listener) {
                Ok(client) => server.take(client),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    })?;
    Ok(())
}

struct Server {
    events: Mutex<Sender<Event>>,
    layout: Layout,
    tell: Tell,
    /// The names by which it may be asked for at its port, besides those of the loopback.
    hosts: Vec<String>,
    metrics: Mutex<Option<Text>>,
    responders: Mutex<Option<Text>>,
    /// Without the paths of files, and with them.
    status: [Mutex<Option<Text>>; 2],
    guests: Arc<Guests>,
}

/// What was told, which is given out again for a while.
struct Text {
    text: Arc<str>,
    at: Instant,
    /// How long that is.
    life: Duration,
}

impl Text {
    fn new(text: String, took: Duration, longest: Duration) -> Self {
        Self {
            text: text.into(),
            at: Instant::now(),
            life: (took * PART).min(longest),
        }
    }

    fn is_over(&self) -> bool {
        self.at.elapsed() >= self.life
    }

    fn current(last: Option<&Self>) -> Option<Arc<str>> {
        let last = last.filter(|text| !text.is_over())?;
        Some(Arc::clone(&last.text))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn new(hosts: Vec<String>, layout: Layout, tell: Tell, events: &Sender<Event>) -> Self {
        Self {
            events: Mutex::new(events.clone()),
            layout,
            tell,
            hosts,
            metrics: Mutex::default(),
            responders: Mutex::default(),
            status: [Mutex::default(), Mutex::default()],
            guests: Arc::default(),
        }
    }

    fn take(self: &Arc<Self>, client: Client) {
        let Some(guest) = self.guests.let_in(client) else {
            return;
        };
        let server = Arc::clone(self);
        let thread = std::thread::Builder::new().name("http client".to_owned());
        // Without a thread it goes.
        let _ = thread.spawn(move || {
            if let Err(error) = server.serve(&guest) {
                tracing::debug!("a client of the HTTP server went: {error}");
            }
        });
    }

    fn serve(self: &Arc<Self>, guest: &Guest) -> io::Result<()> {
        let client = guest.client();
        let head = client.head(Instant::now() + PATIENCE)?;
        let (answer, patience) = guest.waits_for(|| self.answer(&head, client.is_port()));
        client.answer(&answer, Instant::now() + patience)
    }

    /// The answer to who asks so, and how long it may take to be read.
    fn answer(self: &Arc<Self>, head: &[u8], is_port: bool) -> (Answer, Duration) {
        let request = match Request::parse(head) {
            Err(wrong) => return (Answer::refused(wrong), PATIENCE),
            Ok(request) if is_port && !request.is_for(&self.hosts) => {
                return (Answer::misdirected(), PATIENCE);
            }
            Ok(request) => request,
        };
        match request.path {
            "/" => (Answer::page(), PATIENCE),
            "/metrics" => (
                self.survey(&self.metrics, Kind::Metrics, figures::metrics),
                PATIENCE,
            ),
            "/responders.json" => (
                self.survey(&self.responders, Kind::Json, figures::responders_json),
                PATIENCE,
            ),
            "/status.json" => (self.status(!is_port), LONG_PATIENCE),
            _ => (Answer::not_found(), PATIENCE),
        }
    }

    /// What is written of how everything stands, which only the main thread knows, now or a moment
    /// ago.
    fn survey(
        &self,
        last: &Mutex<Option<Text>>,
        kind: Kind,
        write: fn(&Survey) -> String,
    ) -> Answer {
        let mut last = lock(last);
        if let Some(text) = Text::current(last.as_ref()) {
            return Answer::of(kind, text);
        }
        let (asker, survey) = sync_channel(1);
        let sent = lock(&self.events).send(Event::Tell(asker));
        let told = sent.ok().and_then(|()| survey.recv_timeout(LOOKING).ok());
        let Some(survey) = told else {
            return Answer::unavailable("the agent is busy: ask again");
        };
        let begun = Instant::now();
        let text = write(&survey);
        let new = last.insert(Text::new(text, survey.took + begun.elapsed(), LONGEST));
        Answer::of(kind, Arc::clone(&new.text))
    }

    /// How all certificates stand now, or stood a moment ago.
    fn status(self: &Arc<Self>, are_paths_shown: bool) -> Answer {
        let mut last = lock(&self.status[usize::from(are_paths_shown)]);
        if let Some(text) = Text::current(last.as_ref()) {
            return Answer::of(Kind::Json, text);
        }
        let begun = Instant::now();
        match (self.tell)(&self.layout, are_paths_shown) {
            Ok(text) => {
                let new = last.insert(Text::new(text, begun.elapsed(), LONGEST_STATUS));
                self.forget_status(are_paths_shown, new.life);
                Answer::of(Kind::Json, Arc::clone(&new.text))
            }
            Err(error) if are_paths_shown => Answer::unavailable(&format!("{error:#}")),
            Err(_) => Answer::unavailable("the store cannot be read: staplegun status says why"),
        }
    }

    /// Of thousands of certificates it is megabytes, and there may be nobody who asks again.
    fn forget_status(self: &Arc<Self>, are_paths_shown: bool, life: Duration) {
        let server = Arc::clone(self);
        let thread = std::thread::Builder::new().name("http memory".to_owned());
        let spawned = thread.spawn(move || {
            std::thread::sleep(life);
            lock(&server.status[usize::from(are_paths_shown)]).take_if(|text| text.is_over());
        });
        if let Err(error) = spawned {
            tracing::debug!("what was told stays in memory: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_was_told_of_all_certificates_is_given_out_again_and_then_forgotten() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let tell: Tell = |_, _| {
            TOLD.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
            Ok("{}".to_owned())
        };
        let (events, _) = channel();
        let layout = Layout::at(Path::new("/nowhere"));
        let server = Arc::new(Server::new(Vec::new(), layout, tell, &events));
        server.status(false);
        server.status(false);
        assert_eq!(TOLD.load(Ordering::Relaxed), 1);
        let is_kept = || lock(&server.status[0]).is_some();
        assert!(is_kept());
        let end = Instant::now() + LONGEST_STATUS;
        while is_kept() {
            assert!(Instant::now() < end, "it is still in memory");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Threads of this process that serve clients.
    fn threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").expect("it is mounted");
        let names = tasks.filter_map(|task| std::fs::read(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name == b"http client\n").count()
    }

    #[test]
    fn however_many_ask_at_a_time_there_are_no_more_threads_than_connections() {
        static ANSWERS: Mutex<()> = Mutex::new(());
        let tell: Tell = |_, _| {
            drop(lock(&ANSWERS));
            Ok("{}".to_owned())
        };
        let (events, _) = channel();
        let layout = Layout::at(Path::new("/nowhere"));
        let server = Arc::new(Server::new(Vec::new(), layout, tell, &events));
        let answers = lock(&ANSWERS);
        let mut clients = Vec::new();
        for asked in 0..guests::MOST + 4 {
            let (mut client, served) = UnixStream::pair().expect("a socket");
            let asks = client.write_all(b"GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n");
            asks.expect("it is taken");
            server.take(Client::Socket(served));
            clients.push(client);
            // Each has asked before the next one comes.
            staplegun_testkit::wait::until("it is at work", || {
                (asked + 1 > guests::MOST || server.guests.at_work() == asked + 1).then_some(())
            });
            assert!(threads() <= guests::MOST, "{}", threads());
        }
        drop(answers);
        for (number, client) in clients.iter_mut().enumerate() {
            let mut answer = String::new();
            let _ = client.read_to_string(&mut answer);
            assert_eq!(
                answer.starts_with("HTTP/1.1 200"),
                number < guests::MOST,
                "{number}"
            );
        }
        let none = || (threads() == 0).then_some(());
        staplegun_testkit::wait::until("the threads have ended", none);
    }

    #[test]
    fn why_the_store_cannot_be_read_is_told_only_to_who_may_know_its_paths() {
        let tell: Tell = |_, _| anyhow::bail!("cannot read /secret");
        let (events, _) = channel();
        let layout = Layout::at(Path::new("/nowhere"));
        let server = Arc::new(Server::new(Vec::new(), layout, tell, &events));
        let told = |are_paths_shown| {
            let answer = server.status(are_paths_shown);
            String::from_utf8_lossy(answer.body()).into_owned()
        };
        assert_eq!(told(true), "cannot read /secret\n");
        assert!(!told(false).contains("/secret"));
        assert!(told(false).contains("staplegun status says why"));
    }
}
