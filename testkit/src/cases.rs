//! One table of what a response is worth: what was there, what comes, and what is
//! stapled then. Whoever judges responses is held to all of it.

use crate::pki::{Identity, Spec};
use crate::response::{CertIdHash, Response, faults};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const DECADE: i64 = 3_650 * DAY;

/// What is stapled after a response came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stapled {
    /// The one that came.
    New,
    /// The one that was there before.
    Before,
    /// None.
    Nothing,
}

/// One case.
pub struct Case {
    /// In few words; unique within the table.
    pub name: String,
    /// The response that was there before.
    pub before: Option<Vec<u8>>,
    /// What comes.
    pub comes: Vec<u8>,
    /// What is stapled then.
    pub stapled: Stapled,
}

impl Case {
    /// The response that is to be stapled, if any.
    pub fn expected(&self) -> Option<&[u8]> {
        match self.stapled {
            Stapled::New => Some(&self.comes),
            Stapled::Before => self.before.as_deref(),
            Stapled::Nothing => None,
        }
    }
}

/// The table for `leaf`, which `issuer`, a root, has issued.
pub fn cases(leaf: &Identity, issuer: &Identity) -> Vec<Case> {
    let good = Response::good(leaf, issuer).der();
    let after_good = faults(leaf, issuer).into_iter().map(|fault| Case {
        name: format!("{} after a good one", fault.name),
        before: Some(good.clone()),
        comes: fault.bytes,
        stapled: match fault.name {
            "revoked" => Stapled::Nothing,
            _ => Stapled::Before,
        },
    });
    let alone = good_ones(leaf, issuer).into_iter();
    let alone = alone.map(|(name, response, stapled)| Case {
        name: name.to_owned(),
        before: None,
        comes: response.der(),
        stapled,
    });
    let pairs = pairs(leaf, issuer).into_iter();
    let pairs = pairs.map(|(name, before, comes, stapled)| Case {
        name: name.to_owned(),
        before: Some(before.der()),
        comes: comes.der(),
        stapled,
    });
    let by_delegates = by_delegates(leaf, issuer).into_iter();
    after_good
        .chain(alone)
        .chain(pairs)
        .chain(by_delegates)
        .collect()
}

type Alone<'a> = (&'static str, Response<'a>, Stapled);

/// What clients accept, however unusual, and what only seems so.
fn good_ones<'a>(leaf: &Identity, issuer: &'a Identity) -> Vec<Alone<'a>> {
    use Stapled::{New, Nothing};
    let good = || Response::good(leaf, issuer);
    let without_end = |this_update| good().this_update(this_update).next_update(None);
    vec![
        ("certID by SHA-256", good().hash(CertIdHash::Sha256), New),
        ("responder by key", good().responder_by_key(), New),
        ("thisUpdate a little ahead", good().this_update(200), New),
        ("no nextUpdate, fresh", without_end(-60), New),
        ("no nextUpdate, hours old", without_end(-3 * HOUR), Nothing),
    ]
}

type Pair<'a> = (&'static str, Response<'a>, Response<'a>, Stapled);

/// What is better than what.
fn pairs<'a>(leaf: &Identity, issuer: &'a Identity) -> Vec<Pair<'a>> {
    use Stapled::{Before, New, Nothing};
    let good = |this_update| Response::good(leaf, issuer).this_update(this_update);
    let decade = |this_update| good(this_update).next_update(DECADE);
    let revoked = |this_update| good(this_update).revoked();
    let past = || revoked(-HOUR).next_update(-60);
    vec![
        ("newer", good(-HOUR), good(-60), New),
        (
            "newer, shorter",
            good(-HOUR),
            good(-60).next_update(HOUR),
            New,
        ),
        ("newer than a decade's", decade(-HOUR), good(-60), New),
        (
            "older, for a decade",
            good(-HOUR),
            decade(-2 * HOUR),
            Before,
        ),
        ("as new, longer", good(-HOUR), decade(-HOUR), New),
        ("as new, shorter", decade(-HOUR), good(-HOUR), Before),
        ("revoked, newer", good(-HOUR), revoked(-60), Nothing),
        ("revoked, expired, newer", good(-2 * HOUR), past(), Nothing),
        ("revoked, older", good(-60), revoked(-2 * HOUR), Before),
        (
            "good, older than revoked",
            revoked(-HOUR),
            decade(-2 * HOUR),
            Nothing,
        ),
        (
            "good, as new as revoked",
            revoked(-HOUR),
            decade(-HOUR),
            Nothing,
        ),
        (
            "good, older than expired revoked",
            past(),
            good(-2 * HOUR),
            Nothing,
        ),
        ("good, newer than revoked", revoked(-HOUR), good(-60), New),
        ("good, newer than expired revoked", past(), good(-60), New),
    ]
}

/// Signed by others than the issuer's present certificate.
fn by_delegates(leaf: &Identity, issuer: &Identity) -> Vec<Case> {
    let good = || Response::good(leaf, issuer);
    let delegate = issuer.issue(&Spec::responder());
    // What a root was before it was renewed with the same key.
    let before = issuer.before_renewal(-99 * DAY, -DAY);
    let bystander = issuer.issue(&Spec::responder().common_name("Bystander").expired());
    let case = |name: &str, comes: Vec<u8>| Case {
        name: name.to_owned(),
        before: None,
        comes,
        stapled: Stapled::New,
    };
    vec![
        case("delegate", good().delegate(&delegate).der()),
        case(
            "delegate by key",
            good().delegate(&delegate).responder_by_key().der(),
        ),
        case(
            "delegate, another's ended certificate along",
            good().delegate(&delegate).along(&bystander).der(),
        ),
        case(
            "the issuer's ended certificate along",
            good().along(&before).der(),
        ),
        case(
            "the issuer's ended certificate along, by key",
            good().along(&before).responder_by_key().der(),
        ),
    ]
}
