//! What comes from outside: certificates from the spool and the list, responses
//! that other tools left in `staples/`. None of it is believed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use staplegun_store::files::Notes;
use staplegun_store::spool::Taken;
use staplegun_store::{Key, name};

use super::clock;
use super::daemon::Daemon;
use super::fill::said;
use super::list;
use super::outcome::Origin;
use super::roster::{PassedOver, Quota, Source};
use super::sentence::Refusal;
use super::stamp;
use crate::fetch::{self, Kind, Staple, Subject, responders_of};

impl Daemon {
    /// None if the certificate's issuer is not known.
    fn judged(&mut self, key: &Key, der: &[u8]) -> Option<Result<Staple, Kind>> {
        let watched = self.roster.get_mut(key)?;
        let issuer = watched.subject.issuer()?;
        Some(fetch::judge(der, issuer, clock::now(), &self.manner.policy))
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
        let certificates = certificates.into_iter().map(<[u8]>::to_vec).collect();
        let subject =
            Subject::new(certificates, &self.issuers).map_err(|error| format!("{error:#}"))?;
        if subject.key() != taken.key {
            return Err("it holds another certificate than its name says".into());
        }
        let own = rustix::process::geteuid().as_raw();
        let source = match taken.uid {
            uid if uid == 0 || uid == own => Source::Trusted,
            uid => Source::User(uid),
        };
        match self.let_in(subject, source, None, Notes::default()) {
            // Told with the others of this pass.
            Err(refusal) if matches!(source, Source::User(_)) && refusal.needs_operator() => {
                Err(refusal.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Examines again what was passed over: the configuration may be another now.
    pub(super) fn examine_again(&mut self, passed_over: PassedOver) {
        let PassedOver { subject, notes } = passed_over;
        let path = notes.path.as_deref().map(PathBuf::from);
        let source = match (notes.left_by, &path) {
            (Some(uid), _) => Source::User(uid),
            (None, Some(_)) => Source::List,
            (None, None) => Source::Trusted,
        };
        let _ = self.let_in(subject, source, path.as_deref(), notes);
    }

    /// Lets a certificate in, or keeps it among those that are passed over. `path` is
    /// the file by which the operator named it; `notes` what was known of it before.
    fn let_in(
        &mut self,
        mut subject: Subject,
        source: Source,
        path: Option<&Path>,
        mut notes: Notes,
    ) -> Result<(), Refusal> {
        let key = subject.key();
        let quota = Quota {
            total: self.settings.max_certificates,
            per_user: self.settings.max_certificates_per_user,
        };
        let has_responder = !responders_of(&subject, &self.manner.overrides).is_empty();
        let trust = &self.trust;
        let trusted = || trust.covers(&subject.ders());
        let now = clock::now();
        let examined = self
            .roster
            .examine(&subject, source, has_responder, trusted, &quota, now);
        let before = notes.clone();
        if let Some(path) = path {
            notes.path = Some(path.display().to_string());
        }
        if let Err(refusal) = examined {
            self.pass_over(subject, source, refusal, notes, &before);
            return Err(refusal);
        }
        notes.passed_over = None;
        let (certificate, pem) = (subject.leaf.display_subject(), subject.to_pem());
        subject.let_go();
        let was_passed_over = before.passed_over.is_some();
        let named_by = notes.path.clone();
        if self.roster.admit(subject, source, notes, Instant::now()) {
            tracing::info!(%certificate, key = %name::of_key(&key), ?source, "looking after it");
            self.keeper.write_certificate(&key, pem);
        }
        if let Some(watched) = self.roster.get_mut(&key) {
            let is_renamed = named_by.is_some() && watched.notes.path != named_by;
            if is_renamed {
                watched.notes.path = named_by;
            }
            // A stranger's is counted also if the agent ends before it has asked.
            if was_passed_over || is_renamed || watched.notes.left_by.is_some() {
                self.keeper.write_notes(&key, &watched.notes);
            }
        }
        Ok(())
    }

    fn pass_over(
        &mut self,
        subject: Subject,
        source: Source,
        refusal: Refusal,
        mut notes: Notes,
        before: &Notes,
    ) {
        let key = subject.key();
        notes.passed_over = Some(refusal.cause().to_owned());
        if let Source::User(uid) = source {
            notes.left_by = Some(uid);
        }
        let (certificate, pem) = (subject.leaf.display_subject(), subject.to_pem());
        let is_news = notes != *before;
        if !self.roster.pass_over(subject, notes.clone()) || !is_news {
            return;
        }
        self.keeper.write_certificate(&key, pem);
        self.keeper.write_notes(&key, &notes);
        let cause = refusal.cause();
        if !refusal.needs_operator() {
            tracing::info!(%certificate, cause, "nothing is stapled for it: it {refusal}");
        } else if !matches!(source, Source::User(_)) {
            tracing::warn!(%certificate, cause, "nothing is stapled for it: {refusal}");
        }
    }

    /// Looks at what the operator named.
    pub(super) fn take_listed(&mut self) {
        let paths = list::read(&self.layout).unwrap_or_else(|error| {
            tracing::error!(cause = "list", "{error:#}");
            Vec::new()
        });
        for (path, subject) in self.listed.look(&paths, &self.issuers) {
            // Why not is kept with it.
            let _ = self.let_in(subject, Source::List, Some(&path), Notes::default());
        }
        let failed = self.listed.failed().iter();
        let failed = failed.map(|(path, why)| (path.display().to_string(), why.clone()));
        self.unreadable.update(failed.collect());
        // `staplegun add` writes the list, whatever it names.
        let list = stamp::of_file(&list::path(&self.layout));
        if std::mem::replace(&mut self.list, list) != list && self.list.is_some() {
            self.ask_at_once();
        }
    }

    /// Looks for responses in `staples/` that are not what the agent wrote there:
    /// somebody brought a better one, or it was damaged or removed.
    pub(super) fn take_dropped(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.take_dropped_one(&key);
        }
    }

    fn take_dropped_one(&mut self, key: &Key) {
        // What is being written takes its place anyway.
        if self.keeper.is_writing_response(key) {
            return;
        }
        let stamp = stamp::of_response(&self.layout, key);
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        if watched.stamp == stamp {
            return;
        }
        let files = self.keeper.files();
        let found = match files.map_or(Ok(None), |files| files.staples.read(key)) {
            Ok(found) => found,
            Err(error) if error.is_for_good() => said(Err(error)),
            Err(error) => {
                // It may tell a revocation: it stays, and is looked at again.
                if watched.unread != stamp {
                    tracing::error!(
                        cause = "store",
                        "{error}; the agent's user must be able to read it: chmod 644"
                    );
                }
                watched.unread = stamp;
                return;
            }
        };
        watched.stamp = stamp;
        let known = watched.known.as_ref();
        if found.as_deref() == known.map(|known| known.der.as_slice()) {
            return;
        }
        let judged = found.as_deref().and_then(|der| self.judged(key, der));
        match judged {
            Some(Ok(staple)) => {
                if let Err(full) = self.accept(key, staple, Origin::File) {
                    tracing::error!(cause = "map", "{full}");
                }
            }
            Some(Err(kind)) => {
                let failure = fetch::Failure::at("", kind);
                tracing::warn!(
                    key = %name::of_key(key),
                    cause = failure.cause(),
                    "refused the response in staples/: {failure}"
                );
            }
            None => {}
        }
        self.restore(key);
    }

    /// Puts what is in use back into `staples/`, unless it lies there or the file
    /// that was judged has been replaced meanwhile: then that one is judged first.
    fn restore(&mut self, key: &Key) {
        if let Some(watched) = self.roster.get_mut(key)
            && let Some(known) = &watched.known
            && watched.stamp == stamp::of_response(&self.layout, key)
        {
            let files = self.keeper.files();
            let there = files.and_then(|files| said(files.staples.read(key)));
            let wanted = Some(known.der.as_slice()).filter(|der| !der.is_empty());
            match wanted {
                wanted if there.as_deref() == wanted => {}
                Some(der) => self.keeper.write_response(key, der),
                // What is there is no evidence of the revocation that is known.
                None => self.keeper.remove_response(key),
            }
        }
    }
}
