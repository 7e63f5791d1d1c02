//! SIGTERM and SIGINT end the agent, SIGHUP lets it read its configuration again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

use super::event::Event;

/// Sees to it that SIGTERM and SIGINT end the process at once until it listens to them, by what is
/// returned. They would by themselves, but in a container the agent is the first process, which
/// they pass by.
///
/// # Errors
///
/// If the handlers cannot be installed.
pub fn not_yet() -> io::Result<impl FnOnce(&Sender<Event>) -> io::Result<()>> {
    const FIRST: u32 = 1;
    let unheard = Arc::new(AtomicBool::new(true));
    if std::process::id() == FIRST {
        for signal in [SIGTERM, SIGINT] {
            // As a shell shows who ended by a signal.
            register_conditional_shutdown(signal, 128 + signal, Arc::clone(&unheard))?;
        }
    }
    Ok(move |events: &Sender<Event>| listen(&unheard, events))
}

/// Sends what signals ask for to `events`, from a thread of its own.
fn listen(unheard: &AtomicBool, events: &Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    unheard.store(false, Ordering::SeqCst);
    let events = events.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGHUP => Event::Reload,
                    other => Event::Stop(signal_name(other).unwrap_or("a signal")),
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
