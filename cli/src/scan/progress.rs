//! One line on a terminal that says how far the scan is, and goes with its end.

use std::io::{IsTerminal, Stderr, Write, stderr};

use crate::machine::served::Door;

/// The line; nothing where standard error is no terminal.
#[derive(Debug)]
pub struct Progress {
    terminal: Option<Stderr>,
    all: usize,
    done: usize,
}

impl Progress {
    /// Begins it.
    pub fn new(all: usize) -> Self {
        let progress = Self {
            terminal: Some(stderr()).filter(|it| it.is_terminal() && all > 0),
            all,
            done: 0,
        };
        progress.show(&format!("looking at {all} ports"));
        progress
    }

    /// One port was looked at.
    pub fn done(&mut self, door: &Door) {
        self.done += 1;
        self.show(&format!(
            "looking at ports: {} of {}, last {}",
            self.done, self.all, door.address
        ));
    }

    fn show(&self, words: &str) {
        if let Some(terminal) = &self.terminal {
            // To the line's begin, and what stood there away (ECMA-48: EL).
            let _ = write!(terminal.lock(), "\r\x1b[K{words}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}
