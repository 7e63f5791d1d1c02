//! What the form of a switch depends on: how operators bind, what a function returns, where a `let`
//! is among conditions.

use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ReturnType, Type, TypeImplTrait, TypeParamBound};

/// How strongly an operator binds.
pub fn precedence(operator: &BinOp) -> u8 {
    match operator {
        BinOp::Mul(_) | BinOp::Div(_) | BinOp::Rem(_) => 9,
        BinOp::Add(_) | BinOp::Sub(_) => 8,
        BinOp::Shl(_) | BinOp::Shr(_) => 7,
        BinOp::BitAnd(_) => 6,
        BinOp::BitXor(_) => 5,
        BinOp::BitOr(_) => 4,
        BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) => {
            3
        }
        BinOp::And(_) => 2,
        BinOp::Or(_) => 1,
        _ => 0,
    }
}

/// The same of an operator as it is written.
pub fn precedence_of(operator: &str) -> Option<u8> {
    syn::parse_str(operator).ok().map(|it| precedence(&it))
}

/// Whether a condition has a `let` beside its `&&`.
pub fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(it) => {
            matches!(it.op, BinOp::And(_)) && (has_let(&it.left) || has_let(&it.right))
        }
        _ => false,
    }
}

/// What a function returns, as far as it has to be of one type.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned {
    /// A type that has a name.
    Plain,
    /// `impl Iterator`: there is one for what is either of two.
    Iterator,
    /// Another `impl`, or one within a type.
    Impl,
}

/// See [`Returned`].
pub fn returned(output: &ReturnType) -> Returned {
    const ITERATORS: [&str; 3] = ["Iterator", "DoubleEndedIterator", "ExactSizeIterator"];
    struct Impls(usize);
    impl<'ast> Visit<'ast> for Impls {
        fn visit_type_impl_trait(&mut self, it: &'ast TypeImplTrait) {
            self.0 += 1;
            visit::visit_type_impl_trait(self, it);
        }
    }
    let mut impls = Impls(0);
    impls.visit_return_type(output);
    let outer = match output {
        ReturnType::Type(_, output) => match output.as_ref() {
            Type::ImplTrait(it) => Some(it),
            _ => None,
        },
        ReturnType::Default => None,
    };
    let is_iterator = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(it) => {
            let last = it.path.segments.last();
            last.is_some_and(|name| ITERATORS.iter().any(|known| name.ident == known))
        }
        _ => false,
    };
    match (impls.0, outer) {
        (0, _) => Returned::Plain,
        (1, Some(it)) if it.bounds.iter().any(is_iterator) => Returned::Iterator,
        _ => Returned::Impl,
    }
}

/// Whether a function returns elsewhere than at its end.
pub fn has_return(block: &Block) -> bool {
    struct Returns(bool);
    impl<'ast> Visit<'ast> for Returns {
        fn visit_expr_return(&mut self, _: &'ast syn::ExprReturn) {
            self.0 = true;
        }
        // These return from themselves.
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
        fn visit_item(&mut self, _: &'ast syn::Item) {}
    }
    let mut returns = Returns(false);
    returns.visit_block(block);
    returns.0
}
