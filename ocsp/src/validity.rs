//! From when until when a response may be used.

use crate::fault::Fault;
use crate::limits::CLOCK_SKEW;
use crate::time::UnixTime;

/// When a response may be used: from the first moment up to, but without, the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: UnixTime,
    /// The first moment after it.
    pub until: UnixTime,
}

impl Validity {
    /// Whether it may be used `now`: from [`CLOCK_SKEW`] seconds before its start,
    /// since the responder's clock may be ahead, until `after_end` seconds after its
    /// end. Negative values count as 0.
    ///
    /// # Errors
    ///
    /// [`Fault::BadTimes`], [`Fault::NotYetValid`] or [`Fault::Expired`].
    pub fn check(&self, now: UnixTime, after_end: i64) -> Result<(), Fault> {
        let Validity { from, until } = *self;
        if until < from {
            return Err(Fault::BadTimes {
                this_update: from,
                next_update: until,
            });
        }
        if from > now.saturating_add(CLOCK_SKEW) {
            return Err(Fault::NotYetValid { from, now });
        }
        if now >= until.saturating_add(after_end.max(0)) {
            return Err(Fault::Expired { until, now });
        }
        Ok(())
    }

    /// Whether a server may staple it now: nothing goes out after its end.
    ///
    /// # Errors
    ///
    /// As [`Validity::check`].
    pub fn check_to_staple(&self, now: UnixTime) -> Result<(), Fault> {
        self.check(now, 0)
    }

    /// The part of it in which the certificate that signed the response is valid as
    /// well, up to `not_after`, its last second.
    #[must_use]
    pub fn cut_at(self, not_after: UnixTime) -> Validity {
        let end = not_after.saturating_add(1).max(self.from);
        Validity {
            until: self.until.min(end),
            ..self
        }
    }
}
