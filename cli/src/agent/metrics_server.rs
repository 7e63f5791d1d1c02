//! The port of the loopback where the metrics are served. Any local user can connect to
//! it: who is slow, or asks without end, holds up neither others nor the main thread.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::Event;

/// How long a connection may last, whatever its client does.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections at a time. One more ends the oldest: who has asked is answered at once, so
/// that it is one that has not.
const CONNECTIONS: usize = 32;
/// The longest first line of a request, in bytes.
const LINE: usize = 4096;
/// Which part of the main thread's time the metrics may take, and for how long they are
/// given out again at most.
const PART: u32 = 20;
const LONGEST: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be taken: there are no descriptors left, say.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts to serve at `listener`. Who asks asks the main thread, by `events`: nothing is
/// written down while nobody wants it.
///
/// # Errors
///
/// If the system gives no thread.
pub fn start(listener: TcpListener, events: &Sender<Event>) -> io::Result<()> {
    let server = Arc::new(Server {
        events: Mutex::new(events.clone()),
        last: Mutex::default(),
        open: Mutex::default(),
    });
    let thread = std::thread::Builder::new().name("metrics".to_owned());
    thread.spawn(move || {
        for number in 0.. {
            match listener.accept() {
                Ok((stream, _)) => server.take(number, stream),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    })?;
    Ok(())
}

struct Server {
    events: Mutex<Sender<Event>>,
    last: Mutex<Option<Text>>,
    /// The oldest first.
    open: Mutex<VecDeque<(u64, Arc<TcpStream>)>>,
}

/// The metrics as they were.
struct Text {
    text: Arc<str>,
    at: Instant,
    /// How long they are given out again.
    life: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn take(self: &Arc<Self>, number: u64, stream: TcpStream) {
        let stream = Arc::new(stream);
        {
            let mut open = lock(&self.open);
            if open.len() >= CONNECTIONS
                && let Some((_, oldest)) = open.pop_front()
            {
                // It may have gone.
                let _ = oldest.shutdown(Shutdown::Both);
            }
            open.push_back((number, Arc::clone(&stream)));
        }
        let server = Arc::clone(self);
        let thread = std::thread::Builder::new().name("metrics client".to_owned());
        let spawned = thread.spawn(move || {
            if let Err(error) = server.answer(&stream) {
                tracing::debug!("a client of the metrics went: {error}");
            }
            server.forget(number);
        });
        if spawned.is_err() {
            self.forget(number);
        }
    }

    fn forget(&self, number: u64) {
        lock(&self.open).retain(|(other, _)| *other != number);
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let line = first_line(stream, deadline)?;
        let mut words = line.split(' ');
        let path = words.nth(1).unwrap_or_default();
        let (status, body) = match (line.starts_with("GET "), path) {
            (true, "/metrics" | "/") => match self.current() {
                Some(text) => ("200 OK", text),
                None => ("503 Service Unavailable", "the agent is busy\n".into()),
            },
            (true, _) => ("404 Not Found", "the metrics are at /metrics\n".into()),
            (false, _) => ("405 Method Not Allowed", "only GET\n".into()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        write_all(stream, head.as_bytes(), deadline)?;
        write_all(stream, body.as_bytes(), deadline)?;
        stream.shutdown(Shutdown::Write)
    }

    /// The metrics as they are now, or were a moment ago; None if the main thread does
    /// not answer in time.
    fn current(&self) -> Option<Arc<str>> {
        let mut last = lock(&self.last);
        if let Some(text) = last.as_ref().filter(|text| text.at.elapsed() < text.life) {
            return Some(Arc::clone(&text.text));
        }
        let (sender, answer) = sync_channel(1);
        lock(&self.events).send(Event::Metrics(sender)).ok()?;
        let (text, took) = answer.recv_timeout(PATIENCE).ok()?;
        let text: Arc<str> = text.into();
        *last = Some(Text {
            text: Arc::clone(&text),
            at: Instant::now(),
            life: (took * PART).min(LONGEST),
        });
        Some(text)
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// The first line of a request, as far as it is text.
fn first_line(mut stream: &TcpStream, deadline: Instant) -> io::Result<String> {
    let mut line = Vec::new();
    let mut part = [0; 512];
    while line.len() < LINE && !line.contains(&b'\n') {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part)? {
            0 => break,
            count => line.extend_from_slice(&part[..count]),
        }
    }
    let end = line.iter().position(|byte| *byte == b'\n');
    line.truncate(end.unwrap_or(line.len()));
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn write_all(mut stream: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}
