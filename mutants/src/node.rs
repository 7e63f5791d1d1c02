//! What is to be written where, so that changes can be switched on.

use std::ops::Range;

/// A change and the code that stands for it.
#[derive(Debug)]
pub struct Alternative {
    pub id: u32,
    pub text: String,
}

/// How changes of one place are put there.
#[derive(Debug)]
pub enum Form {
    /// A function's statements: it returns before them.
    Body(Vec<Alternative>),
    /// The statements of a function whose type is `impl Iterator`: one of several types.
    Iterator(Vec<Alternative>),
    /// An expression: another in its place.
    Expression(Vec<Alternative>),
    /// A guard that becomes true by some changes, false by others.
    Guard { yes: Vec<u32>, no: Vec<u32> },
    /// After the pattern of an arm without a guard: it gets one.
    Arm(u32),
    /// The guard of an arm that goes.
    GuardedArm(u32),
    /// The value of a field, which then is the base's.
    Field {
        id: u32,
        name: String,
        base: String,
        shorthand: bool,
    },
    /// What is left out whichever change is on.
    Cut,
}

/// A place, and what is put there.
#[derive(Debug)]
pub struct Node {
    pub range: Range<usize>,
    pub form: Form,
}
