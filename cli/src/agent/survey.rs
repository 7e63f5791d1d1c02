//! How everything stands, for whoever asks. There may be so many certificates that they are looked
//! at in parts: each of them once, and all that is told of it is as it was then. What is made of it,
//! such as text, whoever asked makes himself.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use staplegun_ocsp::UnixTime;
use staplegun_store::map::Fill;

use super::counters::Counters;
use super::responders::{Demands, Responder};
use super::round::Round;
use super::tally::Tally;
use crate::fleet;

/// Who wants to be told.
pub type Asker = SyncSender<Arc<Survey>>;

/// How everything stands.
#[derive(Debug)]
pub struct Survey {
    /// When everything was looked at last.
    pub swept: UnixTime,
    /// What is counted.
    pub counters: Counters,
    /// How full the map is, and how many bytes it has.
    pub map: (Fill, usize),
    /// The certificates.
    pub tally: Tally,
    /// The responders that they name.
    pub responders: Vec<Responder>,
    /// What is counted of the fleet, if there is one.
    pub fleet: Option<Arc<fleet::Counters>>,
    /// How long the main thread worked for it.
    pub took: Duration,
}

/// One that is being made.
#[derive(Debug, Default)]
pub struct Surveying {
    /// Who is still to be looked at.
    pub round: Round,
    /// The others,
    pub tally: Tally,
    /// and their responders.
    pub demands: Demands,
    /// How long it took so far.
    pub took: Duration,
    /// Who is told then.
    pub askers: Vec<Asker>,
}

impl Surveying {
    /// Those are told, too: also of what was looked at before they asked.
    pub fn ask(&mut self, askers: impl IntoIterator<Item = Asker>) {
        self.askers.extend(askers);
        if self.round.is_over() && !self.askers.is_empty() {
            self.round.begin();
        }
    }
}
