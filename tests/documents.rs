//! The documents are true where a text can be held to it: what they quote the programs print,
//! where they point there is something, nothing in them was left untried, and they are spelled
//! in one way.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a directory whose names end so.
fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let mut all = files("docs", ".md");
    let named = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "MATRIX.md"];
    all.extend(named.map(|name| root().join(name)));
    assert!(all.len() > 15, "{all:?}");
    all
}

/// What the programs may print, each string in one piece.
fn sources() -> String {
    let all = ["cli/src", "ocsp/src", "store/src", "src"].map(|directory| files(directory, ".rs"));
    let mut text = String::new();
    for path in all.iter().flatten() {
        // A string goes on in the next line after a backslash.
        let mut lines = read(path).lines().map(str::to_owned).collect::<Vec<_>>();
        for line in &mut lines {
            match line.trim_start().strip_suffix('\\') {
                Some(begun) => text += begun,
                None => {
                    text += line.trim_start();
                    text.push('\n');
                }
            }
        }
    }
    text
}

#[test]
fn what_the_troubleshooting_page_quotes_is_printed() {
    let (page, sources) = (read(&root().join("docs/troubleshooting.md")), sources());
    let quotes: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .collect();
    assert!(quotes.len() > 30, "{quotes:?}");
    for quote in quotes {
        for part in quote.split("...") {
            // What joins two values is too short to tell.
            let part = part.trim_matches([' ', ':', ';']);
            assert!(
                part.is_empty() || sources.contains(part),
                "no program prints {part:?}, which the page quotes in {quote:?}"
            );
        }
    }
    assert!(!sources.contains("no program says this sentence"));
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let plain = heading.trim().to_lowercase();
    let kept = plain
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn where_a_document_points_there_is_something() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in
            links.filter(|link| !link.contains("://") && !link.contains(char::is_whitespace))
        {
            count += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().expect("a directory").join(path),
            };
            let is_there = target.exists()
                && (heading.is_empty() || anchors(&read(&target)).contains(heading));
            if !is_there {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(count > 50, "{count} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_function_that_the_architecture_names_by_its_file_is_there() {
    let text = read(&root().join("docs/architecture.md"));
    let named: Vec<_> = (text.split('`').skip(1).step_by(2))
        .filter_map(|code| code.split_once(".rs: "))
        .collect();
    assert!(named.len() > 30, "{} functions", named.len());
    for (file, function) in named {
        let source = read(&root().join(format!("{file}.rs")));
        let begins = [format!("fn {function}("), format!("fn {function}<")];
        let is_there = begins.iter().any(|begin| source.contains(begin));
        assert!(is_there, "{file}.rs has no function {function}");
    }
}

#[test]
fn nothing_in_the_documents_was_left_untried() {
    for document in documents() {
        let text = read(&document).replace('\n', " ");
        for words in [
            "Not exercised",
            "not exercised",
            "was not tried",
            "were not tried",
        ] {
            assert!(!text.contains(words), "{}: {words:?}", document.display());
        }
    }
}

#[test]
fn the_documents_have_american_spelling() {
    let british = [
        "initialis",
        "recognis",
        "organis",
        "authoris",
        "serialis",
        "normalis",
        "optimis",
        "minimis",
        "utilis",
        "finalis",
        "behaviour",
        "colour",
        "honour",
        "favour",
        "neighbour",
        "licence",
        "cancelled",
        "labelled",
        "judgement",
    ];
    let pages = files("packaging/man", "");
    for document in documents().iter().chain(&pages) {
        for (number, line) in read(document).lines().enumerate() {
            // A name is spelled as it is.
            let plain: String = line.split('`').step_by(2).collect();
            let found = british
                .iter()
                .find(|word| plain.to_lowercase().contains(*word));
            assert!(
                found.is_none(),
                "{}:{}: {line}",
                document.display(),
                number + 1
            );
        }
    }
}

/// The make targets whose recipe ends with tools/where, which holds the table to what ran.
fn targets_that_hold_a_row(makefile: &str) -> BTreeSet<&str> {
    let mut targets: Vec<&str> = Vec::new();
    let mut found = BTreeSet::new();
    for line in makefile.lines() {
        let recipe = line.starts_with('\t');
        if let Some((names, _)) = line.split_once(": ").or_else(|| line.split_once(':'))
            && !recipe
        {
            targets = names.split_whitespace().collect();
        }
        if recipe && let Some((_, rest)) = line.split_once("tools/where ") {
            // A recipe of two targets names the one.
            let named = line
                .split_once("$(filter ")
                .and_then(|(_, to)| to.split(',').next());
            assert!(rest.starts_with('$') || targets.contains(&rest), "{line}");
            found.extend(named.or(targets.first().copied()));
        }
    }
    found
}

#[test]
fn each_row_of_where_it_runs_has_a_target_that_holds_it_and_each_such_target_a_row() {
    let readme = read(&root().join("README.md"));
    let (_, rest) = readme
        .split_once("<!-- where: begin -->\n")
        .expect("the begin is marked");
    let (table, _) = rest
        .split_once("<!-- where: end -->")
        .expect("the end is marked");
    let rows = table.lines().skip(2);
    let named: BTreeSet<&str> = rows
        .map(|row| {
            row.trim_end_matches("` |")
                .rsplit_once("`make ")
                .expect(row)
                .1
        })
        .collect();
    let makefile = read(&root().join("Makefile"));
    assert_eq!(named, targets_that_hold_a_row(&makefile));
}
