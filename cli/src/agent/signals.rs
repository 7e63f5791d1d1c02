//! SIGTERM and SIGINT end the agent, SIGHUP lets it read its configuration again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::Signals;

use super::event::Event;

/// Until [`start`]: SIGTERM and SIGINT end the process at once.
#[derive(Debug)]
pub struct Unheard(Arc<AtomicBool>);

/// Sees to it that signals end the process until it listens to them. They would by themselves,
/// but in a container the agent is the first process, which they pass by.
///
/// # Errors
///
/// If the handlers cannot be installed.
pub fn not_yet() -> std::io::Result<Unheard> {
    const FIRST: u32 = 1;
    let unheard = Arc::new(AtomicBool::new(true));
    if std::process::id() == FIRST {
        for signal in [SIGTERM, SIGINT] {
            // As a shell shows who ended by a signal.
            register_conditional_shutdown(signal, 128 + signal, Arc::clone(&unheard))?;
        }
    }
    Ok(Unheard(unheard))
}

/// Sends what signals ask for to `events`, from a thread of its own.
///
/// # Errors
///
/// If the handlers cannot be installed.
pub fn start(Unheard(unheard): Unheard, events: &Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    unheard.store(false, Ordering::SeqCst);
    let events = events.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGHUP => Event::Reload,
                    SIGINT => Event::Stop("SIGINT"),
                    _ => Event::Stop("SIGTERM"),
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
