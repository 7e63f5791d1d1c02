//! Every small change of a tree's code in one build, each behind a switch of its own: what testing by
//! mutants calls a schema. [`weave`] puts the changes of a file, which cargo-mutants has listed, into
//! its text; [`plain`] makes one of them as cargo-mutants would.

mod constant;
mod find;
mod list;
mod node;
mod shape;
mod source;
mod write;

use std::collections::{BTreeMap, BTreeSet};

pub use constant::Constants;
pub use list::{Change, Genre};
pub use write::Place;

use find::Finder;
use source::Source;

/// A file that has its changes in it.
#[derive(Debug)]
pub struct Woven {
    /// The new text.
    pub text: String,
    /// Where in it each change lies, for who reads the compiler's errors. One change may have several.
    pub places: Vec<Place>,
    /// What no switch can stand before, and why: to be built by itself.
    pub apart: BTreeMap<u32, &'static str>,
    /// What the compiler would refuse, and would say so of the whole file.
    pub refused: BTreeSet<u32>,
}

/// Puts changes into the text of their file.
///
/// # Errors
///
/// If the text is not Rust.
pub fn weave(text: &str, changes: &[Change], constants: &Constants) -> syn::Result<Woven> {
    let file = syn::parse_file(text)?;
    let source = Source::new(text);
    let found = Finder::new(&source, changes, constants).find(&file);
    let (text, places) = write::write(text, &found.nodes);
    let (apart, refused) = (found.apart, found.refused);
    Ok(Woven {
        text,
        places,
        apart,
        refused,
    })
}

/// The text with one change in it, and no switch.
#[must_use]
pub fn plain(text: &str, change: &Change) -> String {
    let range = Source::new(text).range_of(change.span);
    [
        &text[..range.start],
        &change.replacement,
        &text[range.end..],
    ]
    .concat()
}
