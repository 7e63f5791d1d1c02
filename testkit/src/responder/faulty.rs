//! A responder that does wrong whatever a test wants, and remembers what it
//! was asked.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use super::http::{Request, response};

/// What the responder does with one request.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers as it should: 200, application/ocsp-response, these bytes.
    Answer(Vec<u8>),
    /// Answers with any status, header fields and body.
    Http {
        /// The status code.
        status: u16,
        /// The header fields; Content-Length and Connection are added.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Sends exactly these bytes and closes.
    Raw(Vec<u8>),
    /// Sends the whole HTTP answer for these bytes one by one, with a pause
    /// before each.
    Drip {
        /// The OCSP response.
        bytes: Vec<u8>,
        /// How long to wait before each byte.
        pause: Duration,
    },
    /// Announces a body of that many bytes and sends as many zeroes as are taken.
    Huge(u64),
    /// Never answers; waits until the client goes.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection.
    Reset,
    /// Decides by the request.
    Call(Arc<dyn Fn(&Request) -> Behaviour + Send + Sync>),
}

impl Behaviour {
    /// A status code with header fields and no body.
    pub fn status(status: u16, headers: &[(&str, &str)]) -> Self {
        Self::Http {
            status,
            headers: owned(headers),
            body: Vec::new(),
        }
    }

    /// The answer of a captive portal: 200 and a page.
    pub fn html() -> Self {
        Self::Http {
            status: 200,
            headers: owned(&[("Content-Type", "text/html")]),
            body: b"<html>Please log in</html>".to_vec(),
        }
    }

    /// The right answer with header fields of its own, e.g. Cache-Control.
    pub fn answer_with(bytes: Vec<u8>, headers: &[(&str, &str)]) -> Self {
        let mut all = owned(&[("Content-Type", "application/ocsp-response")]);
        all.extend(owned(headers));
        Self::Http {
            status: 200,
            headers: all,
            body: bytes,
        }
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(own).collect()
}

/// The responder, on a loopback port that the kernel chose. It runs until it
/// is dropped, each connection in a thread of its own.
pub struct FaultyResponder {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    stopping: AtomicBool,
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<Vec<TcpStream>>,
}

struct Script {
    next: VecDeque<Behaviour>,
    otherwise: Behaviour,
}

impl FaultyResponder {
    /// Starts a responder that always does the same, until told otherwise.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, behaviour)
    }

    /// The same at another address of this machine.
    pub fn start_at(address: Ipv4Addr, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            script: Mutex::new(Script {
                next: VecDeque::new(),
                otherwise: behaviour,
            }),
            requests: Mutex::default(),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        Self {
            address,
            shared,
            listener: Some(std::thread::spawn(move || accept(&listener, &accepting))),
        }
    }

    /// Its address, as it may stand in a certificate.
    pub fn url(&self) -> String {
        format!("http://{}/ocsp", self.address)
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what it does from now on, and forgets what was queued.
    pub fn set(&self, behaviour: Behaviour) {
        let mut script = self.shared.script.lock().expect("no test panicked in it");
        script.next.clear();
        script.otherwise = behaviour;
    }

    /// Adds what it does once, before it goes on with what was set.
    pub fn queue(&self, behaviour: Behaviour) {
        let mut script = self.shared.script.lock().expect("no test panicked in it");
        script.next.push_back(behaviour);
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.shared.requests.lock().expect("no test panicked in it");
        requests.clone()
    }
}

impl Drop for FaultyResponder {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        if let Ok(connections) = self.shared.connections.lock() {
            for connection in connections.iter() {
                // The client may have closed it already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if let (Ok(copy), Ok(mut connections)) = (stream.try_clone(), shared.connections.lock()) {
            connections.push(copy);
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(stream, &shared));
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let Ok(request) = Request::read(&stream) else {
        return;
    };
    let mut behaviour = {
        let mut script = shared.script.lock().expect("no test panicked in it");
        let next = script.next.pop_front();
        next.unwrap_or_else(|| script.otherwise.clone())
    };
    while let Behaviour::Call(decide) = behaviour {
        behaviour = decide(&request);
    }
    if let Ok(mut requests) = shared.requests.lock() {
        requests.push(request);
    }
    behave(&stream, behaviour);
    if let Ok(mut connections) = shared.connections.lock() {
        // The copies would keep the connection open.
        let peer = stream.peer_addr().ok();
        connections.retain(|connection| connection.peer_addr().ok() != peer);
    }
}

/// Errors are the client's way to leave early, and of no interest here.
fn behave(mut stream: &TcpStream, behaviour: Behaviour) {
    match behaviour {
        Behaviour::Answer(bytes) => {
            let _ = stream.write_all(&ocsp_answer(&bytes));
        }
        Behaviour::Http {
            status,
            headers,
            body,
        } => {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let _ = stream.write_all(&response(status, &headers, &body));
        }
        Behaviour::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Behaviour::Drip { bytes, pause } => {
            for byte in ocsp_answer(&bytes) {
                std::thread::sleep(pause);
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        }
        Behaviour::Huge(length) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            let mut body = head.as_bytes().chain(std::io::repeat(0).take(length));
            let _ = std::io::copy(&mut body, &mut stream);
        }
        Behaviour::Hang => {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        Behaviour::Reset => {
            let _ = set_socket_linger(stream, Some(Duration::ZERO));
        }
        Behaviour::Close => {}
        Behaviour::Call(_) => unreachable!("resolved before"),
    }
}

fn ocsp_answer(bytes: &[u8]) -> Vec<u8> {
    response(200, &[("Content-Type", "application/ocsp-response")], bytes)
}

/// A loopback port that refuses connections and that nobody else can take.
pub struct Refused(OwnedFd);

impl Refused {
    /// Takes a port without listening on it.
    pub fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        bind(&socket, &any_port).expect("a port is free");
        Self(socket)
    }

    /// The address that refuses, as it may stand in a certificate.
    pub fn url(&self) -> String {
        let address = getsockname(&self.0).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an internet address");
        format!("http://{address}/ocsp")
    }
}

impl Default for Refused {
    fn default() -> Self {
        Self::new()
    }
}
