//! A connection in use: commands go out in order and their replies come back in it, with
//! notices in between. What somebody waits for goes before what nobody does.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use staplegun_store::Key;

use super::greeting::{CHUNK, Talk};
use super::resp::{Received, Value};
use super::socket::Socket;
use super::trouble::Trouble;

/// How long the store may take for one command. What is due waits for it for a shorter time,
/// by the desk.
const PATIENCE: Duration = Duration::from_secs(2);
/// Commands that were sent and not yet answered, at most.
const UNDER_WAY: usize = 64;
/// Commands that wait to be sent, at most: beyond that the store is too slow to be of use.
const MOST: usize = 1 << 20;

/// What a command was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A certificate that is due.
    Due(Key),
    /// One that may have something new there.
    Seen(Key),
    /// Nothing follows from the reply unless it is an error.
    Nothing,
}

/// The connection.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    received: Received,
    urgent: VecDeque<(For, Vec<u8>)>,
    other: VecDeque<(For, Vec<u8>)>,
    /// What of a command was not yet taken by the socket.
    unsent: Vec<u8>,
    under_way: VecDeque<(For, Instant)>,
}

impl Link {
    /// From one that was made.
    pub fn new(talk: Talk) -> Self {
        Self {
            socket: talk.socket,
            received: talk.received,
            urgent: VecDeque::new(),
            other: VecDeque::new(),
            unsent: Vec::new(),
            under_way: VecDeque::new(),
        }
    }

    /// Sends a command soon.
    pub fn send(&mut self, what: For, command: Vec<u8>) {
        match what {
            For::Seen(_) => self.other.push_back((what, command)),
            For::Due(_) | For::Nothing => self.urgent.push_back((what, command)),
        }
    }

    /// Whether everything was sent and answered.
    pub fn is_idle(&self) -> bool {
        self.urgent.is_empty() && self.other.is_empty() && self.under_way.is_empty()
    }

    /// What to wait for; see [`Socket::waits_for`].
    pub fn waits_for(&self) -> (BorrowedFd<'_>, PollFlags) {
        let has_room = self.under_way.len() < UNDER_WAY;
        let has_more = has_room && !(self.urgent.is_empty() && self.other.is_empty());
        self.socket.waits_for(!self.unsent.is_empty() || has_more)
    }

    /// When the oldest command must have been answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.front().map(|(_, sent)| *sent + PATIENCE)
    }

    /// Sends and receives what can be now; what came stands in `replies`, with what it is
    /// for, and what came unasked in `notices`. The number of commands that were sent, and
    /// whether everything was received that had come before this was called.
    ///
    /// # Errors
    ///
    /// If the connection has ended, is too slow, or something else speaks there.
    pub fn work(
        &mut self,
        replies: &mut Vec<(For, Value)>,
        notices: &mut Vec<Vec<Value>>,
    ) -> Result<(u64, bool), Trouble> {
        let ended =
            |error| Trouble::new("connection", format_args!("the connection ended: {error}"));
        let mut sent = 0;
        let is_all = loop {
            let mut new = 0;
            while self.under_way.len() < UNDER_WAY && self.unsent.len() < CHUNK {
                let next = self.urgent.pop_front().or_else(|| self.other.pop_front());
                let Some((what, command)) = next else {
                    break;
                };
                self.unsent.extend(command);
                self.under_way.push_back((what, Instant::now()));
                (new, sent) = (new + 1, sent + 1);
            }
            if !self.unsent.is_empty() {
                let written = self.socket.write(&self.unsent).map_err(ended)?;
                self.unsent.drain(..written);
            }
            let now = Instant::now();
            // Its time begins when it is under way, and is over when nothing more had come.
            let under_way = self.under_way.iter_mut().rev();
            under_way.take(new).for_each(|(_, sent)| *sent = now);
            let mut buffer = [0; CHUNK];
            let read = self.socket.read(&mut buffer).map_err(ended)?;
            self.received.add(&buffer[..read]);
            let malformed = |malformed| Trouble::new("protocol", malformed);
            while let Some(value) = self.received.next().map_err(malformed)? {
                match value {
                    Value::Push(push) => notices.push(push),
                    value => {
                        let (what, _) = self.under_way.pop_front().ok_or_else(|| {
                            Trouble::new("protocol", "it answers what was not asked")
                        })?;
                        replies.push((what, value));
                    }
                }
            }
            if read == 0 {
                if self.deadline().is_some_and(|at| at <= now) {
                    return Err(Trouble::new("timeout", "it takes too long to answer"));
                }
                break true;
            }
            // A flood of notices must not keep anybody waiting.
            if notices.len() + replies.len() > UNDER_WAY {
                break false;
            }
        };
        if self.urgent.len() + self.other.len() > MOST {
            return Err(Trouble::new("timeout", "it takes too long to answer"));
        }
        Ok((sent, is_all))
    }
}
