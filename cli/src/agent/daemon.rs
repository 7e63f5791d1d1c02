//! Everything that the agent's main thread has. It alone changes anything; what it does stands
//! with what that is about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::files::Stamp;
use staplegun_store::layout::Layout;

use super::chains::Chains;
use super::clock;
use super::counters::Counters;
use super::forgiving::Mistake;
use super::keeper::Keeper;
use super::lister::Again;
use super::responders::Ledger;
use super::roster::Roster;
use super::round::Round;
use super::settings::Settings;
use super::shelf::Shelf;
use super::survey::Surveying;
use crate::fetch::{Issuers, Manner};
use crate::fleet::Fleet;

/// Everything that the main thread has.
pub struct Daemon {
    pub(super) layout: Layout,
    pub(super) settings: Settings,
    pub(super) manner: Arc<Manner>,
    pub(super) issuers: Arc<Issuers>,
    pub(super) keeper: Keeper,
    pub(super) roster: Roster,
    pub(super) ledger: Ledger,
    pub(super) shelf: Shelf,
    /// The chains whose intermediates are to be looked after, too.
    pub(super) chains: Chains,
    pub(super) counters: Counters,
    /// What other agents fetched, if there is a fleet.
    pub(super) fleet: Option<Fleet>,
    /// Whose files in `staples/` are still to be looked at: these first,
    pub(super) dropped: BTreeSet<Key>,
    /// then everybody's.
    pub(super) by_their_files: Round,
    /// For whom is still to be looked at what the wall clock ends and begins,
    pub(super) by_the_clock: Round,
    /// and who wants a response, which is asked for at once.
    pub(super) by_their_wants: Round,
    /// How everything stands, for whoever wants to be told.
    pub(super) surveying: Surveying,
    /// What of the operator's list is to be read though it has not changed.
    pub(super) again: Again,
    /// The list's file as it was seen last; None: it was not looked at yet.
    pub(super) list: Option<Option<Stamp>>,
    /// When everything was looked at last: that tells of a file of metrics that nobody writes
    /// any more.
    pub(super) swept: UnixTime,
    /// What is wrong with the configuration, for whoever looks at the service.
    pub(super) complaint: Option<String>,
}

impl Daemon {
    /// Makes it of its parts.
    ///
    /// A file of trusted issuers that cannot be read does not count, and is told with
    /// the other `mistakes` of the configuration.
    pub fn new(
        layout: Layout,
        settings: Settings,
        mut mistakes: Vec<Mistake>,
        keeper: Keeper,
    ) -> Self {
        let (trust, untrusted) = settings.trust();
        mistakes.extend(untrusted);
        for mistake in &mistakes {
            tracing::error!(cause = "configuration", "{mistake}; it does not count");
        }
        Self {
            complaint: mistakes.first().map(|first| match mistakes.len() {
                1 => format!("the configuration has a mistake: {first}"),
                all => format!("the configuration has {all} mistakes, the first: {first}"),
            }),
            manner: Arc::new(settings.manner(trust)),
            issuers: Arc::default(),
            layout,
            settings,
            keeper,
            roster: Roster::default(),
            ledger: Ledger::default(),
            shelf: Shelf::default(),
            chains: Chains::default(),
            counters: Counters::default(),
            fleet: None,
            dropped: BTreeSet::new(),
            by_their_files: Round::default(),
            by_the_clock: Round::default(),
            by_their_wants: Round::default(),
            surveying: Surveying::default(),
            again: Again::default(),
            list: None,
            swept: clock::now(),
        }
    }

    /// Shows what may be stapled now in `live/`, if that is wanted.
    pub fn show_live(&mut self) {
        let is_wanted = self.settings.live_files;
        self.keeper.show_live(&self.layout, is_wanted);
    }

    /// What is done from time to time, whatever happens.
    pub(super) fn sweep(&mut self) {
        let (now, at) = (clock::now(), Instant::now());
        self.swept = now;
        self.follow_the_clock(now, at);
        self.by_the_clock.begin();
        self.keeper.drop_expired(now, at);
        self.drop_idle_intermediates();
        self.keeper.look_at_live();
    }

    /// What the service manager is told: `good`, unless something is wrong.
    pub(super) fn complaint<'a>(&'a self, good: &'a str) -> &'a str {
        self.complaint.as_deref().unwrap_or(good)
    }

    /// The configuration was read again.
    pub(super) fn configured(&mut self, read: anyhow::Result<(Settings, Arc<Manner>)>) {
        match read {
            Ok((settings, manner)) => {
                self.manner = manner;
                let before = std::mem::replace(&mut self.settings, settings);
                self.show_live();
                self.follow_chains(before.intermediates);
                self.complaint = None;
                // There may be a responder now where there was none.
                self.again.all = true;
                self.ask_at_once();
                tracing::info!("read the configuration again");
            }
            Err(error) => {
                let why = format!("{error:#}; the configuration stays as it was");
                tracing::error!(cause = "configuration", "{why}");
                self.complaint = Some(format!("the reload was refused: {why}"));
            }
        }
    }
}

#[cfg(test)]
impl Daemon {
    /// One with an empty store in that directory.
    pub(super) fn at(directory: &std::path::Path) -> Self {
        let layout = Layout::at(directory);
        let lock = staplegun_store::map::WriterLock::try_take(&layout.map());
        let keeper = Keeper::open_map(&layout, 1 << 20, lock.expect("nobody has it"));
        let keeper = keeper.expect("it can be made");
        Self::new(layout, Settings::default(), Vec::new(), keeper)
    }
}
