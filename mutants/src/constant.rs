//! Which `const fn`s constants need: no switch can be asked there. The others lose their `const`,
//! and are functions like any other.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Ident, Signature};

/// The methods of a visitor for what is constant in itself: each calls `self.constant` with what
/// reads on.
macro_rules! visit_constants {
    () => {
        visit_constants!(
            visit_item_const ItemConst, visit_item_static ItemStatic,
            visit_impl_item_const ImplItemConst, visit_trait_item_const TraitItemConst,
            visit_expr_const ExprConst, visit_variant Variant,
        );
        fn visit_expr_repeat(&mut self, it: &'ast syn::ExprRepeat) {
            self.visit_expr(&it.expr);
            self.constant(|own| own.visit_expr(&it.len));
        }
        fn visit_type_array(&mut self, it: &'ast syn::TypeArray) {
            self.visit_type(&it.elem);
            self.constant(|own| own.visit_expr(&it.len));
        }
        fn visit_generic_argument(&mut self, it: &'ast syn::GenericArgument) {
            if let syn::GenericArgument::Const(value) = it {
                self.constant(|own| own.visit_expr(value));
            } else {
                visit::visit_generic_argument(self, it);
            }
        }
    };
    ($($visit:ident $type:ident),+ $(,)?) => {
        $(fn $visit(&mut self, it: &'ast syn::$type) {
            self.constant(|own| visit::$visit(own, it));
        })+
    };
}
pub(crate) use visit_constants;

/// By its name alone, so that a function may be held for one that a constant needs, and not the
/// other way round.
#[derive(Debug, Default)]
pub struct Constants {
    needed: BTreeSet<String>,
    /// What is named in the `const fn`s of a name.
    within: BTreeMap<String, BTreeSet<String>>,
}

impl Constants {
    /// Reads one of the tree's files.
    ///
    /// # Errors
    ///
    /// If the text is not Rust.
    pub fn add(&mut self, text: &str) -> syn::Result<()> {
        let mut reader = Reader {
            constants: self,
            names: None,
        };
        reader.visit_file(&syn::parse_file(text)?);
        Ok(())
    }

    /// Once all files are read: what functions call that constants need, they need as well.
    #[must_use]
    pub fn closed(mut self) -> Self {
        let mut ahead: Vec<String> = self.needed.iter().cloned().collect();
        while let Some(name) = ahead.pop() {
            for called in self.within.remove(&name).unwrap_or_default() {
                if self.needed.insert(called.clone()) {
                    ahead.push(called);
                }
            }
        }
        self
    }

    /// Whether this function must stay what it is.
    #[must_use]
    pub fn need(&self, function: &Signature) -> bool {
        function.constness.is_some() && self.needed.contains(&function.ident.to_string())
    }
}

/// Notes each name in what is constant.
struct Reader<'c> {
    constants: &'c mut Constants,
    /// Those of the constant or the `const fn` that is read.
    names: Option<BTreeSet<String>>,
}

impl Reader<'_> {
    fn names_in(&mut self, read: impl FnOnce(&mut Self)) -> BTreeSet<String> {
        let outer = self.names.replace(BTreeSet::new());
        read(self);
        let names = std::mem::replace(&mut self.names, outer).unwrap_or_default();
        // A constant in a constant is one.
        if let Some(outer) = &mut self.names {
            outer.extend(names.iter().cloned());
        }
        names
    }

    fn constant(&mut self, read: impl FnOnce(&mut Self)) {
        let names = self.names_in(read);
        self.constants.needed.extend(names);
    }

    fn function(&mut self, signature: &Signature, read: impl FnOnce(&mut Self)) {
        if signature.constness.is_none() {
            return read(self);
        }
        let names = self.names_in(read);
        let name = signature.ident.to_string();
        self.constants.within.entry(name).or_default().extend(names);
    }

    fn note(&mut self, name: &Ident) {
        if let Some(names) = &mut self.names {
            names.insert(name.to_string());
        }
    }

    fn words(&mut self, words: TokenStream) {
        for word in words {
            match word {
                TokenTree::Ident(word) => self.note(&word),
                TokenTree::Group(group) => self.words(group.stream()),
                _ => {}
            }
        }
    }
}

/// Whether constants may stand in what a macro is called with.
fn has_constant(words: TokenStream) -> bool {
    words.into_iter().any(|word| match word {
        TokenTree::Ident(word) => word == "const" || word == "static",
        TokenTree::Group(group) => has_constant(group.stream()),
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_ident(&mut self, name: &'ast Ident) {
        self.note(name);
    }
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if has_constant(call.tokens.clone()) {
            self.constant(|own| own.words(call.tokens.clone()));
        } else {
            self.words(call.tokens.clone());
        }
    }
    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.function(&it.sig, |own| visit::visit_item_fn(own, it));
    }
    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.function(&it.sig, |own| visit::visit_impl_item_fn(own, it));
    }
    visit_constants!();
}
