//! The commands that the store is given, and what its replies mean. What must not be torn
//! apart is one script, which the store runs as a whole.

use std::time::Duration;

use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::name;

use super::course::{Answer, Digest};
use super::keys::{Keys, Part};
use super::rank::{self, LENGTH, Rank, TIME_LENGTH};
use super::resp::{self, Value};
use super::trouble::Trouble;

/// Looks for a newer response; if there is none and nobody should wait, takes the lease.
const LOOK: &str = "\
local r = redis.call('GET', KEYS[1])
if r and string.sub(r, 1, 12) <= ARGV[4] and string.sub(r, 1, 37) > ARGV[1]
   and (ARGV[5] == '' or redis.sha1hex(r) ~= ARGV[5]) then
  return {'r', r}
end
if ARGV[6] == '1' then
  local f = redis.call('GET', KEYS[3])
  if f then return {f, redis.call('PTTL', KEYS[3])} end
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) or redis.call('GET', KEYS[2]) == ARGV[2] then
  return {'t'}
end
return {'l', redis.call('PTTL', KEYS[2])}";

/// Stores a response where it is newer than what lies there, what lies there is beyond the
/// clocks' tolerance, or was refused; tells all of it; and gives the lease back. A word that
/// the responder has nothing newer is left where one is given.
const STORE: &str = "\
local r = redis.call('GET', KEYS[1])
local done = 0
if not r or string.sub(r, 1, 37) < string.sub(ARGV[1], 1, 37) or string.sub(r, 1, 12) > ARGV[3]
   or (ARGV[5] ~= '' and redis.sha1hex(r) == ARGV[5]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('PUBLISH', ARGV[6], ARGV[7])
  done = 1
end
if redis.call('GET', KEYS[2]) == ARGV[4] then redis.call('DEL', KEYS[2]) end
if ARGV[8] ~= '0' then redis.call('SET', KEYS[3], 's', 'PX', ARGV[8]) else redis.call('DEL', KEYS[3]) end
return done";

/// Gives the lease back after a failure, and lets others wait; only who has it may.
const FAIL: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1";

/// What the last fetch was, in the key of the back-off: it failed.
const FAILED: &str = "e";
/// It brought nothing newer.
const SAME: &[u8] = b"s";

/// What the commands have in common.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The names.
    pub keys: Keys,
    /// This agent, in its leases.
    pub token: String,
    /// How long they last.
    pub lease: Duration,
}

/// Something to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its rank,
    pub rank: Rank,
    /// and its bytes.
    pub der: Vec<u8>,
    /// What may be overwritten though it claims to be newer.
    pub refused: Option<Digest>,
    /// The responder has nothing newer: nobody need ask for that long.
    pub same_for: Option<Duration>,
}

impl Asker {
    /// Looks without taking anything.
    pub fn get(&self, key: &Key) -> Vec<u8> {
        resp::command(["GET", &self.keys.of(key, Part::Response)])
    }

    /// [`LOOK`].
    pub fn look(
        &self,
        key: &Key,
        known: Option<Rank>,
        refused: Option<&Digest>,
        heeds: bool,
        now: UnixTime,
    ) -> Vec<u8> {
        let keys = [Part::Response, Part::Lease, Part::BackOff];
        let [r, l, f] = keys.map(|part| self.keys.of(key, part));
        resp::command([
            "EVAL",
            LOOK,
            "3",
            &r,
            &l,
            &f,
            &known.map(Rank::digits).unwrap_or_default(),
            &self.token,
            &millis(self.lease),
            &rank::latest(now),
            refused.map_or("", String::as_str),
            if heeds { "1" } else { "" },
        ])
    }

    /// [`STORE`]. None if it has ended, or begins too far ahead.
    pub fn store(&self, key: &Key, stored: &Stored, now: UnixTime) -> Option<Vec<u8>> {
        let left = u64::try_from(stored.rank.until.saturating_sub(now)).ok();
        let left = Duration::from_secs(left.filter(|left| *left > 0)?);
        let latest = rank::latest(now);
        let digits = stored.rank.digits();
        if digits[..TIME_LENGTH] > *latest {
            return None;
        }
        let keys = [Part::Response, Part::Lease, Part::BackOff];
        let [r, l, f] = keys.map(|part| self.keys.of(key, part));
        let value = rank::value(stored.rank, &stored.der);
        Some(resp::command([
            b"EVAL".as_slice(),
            STORE.as_bytes(),
            b"3",
            r.as_bytes(),
            l.as_bytes(),
            f.as_bytes(),
            &value,
            millis(left).as_bytes(),
            latest.as_bytes(),
            self.token.as_bytes(),
            stored.refused.as_deref().unwrap_or_default().as_bytes(),
            self.keys.channel().as_bytes(),
            notice(key, stored.rank).as_bytes(),
            stored
                .same_for
                .map_or_else(|| "0".to_owned(), millis)
                .as_bytes(),
        ]))
    }

    /// [`FAIL`].
    pub fn fail(&self, key: &Key, wait: Duration) -> Vec<u8> {
        let [l, f] = [Part::Lease, Part::BackOff].map(|part| self.keys.of(key, part));
        resp::command([
            "EVAL",
            FAIL,
            "2",
            &l,
            &f,
            &self.token,
            FAILED,
            &millis(wait.max(Duration::from_millis(1))),
        ])
    }
}

/// At least one: 0 is no time to the store.
fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

/// What the store said to a question, before a response in it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// There is that; it may be anything.
    Value(Vec<u8>),
    /// What else there is.
    Answer(Answer),
}

/// Reads the reply to [`Asker::look`] or [`Asker::get`].
///
/// # Errors
///
/// If it is none that those can have.
pub fn said(reply: Value) -> Result<Said, Trouble> {
    let list = match reply {
        Value::Null => return Ok(Said::Answer(Answer::Nothing)),
        Value::Bytes(value) => return Ok(Said::Value(value)),
        Value::List(list) => list,
        Value::Error(text) => return Err(Trouble::of_error(&text)),
        Value::Number(_) | Value::Push(_) => return Err(unexpected()),
    };
    let left = match list.get(1) {
        Some(Value::Number(left)) => u64::try_from(*left).ok().map(Duration::from_millis),
        _ => None,
    };
    let kind = list.first().and_then(Value::bytes);
    Ok(match (kind.ok_or_else(unexpected)?, list.get(1)) {
        (b"r", Some(Value::Bytes(value))) => Said::Value(value.clone()),
        (b"t", None) => Said::Answer(Answer::Leased),
        (b"l", Some(_)) => Said::Answer(Answer::Held(left)),
        (SAME, Some(_)) => Said::Answer(Answer::Same(left)),
        (_, Some(Value::Number(_))) => Said::Answer(Answer::BackOff(left)),
        _ => return Err(unexpected()),
    })
}

fn unexpected() -> Trouble {
    Trouble::new(
        "protocol",
        "it answers otherwise than Redis and Valkey do: what is it?",
    )
}

/// Whether an error is about that certificate's keys alone, which somebody else uses.
pub fn is_about_one(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if text.contains("WRONGTYPE"))
}

/// A notice's text: which response is new.
fn notice(key: &Key, rank: Rank) -> String {
    format!("{}{}", name::of_key(key), rank.digits())
}

/// Reads a notice; None if it is none of ours.
pub fn noticed(push: &[Value]) -> Option<(Key, Rank)> {
    let [kind, _, text] = push else {
        return None;
    };
    if kind.bytes()? != b"message" {
        return None;
    }
    let (key, digits) = text.text()?.split_at_checked(64)?;
    if digits.len() != LENGTH {
        return None;
    }
    Some((name::to_key(key)?, Rank::parse(digits.as_bytes())?))
}
