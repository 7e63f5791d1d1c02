//! What could be done about a unit, which is another command's to say.

use std::path::Path;

/// What enabling a unit would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// All is written already.
    Enabled,
    /// It can be done.
    Possible,
    /// It cannot: why not, and the nearest way that works.
    Cannot(String),
}

/// Tells it of a unit and the library that the operator named.
pub type Ask = fn(&str, Option<&Path>) -> Prospect;
