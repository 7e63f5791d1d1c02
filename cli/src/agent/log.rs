//! The agent's log: one line for each event, to standard error.
//!
//! Under systemd each line begins with its priority (sd-daemon(3)) and bears no
//! time, since the journal adds its own.
//!
//! What others wrote stands in it as one value or within the message, so that nobody's
//! certificate or answer makes fields or lines of its own. And lines of one kind and
//! cause are written for as long as they are few: a responder that fails without end,
//! or a user who wants it so, fills no disk.

use std::fmt::{self, Debug, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::complain::is_journal;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::log_limits::Limits;

/// Starts to log, unless it was started before. Who wants every step gets every line.
pub fn start(level: Level) {
    let format = Line {
        for_journal: is_journal(),
        limits: (level <= Level::INFO).then(Mutex::default),
    };
    // It fails when there is a log already: then that one stays.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would be told by a macro that panics when nobody reads standard error.
        .log_internal_errors(false)
        .event_format(format)
        .try_init();
    // A panic is an event like others: one line, with its priority.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let what = payload.downcast_ref::<&str>().copied();
        let what = what.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let what = what.unwrap_or("it says no more");
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(cause = "internal", %at, "panicked, which is a bug: {what:?}");
    }));
}

struct Line {
    for_journal: bool,
    limits: Option<Mutex<Limits>>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let mut said = Said::default();
        event.record(&mut said);
        if let Some(limits) = &self.limits {
            let mut limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
            let kind = (event.metadata().callsite(), said.cause);
            match limits.admit(kind, level, Instant::now()) {
                None => return Ok(()),
                Some(0) => {}
                Some(left_out) => {
                    let _ = write!(said.fields, " left_out={left_out}");
                }
            }
        }
        if self.for_journal {
            write!(writer, "<{}>", priority(level))?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " staplegun {level:>5} ")?;
        }
        writeln!(writer, "{}{}", said.message, said.fields)
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
    cause: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = message(&text);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.fields, " {}={}", field.name(), one_value(text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "cause" {
            value.clone_into(&mut self.cause);
        }
        self.record_debug(field, &value);
    }
}

/// A value that a reader takes for one: as it is, or in quotation marks.
fn one_value(text: String) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"\\=".contains(c);
    if (!text.is_empty() && text.chars().all(is_plain)) || is_quoted(&text) {
        text
    } else {
        format!("{text:?}")
    }
}

/// Whether it stands in quotation marks already, whose end is its own.
fn is_quoted(text: &str) -> bool {
    let inside = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let mut is_escaped = false;
    let ends_early = |c: char| {
        let ends = (c == '"' && !is_escaped) || c.is_control();
        is_escaped = c == '\\' && !is_escaped;
        ends
    };
    inside.is_some_and(|inside| !inside.chars().any(ends_early)) && !is_escaped
}

/// A message on one line, in which no word looks like a field.
fn message(text: &str) -> String {
    let mut message = String::new();
    let mut could_be_name = true;
    for c in text.chars() {
        match c {
            // Writing to a String cannot fail.
            '=' if could_be_name && !message.ends_with(' ') => message += "\\u{3d}",
            c if c.is_control() => message.extend(c.escape_debug()),
            c => message.push(c),
        }
        could_be_name = c.is_whitespace()
            || (could_be_name && (c.is_ascii_alphanumeric() || "_-.".contains(c)));
    }
    message
}

/// syslog's number.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_value_whatever_stands_in_it() {
        for (text, written) in [
            ("redis.example", "redis.example"),
            ("http://127.0.0.1:8888/", "http://127.0.0.1:8888/"),
            ("User(65534)", "User(65534)"),
            ("\"in quotes\"", "\"in quotes\""),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a cause=\"revoked\"", "\"a cause=\\\"revoked\\\"\""),
            (
                "\"x\" cause=\"revoked\"",
                "\"\\\"x\\\" cause=\\\"revoked\\\"\"",
            ),
            ("\"half\\\"", "\"\\\"half\\\\\\\"\""),
            ("line\nfeed", "\"line\\nfeed\""),
        ] {
            assert_eq!(one_value(text.to_owned()), written);
        }
    }

    #[test]
    fn no_word_of_a_message_looks_like_a_field_and_it_stays_on_its_line() {
        for (text, written) in [
            ("no answer: http://a/?x=y", "no answer: http://a/?x=y"),
            ("set redirects = true", "set redirects = true"),
            ("it says cause=\"x\"", "it says cause\\u{3d}\"x\""),
            ("key=1", "key\\u{3d}1"),
            ("a\nWARN b", "a\\nWARN b"),
        ] {
            assert_eq!(message(text), written);
        }
    }

    #[test]
    fn the_journal_is_told_how_bad_a_line_is() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];
        // LOG_ERR, LOG_WARNING, LOG_INFO and LOG_DEBUG of syslog(3).
        assert_eq!(levels.map(priority), [3, 4, 6, 7]);
    }
}
