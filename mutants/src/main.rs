//! Writes what changes of a tree's files are:
//!
//!     staplegun-mutants weave SOURCE TREE LIST LEFT-OUT REPORT
//!     staplegun-mutants plain SOURCE TREE LIST ID
//!
//! SOURCE is the tree as it is, and TREE where the files of LIST are written, if they are others than
//! what is there. `weave` puts all changes in, each behind a switch, but for those that LEFT-OUT
//! numbers; REPORT tells where they are, and which cannot be switched. `plain` puts in one, as it is.
//! LIST is what cargo-mutants wrote, with an `id` for each change.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use staplegun_mutants::{Change, Constants, Place, plain, weave};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What tools/mutants reads.
#[derive(Debug, Default, Serialize)]
struct Report {
    places: BTreeMap<String, Vec<Place>>,
    apart: BTreeMap<u32, &'static str>,
    refused: BTreeSet<u32>,
}

fn text_of(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(serde_json::from_str(&text_of(path)?)?)
}

/// What is the same stays, so that nothing is compiled anew for it. Where a directory has changed
/// files only, nobody has made it yet.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        let directory = path.parent().unwrap_or(path);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Every file of Rust below a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn by_file(list: Vec<Change>) -> BTreeMap<String, Vec<Change>> {
    let mut files: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for change in list {
        files.entry(change.file.clone()).or_default().push(change);
    }
    files
}

fn weave_all(
    source: &Path,
    tree: &Path,
    list: &Path,
    left_out: &Path,
    report: &Path,
) -> Result<()> {
    let left_out: BTreeSet<u32> = read(left_out)?;
    let mut files = Vec::new();
    sources(source, &mut files)?;
    let mut constants = Constants::default();
    for file in files {
        let read = constants.add(&text_of(&file)?);
        read.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let constants = constants.closed();
    let mut told = Report::default();
    for (name, mut changes) in by_file(read(list)?) {
        changes.retain(|change| !left_out.contains(&change.id));
        let woven = weave(&text_of(&source.join(&name))?, &changes, &constants)?;
        write(&tree.join(&name), &woven.text)?;
        told.apart.extend(woven.apart);
        told.refused.extend(woven.refused);
        told.places.insert(name, woven.places);
    }
    fs::write(report, serde_json::to_string(&told)?)?;
    Ok(())
}

fn change_one(source: &Path, tree: &Path, list: &Path, id: u32) -> Result<()> {
    for (name, changes) in by_file(read(list)?) {
        let text = text_of(&source.join(&name))?;
        let change = changes.iter().find(|change| change.id == id);
        let text = change.map_or(text.clone(), |change| plain(&text, change));
        write(&tree.join(&name), &text)?;
    }
    Ok(())
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["weave", source, tree, list, left_out, report] => weave_all(
            source.as_ref(),
            tree.as_ref(),
            list.as_ref(),
            left_out.as_ref(),
            report.as_ref(),
        ),
        ["plain", source, tree, list, id] => {
            change_one(source.as_ref(), tree.as_ref(), list.as_ref(), id.parse()?)
        }
        _ => Err("weave SOURCE TREE LIST LEFT-OUT REPORT, or plain SOURCE TREE LIST ID".into()),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("staplegun-mutants: {error}");
            ExitCode::FAILURE
        }
    }
}
