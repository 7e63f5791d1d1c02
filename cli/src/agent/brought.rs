//! Responses that others left in `staples/`. None of them is believed: they are judged, on
//! the thread that empties the spool, as an answer of a responder is.

use std::sync::Arc;

use staplegun_ocsp::Policy;
use staplegun_store::{Key, name};

use super::clock;
use super::daemon::Daemon;
use super::expiry;
use super::fill::said;
use super::outcome::Origin;
use super::stamp;
use crate::fetch::{self, Kind, Staple, Subject};

/// A response that somebody brought, to be judged.
#[derive(Debug)]
pub struct Brought {
    subject: Arc<Subject>,
    der: Vec<u8>,
}

/// What it is worth.
#[derive(Debug)]
pub struct Judged {
    key: Key,
    judgement: Result<Staple, Kind>,
}

impl Brought {
    /// Judges it, which takes cryptography. None if the certificate's issuer is not known.
    pub fn judge(self, policy: &Policy) -> Option<Judged> {
        let issuer = self.subject.issuer()?;
        Some(Judged {
            key: self.subject.key(),
            judgement: fetch::judge(&self.der, issuer, clock::now(), policy),
        })
    }
}

impl Daemon {
    /// Looks whether the response in `staples/` is what the agent wrote there: somebody may
    /// have brought a better one, or it was damaged or removed. What is to be judged is
    /// given back; [`Daemon::judged`] follows.
    pub(super) fn look_at_response(&mut self, key: &Key) -> Option<Brought> {
        // What is being written takes its place anyway.
        if self.keeper.is_writing_response(key) {
            return None;
        }
        let stamp = stamp::of_response(&self.layout, key);
        let watched = self.roster.get_mut(key)?;
        // Without an issuer nothing can be told of it: it waits for him.
        if watched.stamp == stamp || watched.subject.issuer().is_none() {
            return None;
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
                return None;
            }
        };
        watched.stamp = stamp;
        watched.refused_but_at = None;
        let known = watched.known.as_ref();
        if found.as_deref() == known.map(|known| known.der.as_slice()) {
            return None;
        }
        let subject = Arc::clone(&watched.subject);
        let brought = found.map(|der| Brought { subject, der });
        if brought.is_none() {
            self.restore(key);
        }
        brought
    }

    /// A response that was brought has been judged. Since then the certificate may have
    /// gone, or another response have come: it is weighed against what is known now.
    pub(super) fn judged(&mut self, judged: Judged) {
        let Judged { key, judgement } = judged;
        match judgement {
            Ok(staple) => {
                if let Err(full) = self.accept(&key, staple, Origin::File) {
                    tracing::error!(key = %name::of_key(&key), cause = "map", "{full}");
                }
            }
            Err(Kind::Early { staple, fault }) => {
                tracing::info!(key = %name::of_key(&key), "kept until its time comes: {fault}");
                self.keep_until_its_time(&key, *staple);
            }
            Err(kind) => {
                if let Some(watched) = self.roster.get_mut(&key) {
                    watched.refused_but_at = expiry::refused_but_at(&kind, clock::now());
                }
                let failure = fetch::Failure::at("", kind);
                tracing::warn!(
                    key = %name::of_key(&key),
                    cause = failure.cause(),
                    "refused the response in staples/: {failure}"
                );
            }
        }
        self.restore(&key);
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
            let early = watched.early.as_ref().map(|early| early.der.clone());
            match wanted {
                wanted if there.as_deref() == wanted => {}
                // It is taken when its time has come, by the next agent too.
                _ if there == early => {}
                Some(der) => self.keeper.write_response(key, der),
                // What is there is no evidence of the revocation that is known.
                None => self.keeper.remove_response(key),
            }
        }
    }
}
