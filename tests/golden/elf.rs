//! Shared objects as binutils tell of them, and made of a few lines of C.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::Directory;

/// A shared object made of C, with more arguments for the compiler.
pub fn object(directory: &Directory, source: &str, arguments: &[&str]) -> PathBuf {
    directory.write("object.c", source);
    let path = directory.join("object.so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&path)
        .arg(directory.join("object.c"))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cc cannot be run: {error}; install gcc"));
    assert!(output.status.success(), "cc {arguments:?}: {output:?}");
    path
}

/// What one of the binutils says of the object.
pub fn tool(name: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(name)
        .args(arguments)
        .arg(path)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{name} cannot be run: {error}; install binutils"));
    assert!(
        output.status.success(),
        "{name} {arguments:?} {}: {output:?}",
        path.display()
    );
    String::from_utf8(output.stdout).expect("binutils write ASCII")
}

/// The values of the dynamic section's entries with this tag.
pub fn dynamic(path: &Path, tag: &str) -> Vec<String> {
    let section = tool("readelf", &["--dynamic", "--wide"], path);
    let wanted = format!("({tag})");
    section
        .lines()
        .filter_map(|line| line.split_once(&wanted))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// The same, of names in square brackets.
pub fn dynamic_names(path: &Path, tag: &str) -> Vec<String> {
    let values = dynamic(path, tag);
    let name = |value: &String| Some(value.split_once('[')?.1.trim_end_matches(']').to_owned());
    values.iter().filter_map(name).collect()
}

/// What the object exports, without symbol versions.
pub fn exports(path: &Path) -> BTreeSet<String> {
    let listing = tool(
        "nm",
        &["--dynamic", "--defined-only", "--format=posix"],
        path,
    );
    first_words(&listing)
}

/// What the object imports, as `name@VERSION`, and whether it can do without.
pub fn imports(path: &Path) -> Vec<(String, bool)> {
    let listing = tool(
        "nm",
        &["--dynamic", "--undefined-only", "--format=posix"],
        path,
    );
    let mut imports = Vec::new();
    for line in listing.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(kind)) = (words.next(), words.next()) {
            imports.push((name.to_owned(), kind.eq_ignore_ascii_case("w")));
        }
    }
    assert!(
        !imports.is_empty(),
        "nm lists no import of {}",
        path.display()
    );
    imports
}

/// The first word of each line.
pub fn first_words(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
