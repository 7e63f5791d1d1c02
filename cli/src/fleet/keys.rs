//! The names in the store. The leaf's SHA-256 stands in braces, so that all keys of a
//! certificate are in one place wherever the store is cut by them.

use staplegun_store::{Key, name};

/// Where the names of this fleet begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// Of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The response, with its rank before it.
    Response,
    /// Who asks the responder now.
    Lease,
    /// Until when nobody should, and why.
    BackOff,
}

impl Keys {
    /// Beginning with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// A key of a certificate.
    pub fn of(&self, key: &Key, part: Part) -> String {
        let part = match part {
            Part::Response => "r",
            Part::Lease => "l",
            Part::BackOff => "f",
        };
        format!("{}{{{}}}:{part}", self.prefix, name::of_key(key))
    }

    /// The channel on which new responses are told.
    pub fn channel(&self) -> String {
        format!("{}n", self.prefix)
    }

    /// A key that is written to see whether that works.
    pub fn probe(&self) -> String {
        format!("{}p", self.prefix)
    }
}
