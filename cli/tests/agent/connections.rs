//! Connections to responders: kept while there is more to ask, never more than
//! allowed, and no failure when the responder closes one.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{PATIENT, Store};

const CERTIFICATES: usize = 12;

/// A responder that promises to keep connections, closes each after so many answers, and
/// answers nobody before it is given the answer.
struct Keeping {
    port: u16,
    answer: Arc<OnceLock<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Keeping {
    fn start(answers_each: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let keeping = Self {
            port: listener.local_addr().expect("it is bound").port(),
            answer: Arc::default(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (answer, connections, requests) = (
            Arc::clone(&keeping.answer),
            Arc::clone(&keeping.connections),
            Arc::clone(&keeping.requests),
        );
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                std::thread::spawn(move || {
                    let der = answer.wait();
                    for _ in 0..answers_each {
                        if respond(&stream, der).is_none() {
                            return;
                        }
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        keeping
    }
}

/// None if the client has left.
fn respond(mut stream: &TcpStream, der: &[u8]) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.trim_end().is_empty() => break,
            Ok(_) => {}
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\r\n",
        der.len()
    );
    stream.write_all(&[head.as_bytes(), der].concat()).ok()
}

/// An agent has fetched for several certificates of one serial number, which one
/// response is good for.
fn fetched_from(responder: &Keeping) {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let url = format!("http://127.0.0.1:{}/", responder.port);
    let spec = Spec::server().serial(&[7]).ocsp_url(&url);
    let leaves: Vec<Identity> = (0..CERTIFICATES).map(|_| ca.issue(&spec)).collect();
    let good = Response::good(&leaves[0], &ca).der();
    let store = Store::new();
    // As an earlier agent left them, so that all are due at once: what is named comes one by one,
    // and a connection ends for which nobody waits.
    std::fs::create_dir_all(store.layout().lasting().join("certs")).expect("a directory");
    for leaf in &leaves {
        let file = store.file("certs", leaf, "pem");
        std::fs::write(file, leaf.pem() + &ca.pem()).expect("it can be written");
    }
    let agent = store.start(PATIENT);
    // Once it tells of them it has handed over all that was due. Had a fetch been over before, the
    // next would have found the connection closed.
    agent.wait_for_metric(&format!(
        "staplegun_certificates{{state=\"missing\"}} {CERTIFICATES}"
    ));
    responder.answer.set(good.clone()).expect("once");
    for leaf in &leaves {
        agent.wait_until_served(leaf, &good);
    }
    let log = agent.server.stderr();
    assert!(!log.contains("no new response"), "{log}");
}

#[test]
fn what_is_asked_of_one_responder_goes_over_as_many_connections_as_may_be_open_at_once() {
    let responder = Keeping::start(usize::MAX);
    fetched_from(&responder);
    assert_eq!(responder.requests.load(Ordering::SeqCst), CERTIFICATES);
    let connections = responder.connections.load(Ordering::SeqCst);
    assert!(connections <= 2, "{connections} connections");
}

#[test]
fn a_connection_that_was_kept_and_then_closed_costs_no_fetch() {
    let responder = Keeping::start(1);
    fetched_from(&responder);
    assert_eq!(responder.requests.load(Ordering::SeqCst), CERTIFICATES);
}
