//! `staplegun status --watch`: shows the store again and again, until it is interrupted or
//! nobody reads any more.

use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use staplegun_ocsp::time::Rfc3339;
use staplegun_store::layout::Layout;

use super::read::{self, Status};
use super::table;
use crate::agent::now;

/// To the upper left corner, and clears from there: no style, which is why no crate for
/// styles has it.
const FROM_THE_TOP: &str = "\x1b[H\x1b[J";

/// Shows the store each `pause`. The exit status is that of what was shown last.
///
/// # Errors
///
/// If the store cannot be read at first, or nobody reads what is shown.
pub fn run(layout: &Layout, pause: Duration) -> anyhow::Result<ExitCode> {
    let (interrupted, signals) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, signals.try_clone()?)?;
    }
    let mut status = read::read(layout, now())?;
    loop {
        show(&status)?;
        if is_over(&interrupted, pause)? {
            return Ok(status.exit_status());
        }
        status = read::read(layout, now())?;
    }
}

/// Waits; true if it is time to end.
fn is_over(interrupted: &UnixStream, pause: Duration) -> io::Result<bool> {
    let end = Instant::now() + pause;
    let out = io::stdout();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // Of the output only that its reader has gone.
        let mut ends = [
            PollFd::new(interrupted, PollFlags::IN),
            PollFd::new(&out, PollFlags::empty()),
        ];
        match poll(&mut ends, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(false),
            Ok(_) if !ends[0].revents().is_empty() => return Ok(true),
            Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Those that need a person come first: what has no room on the terminal is cut off.
fn show(status: &Status) -> io::Result<()> {
    let mut shown = Vec::new();
    table::print(&mut shown, status, table::Order::NeedyFirst)?;
    let shown = String::from_utf8_lossy(&shown);
    let mut out = anstream::stdout();
    let heading = format!("{}, until interrupted", Rfc3339(now()));
    let is_terminal = io::stdout().is_terminal() && std::env::var_os("TERM") != Some("dumb".into());
    if !is_terminal {
        writeln!(out, "{heading}\n{shown}")?;
        return out.flush();
    }
    // As it is: a terminal without colors has a corner, too.
    write!(io::stdout(), "{FROM_THE_TOP}")?;
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let size = size.ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    let (rows, columns) = size.map_or((usize::MAX, usize::MAX), |size| {
        (usize::from(size.ws_row), usize::from(size.ws_col))
    });
    write!(
        out,
        "{heading}\n{}",
        cut(&shown, rows.saturating_sub(2), columns)
    )?;
    out.flush()
}

/// As many of the lines as have room, and how many have not.
fn cut(text: &str, rows: usize, columns: usize) -> String {
    let mut left = rows;
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = 0;
    for line in &lines {
        let width = anstream::adapter::strip_str(line)
            .to_string()
            .chars()
            .count();
        let Some(rest) = left.checked_sub(width.div_ceil(columns).max(1)) else {
            break;
        };
        left = rest;
        kept += 1;
    }
    if kept == lines.len() {
        return text.to_owned();
    }
    // One for saying so.
    let kept = kept.saturating_sub(1);
    let more = lines.len() - kept;
    let lines: String = lines[..kept]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    format!("{lines}... and {more} lines more: staplegun status shows all\n")
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_has_no_room_is_cut_and_counted_whatever_its_colors() {
        let text = "a\n\x1b[1mbb\x1b[0m\nccccc\nd\n";
        assert_eq!(cut(text, 4, 80), text);
        assert_eq!(cut(text, 5, 3), text, "the third takes two");
        let cut_off = cut(text, 4, 3);
        assert!(
            cut_off.starts_with("a\n\x1b[1mbb\x1b[0m\n... and 2 lines more"),
            "{cut_off:?}"
        );
    }
}
