//! SIGTERM and SIGINT end the agent, SIGHUP lets it read its configuration again.

use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::event::Event;

/// Sends what signals ask for to `events`, from a thread of its own.
///
/// # Errors
///
/// If the handlers cannot be installed.
pub fn start(events: &Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
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
