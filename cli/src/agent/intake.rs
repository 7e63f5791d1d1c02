//! Certificates that were left or named, once they were examined: which are let in, and
//! what is told of the others.

use std::time::Instant;

use staplegun_ocsp::UnixTime;
use staplegun_store::files::Notes;
use staplegun_store::{Key, name};

use super::chain::Chain;
use super::daemon::Daemon;
use super::event::{Left, Listed};
use super::roster::{Quota, Room, Source};
use super::sentence::{Refusal, Standing};
use crate::fetch::Subject;

impl Daemon {
    /// Whether there is room for a certificate.
    pub(super) fn room(&self, key: &Key, source: Source) -> Room {
        let quota = Quota {
            users: self.settings.max_certificates,
            per_user: self.settings.max_certificates_per_user,
        };
        self.roster.room(key, source, &quota)
    }

    /// Lets a certificate in, or keeps it among those that are passed over.
    pub(super) fn let_in(&mut self, left: Left, now: UnixTime) {
        let Left {
            mut subject,
            source,
            mut notes,
            mut refusal,
            before,
        } = left;
        let key = subject.key();
        if let Some(known) = self.shelf.notes_mut(&key) {
            if subject.leaf.not_after() < now {
                // Out of use, and yet named: that is told.
                if notes.path.is_some() && known.path != notes.path {
                    known.path = notes.path;
                    self.keeper.write_notes(&key, known);
                }
                return;
            }
            self.follow_the_clock(now, Instant::now());
        }
        if !matches!(source, Source::User(_)) {
            self.learn_issuers(&subject);
        }
        if let Room::None(full) = self.room(&key, source) {
            refusal.get_or_insert(full);
        }
        // A file has one certificate: what it held before is told of no more.
        if let (Source::List, Some(path), None) = (source, &notes.path, &before.passed_over)
            && let Some(gone) = self.roster.passed_over.take_superseded(path, &key)
        {
            self.keeper.forget(&gone.subject.key());
        }
        if let Some(refusal) = refusal {
            self.pass_over(subject, source, refusal, notes, &before);
            return;
        }
        notes.passed_over = None;
        let (certificate, pem) = (subject.leaf.display_subject(), subject.to_pem());
        let is_intermediate = notes.intermediate;
        let chain = Chain::of(&subject, source).filter(|_| !is_intermediate);
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
            let is_strangers = watched.notes.left_by.is_some();
            if was_passed_over || is_renamed || is_intermediate || is_strangers {
                self.keeper.write_notes(&key, &watched.notes);
            }
        }
        self.note_chain(chain);
        // A response for it may have been brought before it was known.
        self.dropped.insert(key);
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
        let is_looked_after = self.roster.contains(&key);
        if is_looked_after || !self.roster.passed_over.may_keep(&key, &notes) {
            return;
        }
        if notes == *before {
            self.roster.passed_over.keep(subject, notes);
            return;
        }
        let (certificate, pem) = (subject.leaf.display_subject(), subject.to_pem());
        self.roster.passed_over.keep(subject, notes.clone());
        self.keeper.write_certificate(&key, pem);
        self.keeper.write_notes(&key, &notes);
        let cause = refusal.cause();
        let standing = Standing::PassedOver {
            refusal,
            left_by: notes.left_by,
            path: notes.path,
        };
        if !standing.needs_operator() {
            tracing::info!(%certificate, cause, "nothing is stapled for it: {standing}");
        } else if !matches!(source, Source::User(_)) {
            tracing::warn!(%certificate, cause, "nothing is stapled for it: {standing}");
        }
    }

    /// The operator wants a certificate looked after no more: nothing is left of it.
    pub(super) fn remove(&mut self, key: &Key) {
        self.roster.remove(key);
        self.forget_in_fleet(key);
        self.shelf.remove(key);
        self.keeper.forget(key);
        // Should it be named again, its file is read again.
        self.again.certificates.insert(*key);
        tracing::info!(key = %name::of_key(key), "removed, as the operator wants it");
    }

    /// The operator's list was looked at. True if the directories have to be looked at once
    /// more.
    pub(super) fn listed(&mut self, listed: Listed) -> bool {
        let Listed { list, is_new, .. } = listed;
        // Not at the start: then everything is asked for when it is due.
        let before = self.list.replace(list);
        if list.is_some() && before.is_some_and(|before| before != list) {
            self.ask_at_once();
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use staplegun_ocsp::Unstapled;
    use staplegun_store::files::Files;
    use staplegun_testkit::{Directory, Spec};

    use super::*;
    use crate::agent::roster::Watched;
    use crate::agent::testing::certificate;

    #[test]
    fn of_the_operators_list_only_the_files_with_what_was_removed_are_read_again() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        daemon.remove(&[7; 32]);
        assert!(!daemon.again.all);
        assert!(daemon.again.certificates.iter().eq(&[[7; 32]]));
    }

    const PATH: &str = "/etc/ssl/site.pem";

    fn listed(subject: Subject, refusal: Option<Refusal>) -> Left {
        Left {
            subject,
            source: Source::List,
            notes: Notes {
                path: Some(PATH.to_owned()),
                ..Notes::default()
            },
            refusal,
            before: Notes::default(),
        }
    }

    #[test]
    fn what_is_put_by_stays_so_while_it_has_expired_and_comes_back_if_the_clock_was_wrong() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let subject = certificate(&Spec::server());
        let (key, last) = (subject.key(), subject.leaf.not_after());
        let put_by = Watched::new(subject.clone(), Notes::default());
        daemon.shelf.put(put_by, Instant::now());
        let refusal = Refusal::Itself(Unstapled::Expired { not_after: last });
        daemon.let_in(listed(subject.clone(), Some(refusal)), last + 1);
        let path = |daemon: &mut Daemon| daemon.shelf.notes_mut(&key)?.path.clone();
        assert_eq!(path(&mut daemon).as_deref(), Some(PATH), "it is named");
        assert!(daemon.roster.passed_over.get(&key).is_none());
        daemon.let_in(listed(subject, None), last);
        assert!(daemon.roster.contains(&key));
        assert_eq!(daemon.shelf.iter().count(), 0);
    }

    #[test]
    fn notes_of_what_is_put_by_are_written_again_only_where_it_is_named_anew() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        daemon
            .keeper
            .open_files(&daemon.layout, true)
            .expect("there are threads");
        let subject = certificate(&Spec::server());
        let (key, last) = (subject.key(), subject.leaf.not_after());
        let notes = Notes {
            path: Some(PATH.to_owned()),
            ..Notes::default()
        };
        daemon
            .shelf
            .put(Watched::new(subject.clone(), notes), Instant::now());
        let refusal = || Some(Refusal::Itself(Unstapled::Expired { not_after: last }));
        // A program leaves it, and the operator names it where he did.
        let mut left = listed(subject.clone(), refusal());
        (left.source, left.notes.path) = (Source::Trusted, None);
        daemon.let_in(left, last + 1);
        assert_eq!(
            daemon.shelf.notes_mut(&key).and_then(|it| it.path.clone()),
            Some(PATH.to_owned())
        );
        daemon.let_in(listed(subject, refusal()), last + 1);
        let layout = daemon.layout.clone();
        drop(daemon);
        let notes = Files::new(layout.lasting()).notes(&key);
        assert_eq!(notes.expect("it can be read"), None);
    }
}
