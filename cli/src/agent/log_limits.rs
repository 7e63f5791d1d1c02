//! How many lines of one kind and cause are logged: many at once, and then a few for as
//! long as it goes on. The next line that is written tells how many were left out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::Level;
use tracing::callsite::Identifier;

/// A kind of line: the place in the source that writes it, and its cause.
pub type Kind = (Identifier, String);

/// Lines of trouble at once, and the time after which one more may be written.
const TROUBLE: (u32, Duration) = (100, Duration::from_secs(10));
/// The same for what goes as it should, of which there is one for each certificate.
const USUAL: (u32, Duration) = (1_000, Duration::from_secs(1));

/// What was written.
#[derive(Debug, Default)]
pub struct Limits {
    kinds: HashMap<Kind, Written>,
}

#[derive(Debug)]
struct Written {
    /// How many may be written yet, as of then.
    left: u32,
    as_of: Instant,
    left_out: u64,
}

impl Limits {
    /// Whether a line may be written at the time `at`: then how many were left out before
    /// it.
    pub fn admit(&mut self, kind: Kind, level: Level, at: Instant) -> Option<u64> {
        let (most, each) = if level <= Level::WARN { TROUBLE } else { USUAL };
        let written = self.kinds.entry(kind).or_insert(Written {
            left: most,
            as_of: at,
            left_out: 0,
        });
        let since = at.saturating_duration_since(written.as_of);
        let more = since.as_millis() / each.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more > 0 {
            written.left = written.left.saturating_add(more).min(most);
            written.as_of = at;
        }
        let Some(left) = written.left.checked_sub(1) else {
            written.left_out += 1;
            return None;
        };
        written.left = left;
        Some(std::mem::take(&mut written.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;
    use tracing::Callsite;

    #[test]
    fn what_goes_on_is_told_a_few_times_a_minute_and_hides_no_other_cause() {
        struct Place;
        impl Callsite for Place {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &tracing::Metadata<'_> {
                unreachable!("it is only pointed to")
            }
        }
        static PLACE: OnceLock<Place> = OnceLock::new();
        let place: &'static Place = PLACE.get_or_init(|| Place);
        let kind = |cause: &str| (Identifier(place), cause.to_owned());
        let mut limits = Limits::default();
        let start = Instant::now();
        let mut written = 0;
        for tenth in 0..6_000 {
            let at = start + Duration::from_millis(tenth * 100);
            written += u32::from(limits.admit(kind("timeout"), Level::WARN, at).is_some());
        }
        // In ten minutes.
        assert_eq!(written, 100 + 59);
        let end = start + Duration::from_secs(600);
        assert_eq!(limits.admit(kind("other"), Level::WARN, end), Some(0));
        let told = limits.admit(kind("timeout"), Level::WARN, end);
        assert!(told.is_some_and(|left_out| left_out > 0), "{told:?}");
    }
}
