//! Finds each change in the parsed file, and the form of its switch there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ExprBinary, Signature};

use crate::constant::{Constants, visit_constants};
use crate::list::{Change, Genre};
use crate::node::{Alternative, Form, Node};
use crate::shape::{Returned, has_let, has_return, precedence, precedence_of, returned};
use crate::source::Source;

const CONSTANT: &str = "in a constant";
const IMPL: &str = "returns an impl of a trait";
const LET: &str = "a guard with a let";
const NO_PLACE: &str = "no place for a switch was found";

/// What the changes of a file became.
#[derive(Debug, Default)]
pub struct Found {
    pub nodes: Vec<Node>,
    pub apart: BTreeMap<u32, &'static str>,
    pub refused: BTreeSet<u32>,
}

/// An operation whose operand is another without parentheses.
#[derive(Clone)]
struct Above {
    range: Range<usize>,
    precedence: u8,
    /// Whether what lies in it is its left operand.
    left: bool,
    has_let: bool,
}

/// Looks for the changes of one file.
pub struct Finder<'s> {
    source: &'s Source<'s>,
    constants: &'s Constants,
    /// Those not yet found, by what and where they are.
    changes: HashMap<(Genre, usize, usize), Vec<&'s Change>>,
    found: Found,
    is_constant: bool,
    /// The outermost first.
    above: Vec<Above>,
}

impl<'s> Finder<'s> {
    pub fn new(source: &'s Source, changes: &'s [Change], constants: &'s Constants) -> Self {
        let mut by_place: HashMap<_, Vec<_>> = HashMap::new();
        for change in changes {
            let Range { start, end } = source.range_of(change.span);
            let place = by_place.entry((change.genre, start, end));
            place.or_default().push(change);
        }
        Self {
            source,
            constants,
            changes: by_place,
            found: Found::default(),
            is_constant: false,
            above: Vec::new(),
        }
    }

    pub fn find(mut self, file: &syn::File) -> Found {
        self.visit_file(file);
        let left = self.changes.values().flatten();
        let left: Vec<u32> = left.map(|change| change.id).collect();
        self.set_apart(left, NO_PLACE);
        // The outer before the inner; of the same place what was found first: a function's statements
        // before the only expression, an arm before its guard.
        let outer_first = |node: &Node| (node.range.start, std::cmp::Reverse(node.range.end));
        self.found.nodes.sort_by_key(outer_first);
        self.found
    }

    fn set_apart(&mut self, ids: impl IntoIterator<Item = u32>, why: &'static str) {
        self.found.apart.extend(ids.into_iter().map(|id| (id, why)));
    }

    /// The changes of this place, if a switch can stand there.
    fn take(&mut self, genre: Genre, range: &Range<usize>) -> Vec<&'s Change> {
        let place = (genre, range.start, range.end);
        let found = self.changes.remove(&place).unwrap_or_default();
        if self.is_constant {
            self.set_apart(found.iter().map(|change| change.id), CONSTANT);
            return Vec::new();
        }
        found
    }

    fn put(&mut self, range: Range<usize>, form: Form) {
        self.found.nodes.push(Node { range, form });
    }

    /// The text of a range with the change in it.
    fn changed(&self, range: &Range<usize>, change: &Change) -> Alternative {
        let at = self.source.range_of(change.span);
        let text = self.source.text;
        let parts = [
            &text[range.start..at.start],
            &change.replacement,
            &text[at.end..range.end],
        ];
        Alternative {
            id: change.id,
            text: parts.concat(),
        }
    }

    fn constant(&mut self, read: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.is_constant, true);
        read(self);
        self.is_constant = before;
    }

    fn function(&mut self, signature: &Signature, block: &Block, read: impl FnOnce(&mut Self)) {
        let before = self.is_constant;
        // A function in a constant's block is none, unless that needs it.
        self.is_constant = self.constants.need(signature);
        if let (Some(constant), false) = (&signature.constness, self.is_constant) {
            let range = self.source.range(constant);
            self.put(range, Form::Cut);
        }
        self.body(signature, block);
        read(self);
        self.is_constant = before;
    }

    fn body(&mut self, signature: &Signature, block: &Block) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else {
            return;
        };
        let range = self.source.range(first).start..self.source.range(last).end;
        let found = self.take(Genre::FnValue, &range);
        if found.is_empty() {
            return;
        }
        let texts = found.iter().map(|change| Alternative {
            id: change.id,
            text: change.replacement.clone(),
        });
        let form = match returned(&signature.output) {
            Returned::Plain => Form::Body(texts.collect()),
            Returned::Iterator if !has_return(block) => Form::Iterator(texts.collect()),
            _ => return self.set_apart(found.iter().map(|change| change.id), IMPL),
        };
        self.put(range, form);
    }

    /// What a change of an operator makes another expression: cargo-mutants writes no parentheses, so
    /// that with one which binds less than what stands around it, that is another, too.
    fn operation(&self, whole: &Above, above: &[Above], change: &Change) -> Above {
        let Some(new) = precedence_of(&change.replacement) else {
            return above.first().unwrap_or(whole).clone();
        };
        let mut reached = whole;
        for outer in above.iter().rev() {
            if new > outer.precedence || new == outer.precedence && outer.left {
                break;
            }
            reached = outer;
        }
        reached.clone()
    }

    fn operand(&mut self, operand: &Expr, above: &[Above], whole: &Above, left: bool) {
        if matches!(operand, Expr::Binary(_)) {
            self.above = above.to_vec();
            self.above.push(Above {
                left,
                ..whole.clone()
            });
        }
        self.visit_expr(operand);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    visit_constants!();

    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.function(&it.sig, &it.block, |own| visit::visit_item_fn(own, it));
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.function(&it.sig, &it.block, |own| visit::visit_impl_item_fn(own, it));
    }

    fn visit_trait_item_fn(&mut self, it: &'ast syn::TraitItemFn) {
        match &it.default {
            Some(block) => self.function(&it.sig, block, |own| visit::visit_trait_item_fn(own, it)),
            None => visit::visit_trait_item_fn(self, it),
        }
    }

    // What is in a pattern is constant.
    fn visit_pat(&mut self, it: &'ast syn::Pat) {
        self.constant(|own| visit::visit_pat(own, it));
    }

    fn visit_expr_binary(&mut self, it: &'ast ExprBinary) {
        let above = std::mem::take(&mut self.above);
        let whole = Above {
            range: self.source.range(it),
            precedence: precedence(&it.op),
            left: false,
            has_let: has_let(&it.left) || has_let(&it.right),
        };
        let operator = self.source.range(&it.op);
        for change in self.take(Genre::BinaryOperator, &operator) {
            let reached = self.operation(&whole, &above, change);
            if reached.has_let && matches!(it.op, BinOp::And(_)) {
                // An `||` does not stand beside a let.
                self.found.refused.insert(change.id);
                continue;
            }
            let form = Form::Expression(vec![self.changed(&reached.range, change)]);
            self.put(reached.range, form);
        }
        self.operand(&it.left, &above, &whole, true);
        self.operand(&it.right, &above, &whole, false);
    }

    fn visit_expr_unary(&mut self, it: &'ast syn::ExprUnary) {
        let range = self.source.range(it);
        let operator = self.source.range(&it.op);
        let found = self.take(Genre::UnaryOperator, &operator);
        if !found.is_empty() {
            let texts = found.iter().map(|change| self.changed(&range, change));
            let form = Form::Expression(texts.collect());
            self.put(range, form);
        }
        visit::visit_expr_unary(self, it);
    }

    fn visit_arm(&mut self, it: &'ast syn::Arm) {
        // With or without its comma.
        let whole = self.source.range(it);
        let bare = whole.start..self.source.range(&it.body).end;
        let mut gone = self.take(Genre::MatchArm, &whole);
        gone.extend(self.take(Genre::MatchArm, &bare));
        let Some((_, guard)) = &it.guard else {
            let after = self.source.range(&it.pat).end;
            for change in gone {
                self.put(after..after, Form::Arm(change.id));
            }
            return visit::visit_arm(self, it);
        };
        let range = self.source.range(guard);
        let guards = self.take(Genre::MatchArmGuard, &range);
        if has_let(guard) {
            let ids = gone.iter().chain(&guards).map(|change| change.id);
            self.set_apart(ids, LET);
            return visit::visit_arm(self, it);
        }
        for change in gone {
            self.put(range.clone(), Form::GuardedArm(change.id));
        }
        if !guards.is_empty() {
            let (yes, no): (Vec<_>, Vec<_>) = guards
                .iter()
                .partition(|change| change.replacement == "true");
            let ids = |changes: Vec<&Change>| changes.iter().map(|change| change.id).collect();
            self.put(
                range,
                Form::Guard {
                    yes: ids(yes),
                    no: ids(no),
                },
            );
        }
        visit::visit_arm(self, it);
    }

    fn visit_expr_struct(&mut self, it: &'ast syn::ExprStruct) {
        let Some(base) = &it.rest else {
            return visit::visit_expr_struct(self, it);
        };
        let base = &self.source.text[self.source.range(base.as_ref())];
        for field in &it.fields {
            let range = self.source.range(field);
            // It is listed with what follows it, up to the next.
            let listed = self.changes.keys().find(|(genre, start, end)| {
                *genre == Genre::StructField && *start == range.start && *end >= range.end
            });
            let Some(&(genre, start, end)) = listed else {
                continue;
            };
            let value = self.source.range(&field.expr);
            for change in self.take(genre, &(start..end)) {
                let form = Form::Field {
                    id: change.id,
                    name: match &field.member {
                        syn::Member::Named(name) => name.to_string(),
                        syn::Member::Unnamed(index) => index.index.to_string(),
                    },
                    base: base.to_owned(),
                    shorthand: field.colon_token.is_none(),
                };
                self.put(value.clone(), form);
            }
        }
        visit::visit_expr_struct(self, it);
    }
}
