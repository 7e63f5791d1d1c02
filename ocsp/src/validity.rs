//! From when until when a response may be used, and by whose clock.

use crate::fault::Fault;
use crate::time::UnixTime;
use crate::{CLOCK_SKEW, LIFE_WITHOUT_NEXT_UPDATE};

/// How far from the clock a response may lie, and how long it lives without
/// nextUpdate. All in seconds; negative values count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// How far thisUpdate may lie in the future.
    pub before_start: i64,
    /// How far nextUpdate may lie in the past.
    pub after_end: i64,
    /// Life after thisUpdate when there is no nextUpdate.
    pub life_without_next_update: i64,
}

impl Tolerance {
    /// For a server that is about to staple: the responder's clock may be
    /// ahead, but nothing expired goes out, since some clients allow no skew.
    pub const STAPLING: Tolerance = Tolerance {
        before_start: CLOCK_SKEW,
        after_end: 0,
        life_without_next_update: LIFE_WITHOUT_NEXT_UPDATE,
    };

    /// For a client that was given a staple: its own clock may be wrong either way.
    pub const RECEIVING: Tolerance = Tolerance {
        before_start: CLOCK_SKEW,
        after_end: CLOCK_SKEW,
        life_without_next_update: LIFE_WITHOUT_NEXT_UPDATE,
    };
}

/// When a response may be used: from the first moment up to, but without, the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: UnixTime,
    /// The first moment after it.
    pub until: UnixTime,
}

impl Validity {
    /// Whether `now` lies inside, give or take `skew` seconds at both ends. A
    /// server that is about to staple wants [`Validity::check_to_staple`].
    ///
    /// # Errors
    ///
    /// [`Fault::BadTimes`], [`Fault::NotYetValid`] or [`Fault::Expired`].
    pub fn check(&self, now: UnixTime, skew: i64) -> Result<(), Fault> {
        self.check_with(now, skew, skew)
    }

    /// Whether a server may staple it now: [`CLOCK_SKEW`] before the start and
    /// nothing after the end, as in [`Tolerance::STAPLING`].
    ///
    /// # Errors
    ///
    /// As [`Validity::check`].
    pub fn check_to_staple(&self, now: UnixTime) -> Result<(), Fault> {
        self.check_with(now, CLOCK_SKEW, 0)
    }

    /// The part of it in which the certificate of the delegated responder that
    /// signed the response is valid as well, up to `not_after`, its last second.
    #[must_use]
    pub fn cut_at(self, not_after: UnixTime) -> Validity {
        let end = not_after.saturating_add(1).max(self.from);
        Validity {
            until: self.until.min(end),
            ..self
        }
    }

    pub(crate) fn check_with(&self, now: UnixTime, before: i64, after: i64) -> Result<(), Fault> {
        self.check_order()?;
        let Validity { from, until } = *self;
        if from > now.saturating_add(before.max(0)) {
            return Err(Fault::NotYetValid { from, now });
        }
        if now >= until.saturating_add(after.max(0)) {
            return Err(Fault::Expired { until, now });
        }
        Ok(())
    }

    pub(crate) fn check_order(&self) -> Result<(), Fault> {
        if self.until < self.from {
            return Err(Fault::BadTimes {
                this_update: self.from,
                next_update: self.until,
            });
        }
        Ok(())
    }
}
