//! Waiting for the right to write the map, which another agent has.

use std::time::Duration;

use staplegun_store::map::{MapError, WriterLock};

use super::systemd::Manager;

/// How often is looked whether the other agent has ended.
const PAUSE: Duration = Duration::from_millis(500);

/// After so many looks one that is to end soon gives up, and any other tells that it stands by:
/// others hold the lock for a moment, to see whether there is an agent.
const LOOKS: u32 = 4;

/// Waits until `take` brings it. None if there is nothing to wait for: for one that `ends_soon`
/// the agent that has it does what was asked for, or it `is_over` with what this one was for.
pub fn wait(
    ends_soon: bool,
    mut take: impl FnMut() -> anyhow::Result<Result<WriterLock, MapError>>,
    is_over: impl Fn() -> bool,
    manager: &Manager,
) -> anyhow::Result<Option<WriterLock>> {
    let mut looks = 0;
    loop {
        let busy = match take()? {
            Ok(lock) => return Ok(Some(lock)),
            Err(busy) => busy,
        };
        looks += 1;
        match (looks, ends_soon) {
            (LOOKS, true) => {
                tracing::info!("{busy}: nothing to do");
                return Ok(None);
            }
            (LOOKS, false) => {
                tracing::info!("{busy}: standing by");
                manager.ready("standing by for another agent");
            }
            _ => {}
        }
        if is_over() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::agent::testing::logged;

    /// Whether it has the lock of which others let go before that look, and what it logged.
    fn waited(ends_soon: bool, free_at: u32) -> (bool, Vec<String>) {
        let directory = Directory::new();
        let map = directory.join("map");
        let mut others = Some(WriterLock::try_take(&map).expect("nobody has it"));
        let mut looks = 0;
        let take = || {
            looks += 1;
            anyhow::ensure!(looks <= 2 * LOOKS, "it waits without end");
            others.take_if(|_| looks == free_at);
            Ok(WriterLock::try_take(&map))
        };
        let mut has_it = false;
        let log = logged(|| {
            let lock = wait(ends_soon, take, || false, &Manager::from_environment());
            has_it = lock.expect("it can be looked at").is_some();
        });
        (has_it, log)
    }

    #[test]
    fn what_others_hold_for_a_moment_is_waited_for_without_a_word() {
        std::thread::scope(|scope| {
            for ends_soon in [true, false] {
                scope.spawn(move || assert_eq!(waited(ends_soon, LOOKS), (true, Vec::new())));
            }
        });
    }

    #[test]
    fn one_that_ends_soon_leaves_the_work_to_the_agent_that_is_there() {
        let (has_it, log) = waited(true, u32::MAX);
        assert!(!has_it);
        assert!(
            log.len() == 1 && log[0].contains("nothing to do"),
            "{log:?}"
        );
    }

    #[test]
    fn a_standby_tells_it_once_and_takes_over() {
        let (has_it, log) = waited(false, LOOKS + 2);
        assert!(has_it);
        assert!(log.len() == 1 && log[0].contains("standing by"), "{log:?}");
    }
}
