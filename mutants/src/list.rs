//! The list of changes, as `cargo mutants --list --json` writes it; tools/mutants numbers them.

use serde::Deserialize;

/// What of the code is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Genre {
    /// A function returns at once.
    FnValue,
    /// An operator of two is another.
    BinaryOperator,
    /// A `!` or `-` is gone.
    UnaryOperator,
    /// An arm of a match is gone.
    MatchArm,
    /// The guard of an arm is true or false.
    MatchArmGuard,
    /// A field has the value of the struct's base.
    StructField,
    /// One that a later cargo-mutants has, and no switch yet.
    #[serde(other)]
    Other,
}

/// A line and a column, both from 1 on.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Point {
    /// The line.
    pub line: usize,
    /// The character of it.
    pub column: usize,
}

/// From the first character to that after the last.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Span {
    /// The first.
    pub start: Point,
    /// After the last.
    pub end: Point,
}

/// One change.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    /// Its number, from 1 on.
    pub id: u32,
    /// How people call it.
    pub name: String,
    /// Its file, from the tree's root.
    pub file: String,
    /// What is changed.
    pub genre: Genre,
    /// Where.
    pub span: Span,
    /// What stands there instead.
    pub replacement: String,
}
