//! A file's text, and where in it lines, columns and parsed things lie.

use std::ops::Range;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;

use crate::list::{Point, Span};

/// A text, with where each line begins.
pub struct Source<'t> {
    pub text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    pub fn new(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { text, lines }
    }

    /// Where a character lies: of a line from 1 on, of a column from 0 on.
    fn at(&self, line: usize, column: usize) -> usize {
        let start = self.lines[line - 1];
        let mut characters = self.text[start..].char_indices();
        let found = characters.nth(column);
        found.map_or(self.text.len(), |(at, _)| start + at)
    }

    /// Where a parsed thing lies.
    pub fn range(&self, thing: &impl Spanned) -> Range<usize> {
        let span = thing.span();
        let at = |point: LineColumn| self.at(point.line, point.column);
        at(span.start())..at(span.end())
    }

    /// Where a change lies.
    pub fn range_of(&self, span: Span) -> Range<usize> {
        let at = |point: Point| self.at(point.line, point.column - 1);
        at(span.start)..at(span.end)
    }
}
