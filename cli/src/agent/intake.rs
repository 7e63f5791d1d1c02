//! What comes from outside: certificates from the store, the spool and the list,
//! responses that other tools left in `staples/`. None of it is believed.

use std::time::{Duration, Instant};

use staplegun_store::files::Notes;
use staplegun_store::layout::Layout;
use staplegun_store::slots::{State, Summary};
use staplegun_store::spool::Taken;
use staplegun_store::{Key, name};

use super::clock;
use super::daemon::Daemon;
use super::list;
use super::outcome::Origin;
use super::roster::{Quota, Refusal, Source};
use super::stamp::Stamp;
use crate::fetch::{self, Kind, Staple, Subject, responders_of};

impl Daemon {
    /// Reads what an earlier agent left, verifies it again, and fills the map.
    pub fn fill(&mut self) {
        let in_map = self.keeper.in_map();
        let mut stapled = 0usize;
        for key in self.keeper.keys() {
            if self.fill_one(&key, in_map.get(&key)) {
                stapled += 1;
            }
            // Judged now: looked at again only when somebody changes the file.
            let stamp = stamp(&self.layout, &key);
            if let Some(watched) = self.roster.get_mut(&key) {
                watched.stamp = stamp;
            }
        }
        let certificates = self.roster.iter().count();
        tracing::info!(certificates, stapled, "filled the live map from the store");
    }

    /// True if there is a response to be stapled.
    fn fill_one(&mut self, key: &Key, in_map: Option<&Summary>) -> bool {
        let (now, at) = (clock::now(), Instant::now());
        let Some(subject) = self.stored(key) else {
            return false;
        };
        if subject.leaf.not_after() < now {
            self.keeper.forget(key);
            return false;
        }
        let mut notes = self.keeper.notes(key);
        // Whatever failed before the restart may work now.
        notes.failures = 0;
        let next = notes.next_refresh.unwrap_or(now).saturating_sub(now);
        self.roster.admit(subject, Source::Store, notes, at);
        let Some(staple) = self.stored_response(key) else {
            return false;
        };
        if !staple.is_good() {
            self.withdraw(key, staple, Origin::File);
            return false;
        }
        // Withdrawn, and the file tells not why: only the responder can undo it.
        let was_withdrawn = in_map.is_some_and(|known| known.state == State::Withdrawn);
        if was_withdrawn || !staple.is_fresh(now) {
            return false;
        }
        let last = staple.validity.until.saturating_sub(1);
        let is_better = in_map.is_none_or(|known| known.state != State::Good || known.until < last);
        if is_better && let Err(error) = self.keeper.staple(key, &staple) {
            tracing::error!(cause = "map", "{error}");
            return false;
        }
        if let Some(watched) = self.roster.get_mut(key) {
            let wait = Duration::from_secs(u64::try_from(next).unwrap_or(0));
            watched.due = at.checked_add(wait.min(self.settings.limits().longest_refresh));
            watched.known = Some(staple);
        }
        true
    }

    fn stored(&mut self, key: &Key) -> Option<Subject> {
        let pem = self.keeper.certificate(key)?;
        match Subject::from_bytes(&pem) {
            Ok(subject) if subject.key() == *key => Some(subject),
            Ok(_) => {
                tracing::warn!(
                    key = %name::of_key(key),
                    "passed over a file in certs/ that holds another certificate than its name says"
                );
                None
            }
            Err(error) => {
                tracing::warn!(key = %name::of_key(key), "passed over a file in certs/: {error:#}");
                None
            }
        }
    }

    /// The response in `staples/`, if it still counts.
    fn stored_response(&mut self, key: &Key) -> Option<Staple> {
        let der = self.keeper.response(key)?;
        match self.judged(key, &der)? {
            Ok(staple) => Some(staple),
            Err(kind) => {
                let failure = fetch::Failure::at("", kind);
                tracing::warn!(
                    key = %name::of_key(key),
                    cause = failure.cause(),
                    "passed over the response in staples/: {failure}"
                );
                None
            }
        }
    }

    /// None if the certificate's issuer is not known.
    fn judged(&mut self, key: &Key, der: &[u8]) -> Option<Result<Staple, Kind>> {
        let watched = self.roster.get_mut(key)?;
        let issuer = watched.subject.issuer()?;
        Some(fetch::judge(
            der,
            issuer,
            clock::now(),
            &self.manner.tolerance,
        ))
    }

    /// Takes what lies in the spool. False if there is more.
    pub(super) fn take_spool(&mut self) -> bool {
        let Some(spool) = &mut self.spool else {
            return true;
        };
        let pass = match spool.take(clock::now()) {
            Ok(pass) => pass,
            Err(error) => {
                tracing::error!(cause = "spool", "cannot read the spool: {error}");
                return true;
            }
        };
        self.counters.spool_refused += pass.refused.len() as u64;
        // One line for each kind of mischief, however often it was done.
        if let Some(first) = pass.refused.first() {
            tracing::warn!(
                files = pass.refused.len(),
                first = ?first.name,
                "refused what was left in the spool: {}",
                first.why
            );
        }
        let mut refused: Vec<(u32, String)> = Vec::new();
        for taken in pass.taken {
            if let Err(why) = self.take_from_spool(&taken) {
                self.counters.spool_refused += 1;
                refused.push((taken.uid, why));
            }
        }
        if let Some((uid, why)) = refused.first() {
            tracing::warn!(
                files = refused.len(),
                uid,
                "refused a certificate in the spool: {why}"
            );
        }
        pass.complete
    }

    fn take_from_spool(&mut self, taken: &Taken) -> Result<(), String> {
        let certificates = taken
            .certificates()
            .ok_or("it does not hold certificates in DER")?;
        let subject = Subject::new(&certificates).map_err(|error| format!("{error:#}"))?;
        if subject.key() != taken.key {
            return Err("it holds another certificate than its name says".into());
        }
        let own = rustix::process::geteuid().as_raw();
        let source = match taken.uid {
            uid if uid == 0 || uid == own => Source::Trusted,
            uid => Source::User(uid),
        };
        match self.let_in(subject, source) {
            Err(refusal) if refusal.is_notable() => Err(refusal.to_string()),
            Err(refusal) => {
                tracing::debug!(key = %name::of_key(&taken.key), "passed over: {refusal}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn let_in(&mut self, subject: Subject, source: Source) -> Result<(), Refusal> {
        let key = subject.key();
        let quota = Quota {
            total: self.settings.max_certificates,
            per_user: self.settings.max_certificates_per_user,
        };
        let has_responder = !responders_of(&subject, &self.manner.overrides).is_empty();
        let trust = &self.trust;
        let trusted = || trust.covers(&subject.ders());
        let now = clock::now();
        self.roster
            .examine(&subject, source, has_responder, trusted, &quota, now)?;
        let certificate = subject.leaf.display_subject();
        if self
            .roster
            .admit(subject, source, Notes::default(), Instant::now())
        {
            tracing::info!(%certificate, key = %name::of_key(&key), ?source, "looking after it");
            self.write_certificate(&key);
        }
        Ok(())
    }

    /// Looks at what the operator named.
    pub(super) fn take_listed(&mut self) {
        let paths = list::read(&self.layout).unwrap_or_else(|error| {
            tracing::error!(cause = "list", "{error:#}");
            Vec::new()
        });
        for subject in self.listed.look(&paths) {
            let certificate = subject.leaf.display_subject();
            if let Err(refusal) = self.let_in(subject, Source::List) {
                tracing::debug!(%certificate, "passed over: {refusal}");
            }
        }
    }

    /// Looks for responses in `staples/` that are not what the agent wrote there:
    /// somebody brought a better one, or it was damaged or removed.
    pub(super) fn take_dropped(&mut self) {
        let keys: Vec<Key> = self.roster.iter().map(|(key, _)| *key).collect();
        for key in keys {
            let stamp = stamp(&self.layout, &key);
            let Some(watched) = self.roster.get_mut(&key) else {
                continue;
            };
            if watched.stamp == stamp {
                continue;
            }
            watched.stamp = stamp;
            let known = watched.known.as_ref().map(|known| known.der.clone());
            let found = self.keeper.response(&key);
            if found == known {
                continue;
            }
            let judged = found.as_deref().and_then(|der| self.judged(&key, der));
            match judged {
                Some(Ok(staple)) => {
                    if let Err(full) = self.accept(&key, staple, Origin::File) {
                        tracing::error!(cause = "map", "{full}");
                    }
                }
                Some(Err(kind)) => {
                    let failure = fetch::Failure::at("", kind);
                    tracing::warn!(
                        key = %name::of_key(&key),
                        cause = failure.cause(),
                        "refused the response in staples/: {failure}"
                    );
                }
                None => {}
            }
            self.restore(&key);
        }
    }

    /// Puts what is in use back into `staples/`, unless the file that was judged
    /// has been replaced meanwhile: then that one is judged first.
    fn restore(&mut self, key: &Key) {
        if let Some(watched) = self.roster.get_mut(key)
            && let Some(known) = &watched.known
            && watched.stamp == stamp(&self.layout, key)
        {
            self.keeper.write_response(key, &known.der);
        }
    }
}

/// Which file lies in `staples/` under that name.
fn stamp(layout: &Layout, key: &Key) -> Option<Stamp> {
    let file = format!("{}.der", name::of_key(key));
    let about = std::fs::symlink_metadata(layout.lasting().join("staples").join(file)).ok()?;
    Some(Stamp::of(&about))
}
