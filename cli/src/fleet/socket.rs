//! A connection to the store, with TLS or without. It never blocks: who wants to wait says
//! until when, whatever comes in between.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use openssl::ssl::{ErrorCode, HandshakeError, SslConnector, SslStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::address::Host;
use super::trouble::Trouble;

/// The connection.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    /// The last attempt waits for the other direction: TLS may do so.
    wants: PollFlags,
}

#[derive(Debug)]
enum Kind {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Socket {
    /// Connects, by any of the host's addresses, before `deadline`; looking them up may
    /// take longer.
    ///
    /// # Errors
    ///
    /// If it cannot: why.
    pub fn connect(
        host: &Host,
        tls: Option<&SslConnector>,
        deadline: Instant,
    ) -> Result<Self, Trouble> {
        let at = |error: io::Error| Trouble::new("connection", format_args!("{host}: {error}"));
        let addresses: Vec<SocketAddr> = (host.name.as_str(), host.port)
            .to_socket_addrs()
            .map_err(at)?
            .collect();
        let mut last = Trouble::new("connection", format_args!("{host} has no address"));
        for (tried, address) in addresses.iter().enumerate() {
            let rest = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let left = left(deadline) / rest;
            if left.is_zero() {
                return Err(slow(host));
            }
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(at)?;
                    stream.set_nonblocking(true).map_err(at)?;
                    return Self::over(stream, host, tls, deadline);
                }
                Err(error) => last = at(error),
            }
        }
        Err(last)
    }

    fn over(
        stream: TcpStream,
        host: &Host,
        tls: Option<&SslConnector>,
        deadline: Instant,
    ) -> Result<Self, Trouble> {
        let Some(connector) = tls else {
            return Ok(Self::new(Kind::Plain(stream)));
        };
        let failed = |error: &dyn std::fmt::Display| {
            Trouble::new("tls", format_args!("TLS with {host}: {error}"))
        };
        let mut shaking = match connector.connect(&host.name, stream) {
            Ok(stream) => return Ok(Self::new(Kind::Tls(Box::new(stream)))),
            Err(HandshakeError::WouldBlock(shaking)) => shaking,
            Err(HandshakeError::SetupFailure(error)) => return Err(failed(&error)),
            Err(HandshakeError::Failure(failure)) => return Err(failed(&told(&failure))),
        };
        loop {
            let wants = match shaking.error().code() {
                ErrorCode::WANT_WRITE => PollFlags::OUT,
                _ => PollFlags::IN,
            };
            if !wait(shaking.get_ref().as_fd(), wants, deadline) {
                return Err(slow(host));
            }
            shaking = match shaking.handshake() {
                Ok(stream) => return Ok(Self::new(Kind::Tls(Box::new(stream)))),
                Err(HandshakeError::WouldBlock(shaking)) => shaking,
                Err(HandshakeError::SetupFailure(error)) => return Err(failed(&error)),
                Err(HandshakeError::Failure(failure)) => return Err(failed(&told(&failure))),
            };
        }
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            wants: PollFlags::empty(),
        }
    }

    /// Reads what there is; 0 if there is nothing now.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.kind {
            Kind::Plain(stream) => stream.read(buffer),
            Kind::Tls(stream) => stream.ssl_read(buffer).map_err(|error| match error.code() {
                ErrorCode::WANT_READ => ErrorKind::WouldBlock.into(),
                ErrorCode::WANT_WRITE => {
                    self.wants = PollFlags::OUT;
                    ErrorKind::WouldBlock.into()
                }
                ErrorCode::ZERO_RETURN => ErrorKind::UnexpectedEof.into(),
                _ => io::Error::other(error),
            }),
        };
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if is_for_now(&error) => Ok(0),
            read => read,
        }
    }

    /// Writes what can be written now.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wants = PollFlags::empty();
        let written = match &mut self.kind {
            Kind::Plain(stream) => stream.write(bytes),
            Kind::Tls(stream) => stream.ssl_write(bytes).map_err(|error| match error.code() {
                ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => ErrorKind::WouldBlock.into(),
                _ => io::Error::other(error),
            }),
        };
        match written {
            Err(error) if is_for_now(&error) => Ok(0),
            written => written,
        }
    }

    /// Its descriptor, and what to wait for: that there is something to read, and that
    /// there is room, if something is to be written.
    pub fn waits_for(&self, writes: bool) -> (BorrowedFd<'_>, PollFlags) {
        let stream = match &self.kind {
            Kind::Plain(stream) => stream,
            Kind::Tls(stream) => stream.get_ref(),
        };
        let room = if writes {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        (stream.as_fd(), PollFlags::IN | room | self.wants)
    }

    /// Waits for either until `deadline`; false if it is over.
    pub fn wait(&self, writes: bool, deadline: Instant) -> bool {
        let (descriptor, flags) = self.waits_for(writes);
        wait(descriptor, flags, deadline)
    }
}

/// What TLS says, with why the certificate was refused.
fn told(failure: &openssl::ssl::MidHandshakeSslStream<TcpStream>) -> String {
    let verified = failure.ssl().verify_result();
    match verified == openssl::x509::X509VerifyResult::OK {
        true => failure.error().to_string(),
        false => format!("its certificate does not count: {verified}; look at ca-file in [fleet]"),
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn slow(host: &Host) -> Trouble {
    Trouble::new("timeout", format_args!("{host} takes too long to answer"))
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn wait(descriptor: BorrowedFd<'_>, flags: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = left(deadline);
        if left.is_zero() {
            return false;
        }
        let limit = Timespec::try_from(left).ok();
        match poll(
            &mut [PollFd::from_borrowed_fd(descriptor, flags)],
            limit.as_ref(),
        ) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}
