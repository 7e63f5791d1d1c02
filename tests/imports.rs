//! Each file imports only what is below it: no way along the imports leads back to where it began.
//! What a module's tests import does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use staplegun_testkit::Directory;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

const SOURCES: [&str; 5] = ["cli/src", "ocsp/src", "src", "store/src", "testkit/src"];

/// A module by its path from the root of its crate.
type Module = Vec<String>;

/// What the file of a module names elsewhere.
#[derive(Default)]
struct Names {
    /// What it imports and uses, by paths as they are written.
    paths: Vec<Vec<String>>,
    /// What it calls by a name of its own, or shows to others: as which name, and what that is.
    named: Vec<(String, Vec<String>)>,
}

impl Names {
    fn of(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("it can be read");
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut names = Self::default();
        names.visit_file(&file);
        names
    }

    fn add_use(&mut self, tree: &UseTree, mut path: Vec<String>) {
        let (name, named) = match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                return self.add_use(&part.tree, path);
            }
            UseTree::Group(group) => {
                let all = group.items.iter();
                return all.for_each(|one| self.add_use(one, path.clone()));
            }
            UseTree::Glob(_) => return self.paths.push(path),
            UseTree::Name(it) => (it.ident.to_string(), it.ident.to_string()),
            UseTree::Rename(it) => (it.ident.to_string(), it.rename.to_string()),
        };
        if name != "self" {
            path.push(name);
        }
        self.paths.push(path.clone());
        self.named.push((named, path));
    }

    /// The paths among the words of a macro's call.
    fn add_words(&mut self, words: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for word in words {
            match word {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add_path(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(it) if it.as_char() == ':' => colons += 1,
                other => {
                    self.add_path(std::mem::take(&mut path));
                    if let TokenTree::Group(group) = other {
                        self.add_words(group.stream());
                    }
                }
            }
        }
        self.add_path(path);
    }

    fn add_path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.paths.push(path);
        }
    }
}

/// Whether `#[cfg(test)]` stands there, or `#[cfg(all(test, ...))]`.
fn is_of_tests(attributes: &[Attribute]) -> bool {
    let is_test = |it: &Attribute| {
        let condition = it.parse_args::<Meta>();
        it.path().is_ident("cfg")
            && condition.is_ok_and(|condition| match condition {
                Meta::List(all) if all.path.is_ident("all") => {
                    let mut words = all.tokens.into_iter();
                    words.any(|it| matches!(it, TokenTree::Ident(it) if it == "test"))
                }
                other => other.path().is_ident("test"),
            })
    };
    attributes.iter().any(is_test)
}

impl<'a> Visit<'a> for Names {
    fn visit_item(&mut self, item: &'a Item) {
        match item {
            Item::Mod(module) if is_of_tests(&module.attrs) => {}
            Item::Use(import) if is_of_tests(&import.attrs) => {}
            Item::Use(import) => self.add_use(&import.tree, Vec::new()),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names = path.segments.iter().map(|it| it.ident.to_string());
        self.add_path(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.add_words(call.tokens.clone());
    }
}

/// The files of a crate, each with the modules of it that it imports.
struct Imports {
    modules: BTreeMap<Module, Names>,
}

impl Imports {
    fn of(source: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut directories = vec![source.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let inner = path.strip_prefix(source).expect("it is in it");
                    let inner = inner.with_extension("");
                    let parts = inner.iter().map(|it| it.to_string_lossy().into_owned());
                    let mut module: Module = parts.collect();
                    module.pop_if(|it| ["mod", "lib", "main"].contains(&it.as_str()));
                    modules.insert(module, Names::of(&path));
                }
            }
        }
        Self { modules }
    }

    /// The module that has what `path` names in `from`; None if it is not of this crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Module::new(),
            "super" | "self" => from.clone(),
            child => {
                let inner = [from.as_slice(), &[child.to_owned()]].concat();
                if !self.modules.contains_key(&inner) {
                    let known = self.named(from, child).filter(|_| depth > 0)?;
                    let whole = [known, path.get(1..)?].concat();
                    return self.resolve(from, &whole, depth - 1);
                }
                from.clone()
            }
        };
        for name in path {
            match name.as_str() {
                "crate" | "self" => continue,
                "super" => {
                    at.pop();
                    continue;
                }
                _ => {}
            }
            let inner = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&inner) {
                at = inner;
                continue;
            }
            return match self.named(&at, name) {
                Some(path) if depth > 0 && at != *from => self.resolve(&at, path, depth - 1),
                _ => Some(at),
            };
        }
        Some(at)
    }

    fn named(&self, module: &Module, name: &str) -> Option<&[String]> {
        let mut named = self.modules.get(module)?.named.iter();
        named
            .find(|(known, _)| known == name)
            .map(|(_, path)| path.as_slice())
    }

    fn graph(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let imported = |(module, names): (_, &Names)| {
            let all = names.paths.iter();
            let mut all: BTreeSet<_> = all
                .filter_map(|path| self.resolve(module, path, 8))
                .collect();
            all.remove(module);
            (module, all)
        };
        self.modules.iter().map(imported).collect()
    }

    /// One way that leads back, if there is any.
    fn circle(&self) -> Option<Vec<String>> {
        let mut graph = self.graph();
        // Who imports nothing that is left is in no circle.
        while let Some(module) = (graph.iter())
            .find(|(_, imports)| !imports.iter().any(|it| graph.contains_key(it)))
            .map(|(module, _)| *module)
        {
            graph.remove(module);
        }
        let mut at = *graph.keys().next()?;
        let mut way: Vec<&Module> = Vec::new();
        while !way.contains(&at) {
            way.push(at);
            let mut next = graph[at].iter();
            let next = next.find_map(|it| graph.get_key_value(it));
            at = next.expect("whoever is left imports such").0;
        }
        let begins = way.iter().position(|it| *it == at).expect("it is on it");
        way.push(at);
        Some(way[begins..].iter().map(|it| it.join("::")).collect())
    }
}

#[test]
fn no_file_imports_what_imports_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in SOURCES {
        let imports = Imports::of(&root.join(name));
        let edges: usize = imports.graph().values().map(BTreeSet::len).sum();
        assert!(edges > 0, "{name}: nothing was understood");
        if let Some(circle) = imports.circle() {
            panic!("{name}: {}", circle.join(" -> "));
        }
    }
}

#[test]
fn a_circle_is_seen_however_it_is_written() {
    let source = Directory::new();
    std::fs::create_dir(source.join("high")).expect("a directory");
    std::fs::write(source.join("lib.rs"), "pub mod high;").expect("written");
    let above = "pub mod low; pub use low::Shown; pub struct Top; pub fn top() {}";
    std::fs::write(source.join("high.rs"), above).expect("written");
    for (below, is_circle) in [
        ("use crate::high;", true),
        ("use super::Top;", true),
        ("fn it() { super::top() }", true),
        ("use crate::high; fn it() { high::top() }", true),
        ("fn it() { print!(\"{}\", crate::high::top()) }", true),
        ("fn it() { it!(a -> [crate::high::top()]) }", true),
        ("use super::Shown as Itself;", false),
        ("fn it() { crate::high::low::it() }", false),
        ("#[cfg(test)] mod tests { use crate::high; }", false),
        ("#[cfg(all(test, unix))] use crate::high;", false),
    ] {
        let below = format!("pub struct Shown; {below}");
        std::fs::write(source.join("high/low.rs"), &below).expect("written");
        let circle = Imports::of(source.path()).circle();
        assert_eq!(circle.is_some(), is_circle, "{below}: {circle:?}");
    }
}
