//! Log lines: off by default, one write each, at most so many a second.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::config::{self, Level, LogTarget};
use crate::host::output;

/// A line is cut at this many bytes, so that a pipe takes it whole.
const LINE: usize = 1024;
/// Lines per second; the rest are counted and the count is logged.
const LINES_PER_SECOND: u32 = 50;

static SECOND: AtomicI64 = AtomicI64::new(0);
static WRITTEN: AtomicU32 = AtomicU32::new(0);

/// Whether a line of this level would be written, so that its making can be saved.
pub fn enabled(level: Level) -> bool {
    let config = config::get();
    config.log != LogTarget::Off && level <= config.level && config::may_open()
}

/// Writes `staplegun[PID]: level: message` as one line.
pub fn line(level: Level, message: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let now = output::seconds();
    let left_out = if SECOND.swap(now, Ordering::Relaxed) == now {
        0
    } else {
        WRITTEN
            .swap(0, Ordering::Relaxed)
            .saturating_sub(LINES_PER_SECOND)
    };
    if left_out > 0 {
        write(
            Level::Warn,
            format_args!("{left_out} lines of the second before were left out"),
        );
    }
    if WRITTEN.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND {
        write(level, message);
    }
}

/// Logs that the library panicked at `place`, and does nothing more. This line is left out
/// in no second.
pub fn stopped(place: &str) {
    if enabled(Level::Error) {
        write(
            Level::Error,
            format_args!(
                "a fault in this library, at {place}: it does nothing more in this process"
            ),
        );
    }
}

/// Logs what was wrong with the environment. Once, and not in the constructor,
/// which must not write.
pub fn complain_about_configuration() {
    static DONE: AtomicU32 = AtomicU32::new(0);
    let config = config::get();
    if !config.complaints.is_empty() && DONE.swap(1, Ordering::Relaxed) == 0 {
        for complaint in &config.complaints {
            line(Level::Error, format_args!("{complaint}"));
        }
    }
}

fn write(level: Level, message: fmt::Arguments<'_>) {
    let (name, severity) = match level {
        Level::Error => ("error", 3),
        Level::Warn => ("warn", 4),
        Level::Info => ("info", 6),
        Level::Debug => ("debug", 7),
    };
    let mut text = Line::default();
    let to_syslog = config::get().log == LogTarget::Syslog;
    // Writing to a Line does not fail: what does not fit is cut.
    let _ = if to_syslog {
        // The facility is daemon, 3.
        write!(
            text,
            "<{}>staplegun[{}]: {message}",
            3 * 8 + severity,
            output::pid()
        )
    } else {
        write!(text, "staplegun[{}]: {name}: {message}", output::pid())
    };
    match &config::get().log {
        LogTarget::Off => {}
        LogTarget::Stderr => output::to_stderr(text.ended()),
        LogTarget::Syslog => output::to_syslog(text.bytes()),
        LogTarget::File(path) => output::to_file(path, text.ended()),
    }
}

struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            bytes: [0; LINE],
            length: 0,
        }
    }
}

impl Line {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn ended(&mut self) -> &[u8] {
        let end = self.length.min(LINE - 1);
        self.bytes[end] = b'\n';
        self.length = end + 1;
        self.bytes()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.length == LINE - 1 {
                break;
            }
            // Names from files and certificates must not begin a line of their own.
            self.bytes[self.length] = if byte.is_ascii_control() { b'?' } else { byte };
            self.length += 1;
        }
        Ok(())
    }
}

macro_rules! warning { ($($t:tt)*) => { $crate::log::line($crate::config::Level::Warn, format_args!($($t)*)) } }
macro_rules! info { ($($t:tt)*) => { $crate::log::line($crate::config::Level::Info, format_args!($($t)*)) } }
macro_rules! debug { ($($t:tt)*) => { $crate::log::line($crate::config::Level::Debug, format_args!($($t)*)) } }
pub(crate) use {debug, info, warning};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_would_not_fit_and_has_no_control_characters() {
        let mut line = Line::default();
        write!(line, "a\nb\x1b{}", "x".repeat(3000)).expect("a line takes everything");
        let ended = line.ended();
        assert_eq!(ended.len(), LINE);
        assert!(ended.starts_with(b"a?b?xxx"));
        assert!(ended.ends_with(b"x\n"));
    }
}
