//! A TCP connection that cannot take longer than it may, however slowly the other
//! side sends.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::target::Target;

/// A connection with a deadline for all that is done with it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    deadline: Instant,
}

impl Connection {
    /// Connects to the first address of the host that answers.
    pub fn open(target: &Target, default_port: u16, deadline: Instant) -> Result<Self> {
        let port = target.port.unwrap_or(default_port);
        let addresses: Vec<SocketAddr> = (target.host.as_str(), port)
            .to_socket_addrs()
            .with_context(|| format!("cannot find the address of {}", target.host))?
            .collect();
        let mut last = anyhow!("{} has no address", target.host);
        for (index, address) in addresses.iter().enumerate() {
            // One that is dead must leave time for the others.
            let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = remaining(deadline).map(|time| time / left);
            match share.and_then(|time| TcpStream::connect_timeout(address, time)) {
                Ok(stream) => {
                    // Small messages to and fro; without it only slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(Self { stream, deadline });
                }
                Err(error) => {
                    last =
                        anyhow::Error::new(error).context(format!("cannot connect to {address}"));
                }
            }
        }
        Err(last)
    }

    /// Reads exactly so many bytes.
    pub fn exactly<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes).map_err(hung_up)?;
        Ok(bytes)
    }

    /// Reads up to and including `end`, byte by byte, so that nothing that belongs
    /// to TLS is taken away.
    pub fn until(&mut self, end: &[u8], most: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            if bytes.len() >= most {
                bail!("the server sends more than {most} bytes where an answer should end");
            }
            bytes.extend(self.exactly::<1>()?);
        }
        Ok(bytes)
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).context("cannot send to the server")
    }
}

fn hung_up(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => anyhow!("the server closed the connection"),
        _ => anyhow::Error::new(error).context("no answer from the server"),
    }
}

/// The time that is left, which is never zero.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it took too long (--timeout)",
        ));
    }
    Ok(left)
}

/// A time-out of a socket is reported as "would block".
fn as_time_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "it took too long (--timeout)")
        }
        _ => error,
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream
            .set_read_timeout(Some(remaining(self.deadline)?))?;
        self.stream.read(buffer).map_err(as_time_out)
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream
            .set_write_timeout(Some(remaining(self.deadline)?))?;
        self.stream.write(buffer).map_err(as_time_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
impl Connection {
    /// To a server that says this, no more, and hears what is said to it.
    pub fn to_one_that_says(said: &[u8]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let deadline = Instant::now() + staplegun_testkit::wait::limit();
        let connection = Self::open(&target.parse().unwrap(), 0, deadline).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(said).unwrap();
        server.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::spawn(move || io::copy(&mut server, &mut io::sink()));
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_server_hangs_up_is_told_in_words() {
        let mut connection = Connection::to_one_that_says(b"ab");
        assert_eq!(connection.exactly().unwrap(), *b"a");
        let told = connection.exactly::<2>().unwrap_err();
        assert_eq!(told.to_string(), "the server closed the connection");
    }
}
