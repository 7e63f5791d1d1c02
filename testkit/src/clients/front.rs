//! PostgreSQL's first words in the clear before a TLS server that does not know
//! them, so that psql's handshake meets every staple that a server can send.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// SSLRequest: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Listens on a port of its own, agrees to TLS, and then only passes bytes on.
pub struct PostgresFront {
    port: u16,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PostgresFront {
    /// A front of the TLS server on that loopback port.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if told.load(Ordering::Acquire) {
                    return;
                }
                // A client that hangs up is none of the front's business.
                let _ = client.and_then(|client| pass_on(client, server));
            }
        });
        Self {
            port,
            ends,
            thread: Some(thread),
        }
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PostgresFront {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // It waits for a connection; this is its last one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pass_on(mut client: TcpStream, server: u16) -> io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request)?;
    if request != SSL_REQUEST {
        return Err(io::Error::other("no SSLRequest"));
    }
    client.write_all(b"S")?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let upward = thread::spawn(move || copy(from_client, to_server));
    copy(server, client);
    let _ = upward.join();
    Ok(())
}

/// Copies until one side ends, and tells the other.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    // An end by an error is an end.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
