//! What the library is made of: docs/security.md names every crate in it, with its
//! licence and its reason, and Cargo.lock pins each to bytes of the registry.

use std::collections::BTreeMap;
use std::process::Command;

const SECURITY: &str = include_str!("../docs/security.md");
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One of these must be among the licences that a crate offers.
const LICENCES: [&str; 2] = ["MIT", "Apache-2.0"];
/// What may be demanded besides.
const BESIDES: [&str; 1] = ["Unicode-3.0"];

/// Crate -> licence, of everything that a package of the workspace is built from on
/// this platform, without its build script and tests.
fn crates_in(package: &str) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", package])
        .args([
            "--edges", "normal", "--prefix", "none", "--format", "{p}|{l}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let tree = String::from_utf8(output.stdout).expect("names are UTF-8");
    let crates = tree.lines().filter_map(|line| {
        let (name, licence) = line.split_once('|')?;
        let name = name.split(' ').next()?;
        // cargo marks what it has shown before.
        let licence = licence.trim_end_matches("(*)").trim();
        Some((name.to_owned(), licence.to_owned()))
    });
    crates
        .filter(|(name, _)| !name.starts_with("staplegun"))
        .collect()
}

/// Crate -> licence, as the page has them; each row must give a reason.
fn crates_in_the_table() -> BTreeMap<String, String> {
    let (_, section) = SECURITY
        .split_once("\n## What the library depends on\n")
        .expect("the section is there");
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let &[name, licence, why] = cells.as_slice() else {
            panic!("not three cells: {row}");
        };
        assert!(!why.trim().is_empty(), "no reason: {row}");
        (name.trim_end_matches('`').to_owned(), licence.to_owned())
    })
    .collect()
}

/// Whether an expression of SPDX, as crates write it, can be met by what is allowed.
fn allowed(licence: &str) -> bool {
    licence.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')']);
        let mut offered = part.split(" OR ").flat_map(|one| one.split('/'));
        offered.any(|one| LICENCES.contains(&one)) || BESIDES.contains(&part)
    })
}

#[test]
fn the_table_has_every_crate_in_the_library() {
    assert_eq!(crates_in("staplegun"), crates_in_the_table());
}

#[test]
fn every_licence_is_allowed() {
    let mut all = crates_in("staplegun-cli");
    all.extend(crates_in("staplegun"));
    let strange: Vec<_> = all
        .iter()
        .filter(|(_, licence)| !allowed(licence))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    for bad in ["GPL-3.0", "MPL-2.0", "MIT AND GPL-3.0", ""] {
        assert!(!allowed(bad), "{bad}");
    }
}

/// What of a Cargo.lock does not come from the registry by its checksum.
fn loose(lock: &str) -> Vec<&str> {
    let value = |entry: &'static str| {
        move |line: &str| -> Option<String> {
            Some(
                line.strip_prefix(entry)?
                    .strip_prefix(" = ")?
                    .trim_matches('"')
                    .to_owned(),
            )
        }
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter(|package| {
            let find = |entry| package.lines().find_map(value(entry));
            let ours = find("name").is_some_and(|name| name.starts_with("staplegun"));
            match find("source") {
                None => !ours,
                Some(source) => {
                    source != REGISTRY || find("checksum").is_none_or(|sum| sum.len() != 64)
                }
            }
        })
        .collect()
}

#[test]
fn every_crate_is_of_the_registry_and_has_a_checksum() {
    for (lock, more_than) in [
        (include_str!("../Cargo.lock"), 50),
        (include_str!("../fuzz/Cargo.lock"), 50),
        (include_str!("../mutants/Cargo.lock"), 5),
    ] {
        assert!(lock.matches("\nchecksum = ").count() > more_than);
        assert_eq!(loose(lock), Vec::<&str>::new());
    }
    let git =
        "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"git+https://github.com/x/x\"\n";
    let bare = format!("[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"{REGISTRY}\"\n");
    assert_eq!(loose(git).len(), 1);
    assert_eq!(loose(&bare).len(), 1);
}
