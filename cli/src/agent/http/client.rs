//! A client of the HTTP server, at the port or the Unix socket: each thing it does has an end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::answer::Answer;

/// The longest head of a request, in bytes.
const HEAD: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub enum Client {
    /// Of anybody who reaches the port.
    Port(TcpStream),
    /// Of who may open the socket.
    Socket(UnixStream),
}

impl Client {
    /// Whether anybody may have connected.
    pub fn is_port(&self) -> bool {
        matches!(self, Self::Port(_))
    }

    /// Ends it, whatever its thread does.
    pub fn end(&self) {
        // It may have gone.
        let _ = self.shutdown(Shutdown::Both);
    }

    /// The head of a request, or as much of it as there will be.
    ///
    /// # Errors
    ///
    /// If it has not come by the deadline.
    pub fn head(&self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let mut part = [0; 2048];
        while head.len() < HEAD && !is_whole(&head) {
            let count = match (self, Some(left(deadline)?)) {
                (Self::Port(stream), left) => {
                    stream.set_read_timeout(left)?;
                    (&*stream).read(&mut part)?
                }
                (Self::Socket(stream), left) => {
                    stream.set_read_timeout(left)?;
                    (&*stream).read(&mut part)?
                }
            };
            match count {
                0 => break,
                count => head.extend_from_slice(&part[..count]),
            }
        }
        Ok(head)
    }

    /// Sends the answer, and ends.
    ///
    /// # Errors
    ///
    /// If it is not taken by the deadline.
    pub fn answer(&self, answer: &Answer, deadline: Instant) -> io::Result<()> {
        self.write(answer.head().as_bytes(), deadline)?;
        self.write(answer.body(), deadline)?;
        self.shutdown(Shutdown::Write)
    }

    fn write(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = match (self, Some(left(deadline)?)) {
                (Self::Port(stream), left) => {
                    stream.set_write_timeout(left)?;
                    (&*stream).write(bytes)?
                }
                (Self::Socket(stream), left) => {
                    stream.set_write_timeout(left)?;
                    (&*stream).write(bytes)?
                }
            };
            match count {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Port(stream) => stream.shutdown(how),
            Self::Socket(stream) => stream.shutdown(how),
        }
    }
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line_and_is_waited_for_until_then() {
        for (head, is_over) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
            ("GET / HTTP/1.1\nHost: x\n\n", true),
            ("GET / HTTP/1.1\r\nHost: x\r\n", false),
            ("GET / HTTP/1.1\nHost: x\n", false),
            ("", false),
        ] {
            assert_eq!(is_whole(head.as_bytes()), is_over, "{head:?}");
        }
    }
}
