//! What the Makefile names of a test program is there: a filter that matches nothing runs nothing,
//! and cargo calls that a success.

use std::path::{Path, PathBuf};

/// The programs of one command of the Makefile, and the words that its tests are chosen by.
struct Chosen<'t> {
    programs: Vec<&'t str>,
    words: Vec<&'t str>,
}

/// The commands that name test programs.
fn chosen(makefile: &str) -> Vec<Chosen<'_>> {
    let commands = makefile.split(['\n', ';', '"', '&', '|']);
    let commands = commands.filter(|command| command.contains("--test "));
    commands
        .map(|command| {
            let (cargos, tests) = command.split_once(" -- ").unwrap_or((command, ""));
            let programs = cargos.split("--test ").skip(1);
            let mut words: Vec<&str> = tests.split_whitespace().collect();
            // Options are no filters, and neither is a number of threads. What is skipped by name
            // is to be there, too.
            if let Some(at) = words.iter().position(|word| *word == "--test-threads") {
                words.drain(at..at + 2);
            }
            words.retain(|word| !word.starts_with("--"));
            Chosen {
                programs: programs
                    .filter_map(|it| it.split_whitespace().next())
                    .collect(),
                words,
            }
        })
        .collect()
}

/// The source files of a test program, with the path of the module that each is.
fn modules(root: &Path, program: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for tests in [
        "tests",
        "cli/tests",
        "store/tests",
        "ocsp/tests",
        "testkit/tests",
    ] {
        let tests = root.join(tests);
        let alone = tests.join(format!("{program}.rs"));
        if alone.is_file() {
            found.push((String::new(), alone));
        }
        walk(&tests.join(program), "", &mut found);
    }
    found
}

fn walk(directory: &Path, module: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let inner = format!("{module}{stem}::");
        if path.is_dir() {
            walk(&path, &inner, found);
        } else if matches!(&*stem, "main" | "mod") {
            found.push((module.to_owned(), path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push((inner, path));
        }
    }
}

/// The names of a program's tests, as cargo prints them.
fn tests(root: &Path, program: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (module, path) in modules(root, program) {
        let source = std::fs::read_to_string(&path).expect("it can be read");
        let mut is_test = false;
        for line in source.lines().map(str::trim) {
            is_test |= line == "#[test]";
            if let Some((name, _)) = line.strip_prefix("fn ").and_then(|it| it.split_once('('))
                && std::mem::take(&mut is_test)
            {
                names.push(format!("{module}{name}"));
            }
        }
    }
    names
}

/// What is named and matches no test.
fn unmatched(makefile: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for Chosen { programs, words } in chosen(makefile) {
        let names: Vec<String> = programs.iter().flat_map(|it| tests(root, it)).collect();
        if names.is_empty() {
            missing.push(programs.join(" "));
        }
        let is_there = |word: &str| names.iter().any(|name| name.contains(word));
        let words = words.into_iter().filter(|word| !is_there(word));
        missing.extend(words.map(str::to_owned));
    }
    missing
}

#[test]
fn each_filter_of_the_makefile_matches_a_test() {
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile"));
    let makefile = makefile.expect("it is there").replace("\\\n", " ");
    let chosen = chosen(&makefile);
    let words: usize = chosen.iter().map(|it| it.words.len()).sum();
    assert!(words >= 12, "{words} filters were seen");
    assert_eq!(unmatched(&makefile), <Vec<String>>::new());
}

#[test]
fn a_filter_and_a_program_that_match_nothing_are_seen() {
    let lines = "x test --test redis --test nginx -- staples no_such_test && \\\n\
                 x --test nothing; \"x --test agent -- real::redis real::none --test-threads 1\"";
    let wrong = ["no_such_test", "nothing", "real::none"];
    assert_eq!(unmatched(&lines.replace("\\\n", " ")), wrong);
}
