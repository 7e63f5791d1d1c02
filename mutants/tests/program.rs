//! What the program lays out, of a source tree and a list in files.

use std::fs;
use std::process::Command;

const FIXTURE: &str = include_str!("fixture/code.rs");
const LIST: &str = include_str!("fixture/list.json");

#[test]
fn a_directory_whose_files_are_all_changed_is_made() {
    let directory = std::env::temp_dir().join(format!("weave-program-{}", std::process::id()));
    fs::create_dir(&directory).expect("a name of its own");
    let at = |name: &str| directory.join(name);
    let file = serde_json::from_str::<serde_json::Value>(LIST).expect("a list")[0]["file"].clone();
    let file = file.as_str().expect("a path").to_owned();
    let source = at("source").join(&file);
    fs::create_dir_all(source.parent().expect("a directory")).expect("made");
    fs::write(&source, FIXTURE).expect("written");
    fs::write(at("list"), LIST).expect("written");
    fs::write(at("left-out"), "[]").expect("written");
    let done = Command::new(env!("CARGO_BIN_EXE_staplegun-mutants"))
        .arg("weave")
        .args(["source", "tree", "list", "left-out", "report"].map(at))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let woven = fs::read_to_string(at("tree").join(&file));
    fs::remove_dir_all(&directory).expect("removed");
    assert!(done.status.success(), "{said}");
    assert!(woven.expect("it is there").contains("staplegun_switch"));
}
