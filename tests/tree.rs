//! The committed tree speaks of the project alone, and truly: it names no machine
//! that it was written on, and its README every variable that the library reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Hosts that a public reader can reach, or that stand in a protocol. Names under
/// .example, .test, .invalid and .internal, and the loopback, stand for nobody.
const PUBLIC: [&str; 13] = [
    "datatracker.ietf.org",
    "docs.openssl.org",
    "docs.rs",
    "etherx.jabber.org",
    "github.com",
    "keepachangelog.com",
    "openssl.org",
    "semver.org",
    "www.apache.org",
    "www.debian.org",
    "www.openssl.org",
    "www.rfc-editor.org",
    "www.w3.org",
];

/// Reaches nobody, or is not a name: a pattern, a placeholder, an address with
/// holes to be filled.
fn stands_for_nobody(host: &str) -> bool {
    let plain = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    !plain
        || !host.contains('.')
        || host.starts_with("127.")
        || [".example", ".test", ".invalid", ".internal"]
            .iter()
            .any(|end| host.ends_with(end))
        || ["example.com", "example.net", "example.org"]
            .iter()
            .any(|end| host.ends_with(end))
}

/// The hosts in a text's addresses.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let addresses = ["http://", "https://"]
        .into_iter()
        .flat_map(|scheme| text.split(scheme).skip(1));
    addresses.map(|rest| {
        let end = rest.find(|c: char| "/:\"'`)>,;".contains(c) || c.is_whitespace());
        let host = &rest[..end.unwrap_or(rest.len())];
        // A line's end, as it is written in a string.
        host.split("\\n").next().unwrap_or(host)
    })
}

/// What of a text names a machine: each strange host, each of the `paths`.
fn strangers(text: &str, paths: &[String]) -> Vec<String> {
    let hosts = hosts(text).filter(|host| !PUBLIC.contains(host) && !stands_for_nobody(host));
    let paths = paths.iter().filter(|path| text.contains(path.as_str()));
    hosts.map(str::to_owned).chain(paths.cloned()).collect()
}

/// The directories of the machine that builds this. One of a single component,
/// such as /src, is too short to tell.
fn paths_of_this_machine() -> Vec<String> {
    let mut paths = vec![env!("CARGO_MANIFEST_DIR").to_owned()];
    for name in ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR"] {
        paths.extend(std::env::var(name));
    }
    paths.retain(|path| Path::new(path).is_absolute() && Path::new(path).components().count() > 2);
    paths
}

fn committed_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(root)
        .output()
        .unwrap_or_else(|error| panic!("git cannot be run: {error}; install git"));
    assert!(output.status.success(), "git ls-files: {output:?}");
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    names
        .split_terminator('\0')
        .map(|name| root.join(name))
        .collect()
}

#[test]
fn no_file_names_a_machine_or_a_strange_host() {
    let paths = paths_of_this_machine();
    let files = committed_files();
    assert!(
        files.iter().any(|file| file.ends_with("tests/tree.rs")),
        "{files:?}"
    );
    let mut found = Vec::new();
    for file in files {
        // One that was deleted and not yet committed so is not there.
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        for stranger in strangers(&String::from_utf8_lossy(&bytes), &paths) {
            found.push(format!("{}: {stranger}", file.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_strange_host_and_a_path_of_this_machine_are_seen() {
    let paths = ["/somewhere/else".to_owned()];
    // Put together here, so that this file has none of them.
    let scheme = "http:";
    let text = format!(
        "/somewhere/else/x {scheme}//mirror.corp/index {scheme}//10.0.0.1:8080 \
         {scheme}//docs.rs/ {scheme}//127.0.0.1:80/ {scheme}//ocsp.example/ {scheme}//[::1]/"
    );
    let found = strangers(&text, &paths);
    assert_eq!(found, ["mirror.corp", "10.0.0.1", "/somewhere/else"]);
}

/// The variables that a text names between these two marks.
fn variables<'t>(text: &'t str, before: &str, after: &str) -> BTreeSet<&'t str> {
    let names = text
        .split(before)
        .skip(1)
        .filter_map(|rest| rest.split_once(after));
    let variables = names.map(|(name, _)| name);
    variables
        .filter(|name| name.starts_with("STAPLEGUN_"))
        .collect()
}

#[test]
fn the_readme_has_a_row_for_each_variable_and_none_besides() {
    let read = variables(include_str!("../src/config.rs"), "c\"", "\"");
    let described = variables(include_str!("../README.md"), "\n| `", "` |");
    assert!(read.contains("STAPLEGUN_LOG"), "{read:?}");
    assert_eq!(read, described);
}

/// The tests that a text names, as `path::name` in backquotes.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|words| words.split_once(".rs::"))
        .collect()
}

/// Those of them that are not there.
fn missing_tests<'t>(text: &'t str, root: &Path) -> Vec<(&'t str, &'t str)> {
    let is_there = |(path, name): &(&str, &str)| {
        let source = std::fs::read_to_string(root.join(format!("{path}.rs"))).unwrap_or_default();
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let begins = format!("fn {name}(");
        lines
            .windows(2)
            .any(|pair| pair[0].starts_with('#') && pair[1].starts_with(&begins))
    };
    let mut named = named_tests(text);
    named.retain(|test| !is_there(test));
    named
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = include_str!("../docs/security.md");
    assert!(named_tests(page).len() > 50);
    assert_eq!(missing_tests(page, root), []);
    let wrong = "`tests/tree.rs::no_such_test` `tests/tree.rs::named_tests` `no/such.rs::test`";
    assert_eq!(missing_tests(wrong, root).len(), 3);
}
