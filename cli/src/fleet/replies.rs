//! What the store answered, and what follows from it for the certificate that it is about.

use std::time::{Duration, Instant};

use staplegun_store::{Key, name};

use super::ask::{self, Said};
use super::course::Answer;
use super::judging::{NotTaken, hex, judge};
use super::link::For;
use super::rank;
use super::resp::Value;
use super::trouble::Trouble;
use super::word::{Seen, Word};
use super::work::Work;
use crate::fetch::Staple;

/// How long notices about a certificate are passed over after one that led to nothing.
const WARY: Duration = Duration::from_secs(10);

impl Work {
    /// What a command that was sent came to.
    ///
    /// # Errors
    ///
    /// If it is what makes the store useless.
    pub(super) fn replied(&mut self, what: For, reply: Value) -> Result<(), Trouble> {
        let at = self.at();
        let is_about_one = ask::is_about_one(&reply);
        if is_about_one {
            self.counters.refuse("other_keys");
        }
        match (what, reply) {
            (For::Due(key), _) if is_about_one => {
                if self.desk.expects(&key, false) {
                    self.desk.passed_over(&key, at);
                }
                Ok(())
            }
            (For::Seen(key), _) if is_about_one => {
                self.seen.remove(&key);
                Ok(())
            }
            (For::Nothing, Value::Error(text)) if !is_about_one => Err(Trouble::of_error(&text)),
            (For::Nothing, _) => Ok(()),
            (For::Due(key), reply) => {
                let said = ask::said(reply)?;
                if self
                    .desk
                    .expects(&key, said == Said::Answer(Answer::Leased))
                {
                    self.said_of_due(&key, said);
                }
                Ok(())
            }
            (For::Seen(key), reply) => {
                let said = ask::said(reply)?;
                self.said_of_seen(&key, said);
                Ok(())
            }
        }
    }

    fn said_of_due(&mut self, key: &Key, said: Said) {
        let at = self.at();
        let value = match said {
            Said::Answer(answer) => {
                self.desk.answered(key, answer, at);
                return;
            }
            Said::Value(value) => value,
        };
        let Some((_, question)) = self.desk.question(key) else {
            return;
        };
        let (subject, manner) = (&question.subject, &question.manner);
        if subject.issuer().is_none() {
            // It has to be found first, which a fetch does.
            self.desk.passed_over(key, at);
            return;
        }
        match judge(&value, subject, manner, self.desk.known(key)) {
            Ok(staple) => {
                if self.desk.answered(key, Answer::Better, at) {
                    self.took(key, staple, true);
                }
            }
            // In a store that is only read it is as if there were none.
            Err(NotTaken::NotNewer) if self.rules.only_takes => {
                self.desk.answered(key, Answer::Nothing, at);
            }
            Err(why) => {
                self.refused(key, &why);
                let digest = hex(&openssl::sha::sha1(&value));
                self.desk.answered(key, Answer::Refused(digest), at);
            }
        }
    }

    fn said_of_seen(&mut self, key: &Key, said: Said) {
        let Some(Seen {
            subject,
            manner,
            known,
        }) = self.seen.remove(key)
        else {
            return;
        };
        let Said::Value(value) = said else {
            if known.is_some() {
                self.tell(Word::Lacks(*key));
            }
            return;
        };
        if subject.issuer().is_none() {
            return;
        }
        match judge(&value, &subject, &manner, known) {
            Ok(staple) => {
                self.wary.remove(key);
                let is_over = self.desk.settle(key, self.at());
                self.took(key, staple, is_over);
            }
            Err(NotTaken::NotNewer) => {
                let rank = rank::split(&value).map(|(rank, _)| rank);
                if known > rank {
                    self.tell(Word::Lacks(*key));
                }
            }
            Err(why) => {
                self.refused(key, &why);
                self.wary.insert(*key, Instant::now() + WARY);
            }
        }
    }

    fn took(&mut self, key: &Key, staple: Staple, is_over: bool) {
        self.tell(Word::Took {
            key: *key,
            staple,
            is_over,
        });
    }

    fn refused(&self, key: &Key, why: &NotTaken) {
        self.counters.refuse(why.cause());
        tracing::warn!(
            key = %name::of_key(key),
            cause = "fleet",
            because = why.cause(),
            "passed over what the fleet's store holds: {why}"
        );
    }
}
