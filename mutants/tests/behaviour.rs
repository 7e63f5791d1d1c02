//! With a change on, a woven program does what the program does that cargo-mutants would have built:
//! each change of tests/fixture/code.rs, in all that its functions return for some arguments.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_mutants::{Change, Constants, plain, weave};

const FIXTURE: &str = include_str!("fixture/code.rs");
const LIST: &str = include_str!("fixture/list.json");

/// What a module of the fixture is asked, put at its end: for two numbers each.
const CALLS: &str = r#"
pub const CALLS: [fn(i32, i32) -> String; 8] = [
    |a, b| conditions(a, b).to_string(),
    |a, b| chain(Some(a), b).to_string(),
    |a, b| mixed(a, b, 3).to_string(),
    |a, b| mixed(a, 5, b).to_string(),
    |a, b| bits(a as u32, b as u32).to_string(),
    |a, _| format!("{:?} {} {}", at(a), arms(a), chain(None, a)),
    |a, _| format!("{:?} {:?}", some(a as u8 & 15).collect::<Vec<u8>>(), row()),
    |a, _| format!("{:?} {}", maybe(a as u8 & 15), doubled(a as u8 & 15)),
];
"#;

/// Compares the module `woven` with a change on with the modules that have it in them.
const MAIN: &str = r#"
fn observe(calls: &[fn(i32, i32) -> String]) -> Vec<String> {
    let numbers = [-4, -1, 0, 1, 2, 3, 4, 5, 6, 9];
    let pairs = numbers.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b)));
    let each = pairs.flat_map(|(a, b)| calls.iter().map(move |call| (call, a, b)));
    each.map(|(call, a, b)| {
        std::panic::catch_unwind(|| call(a, b)).unwrap_or_else(|_| "panics".to_owned())
    }).collect()
}

fn switch(change: u32, to: u8) {
    use std::os::unix::fs::FileExt;
    let map = std::fs::File::options().write(true).open(env!("STAPLEGUN_MUTANTS_MAP"));
    map.unwrap().write_all_at(&[to], change.into()).unwrap();
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let unchanged = observe(&woven::CALLS);
    assert!(unchanged == observe(&original::CALLS));
    let mut wrong = Vec::new();
    let mut differ = 0;
    for &(change, name, plain) in PLAIN {
        switch(change, staplegun_switch::ON);
        let seen = observe(&woven::CALLS);
        switch(change, 0);
        if seen != observe(plain) {
            wrong.push(name);
        }
        differ += usize::from(seen != unchanged);
    }
    // With none on, which marks them all.
    assert!(observe(&woven::CALLS) == unchanged);
    println!("{differ} differ, wrong: {wrong:?}");
    std::process::exit(i32::from(!wrong.is_empty() || differ < 90));
}

const PLAIN: &[(u32, &str, &[fn(i32, i32) -> String])] = "#;

fn rustc(directory: &Path, words: &[&str]) {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(compiler);
    rustc
        .args(["--edition=2024", "--cap-lints=allow", "--out-dir"])
        .arg(directory);
    rustc.env("STAPLEGUN_MUTANTS_MAP", directory.join("map"));
    let output = rustc.args(words).output().expect("rustc can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_change_that_is_on_does_what_it_does_where_it_is_built() {
    let changes: Vec<Change> = serde_json::from_str(LIST).expect("it is a list");
    let mut constants = Constants::default();
    constants.add(FIXTURE).expect("it is Rust");
    let woven = weave(FIXTURE, &changes, &constants.closed()).expect("it is Rust");
    let names = |keep: &dyn Fn(&Change) -> bool| -> Vec<&str> {
        let kept = changes.iter().filter(|change| keep(change));
        kept.map(|change| change.name.as_str()).collect()
    };
    assert_eq!(
        names(&|change| woven.refused.contains(&change.id)),
        [
            "48:9: replace && with || in chain",
            "47:9: replace && with || in chain"
        ]
    );
    assert_eq!(
        names(&|change| woven.apart.contains_key(&change.id)),
        [
            "69:24: replace * with +",
            "69:24: replace * with /",
            "71:28: replace + with - in row",
            "71:28: replace + with * in row",
            "72:15: replace + with - in row",
            "72:15: replace + with * in row",
            "80:5: replace kept -> u8 with 0",
            "80:5: replace kept -> u8 with 1",
            "80:7: replace + with - in kept",
            "80:7: replace + with * in kept",
        ]
    );
    let module = |name: &str, text: &str| format!("mod {name} {{ {} {CALLS} }}\n", body(text));
    let mut modules = module("woven", &woven.text) + &module("original", FIXTURE);
    let mut list = String::new();
    let is_switched = |change: &Change| {
        !woven.refused.contains(&change.id) && !woven.apart.contains_key(&change.id)
    };
    for change in changes.iter().filter(|change| is_switched(change)) {
        let name = format!("plain_{}", change.id);
        modules += &module(&name, &plain(FIXTURE, change));
        list += &format!("({}, {:?}, &{name}::CALLS), ", change.id, change.name);
    }
    let directory = Temporary::new();
    let write = |name: &str, text: &[u8]| {
        std::fs::write(directory.0.join(name), text).expect("it can be written");
    };
    write("map", &vec![0; staplegun_switch::LENGTH]);
    write("main.rs", format!("{modules}{MAIN}&[{list}];").as_bytes());
    let switch = Path::new(env!("CARGO_MANIFEST_DIR")).join("switch/src/lib.rs");
    rustc(
        &directory.0,
        &[
            "--crate-type=rlib",
            "--crate-name=staplegun_switch",
            text(&switch),
        ],
    );
    let library = format!(
        "staplegun_switch={}/libstaplegun_switch.rlib",
        text(&directory.0)
    );
    rustc(
        &directory.0,
        &["--extern", &library, text(&directory.0.join("main.rs"))],
    );
    let program = directory.0.join("main");
    let output = Command::new(&program).output().expect("it was built");
    assert!(output.status.success(), "{output:?}");
    // What was asked for is marked.
    let map = std::fs::read(directory.0.join("map")).expect("it is there");
    for change in &changes {
        let mark = map[change.id as usize];
        let asked = if is_switched(change) {
            staplegun_switch::ASKED
        } else {
            0
        };
        assert_eq!(mark, asked, "{}", change.name);
    }
}

/// A file as a module's body: without what it says of itself.
fn body(file: &str) -> String {
    let lines = file.lines().filter(|line| !line.starts_with("//!"));
    lines.collect::<Vec<_>>().join("\n")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        let name = format!("staplegun-mutants-test-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("it can be made");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
