//! What `make mutants` asks of a library whose code it has changed, after the unit tests: that C
//! programs, then hostile hosts, then servers find it as it was, and last that nothing else comes of
//! what fails inside it. The quickest come first, and the first that notices ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::Directory;

/// Tests of this package that run programs on the library and hold what it decides.
const TESTS: [&str; 14] = [
    "agreement",
    "bad_input",
    "ca_files",
    "chain",
    "clients",
    "files",
    "issuer",
    "judgement",
    "live_map",
    "must_staple",
    "quiet",
    "renewal",
    "repair",
    "rotation",
];

fn passes(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "it builds the library, and runs what make check runs with the one that is released"]
fn the_library_that_is_built_of_this_tree_does_what_it_promises() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = |words: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(words).args(["--locked", "--package=staplegun"]);
        cargo.current_dir(root);
        cargo
    };
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), PathBuf::from);
    passes(&mut cargo(&["build", "--lib"]));
    // Servers run as other users, who need not be able to enter the target directory.
    let copy = Directory::new();
    let library = copy.join("libstaplegun.so");
    std::fs::copy(target.join("debug/libstaplegun.so"), &library).expect("it was built");
    let run = |runner: &str, words: &[&str]| {
        let mut run = Command::new(root.join(runner));
        passes(run.args(words).arg("--quick").arg("--shim").arg(&library));
    };
    run("ctest/run", &["--images=3.0"]);
    run("ctest/hosts/run", &["--images=3.0"]);
    // What an old libssl lacks, what only a new one takes, and where its own functions call each
    // other around the library.
    run("ctest/run", &["--images=1.0.2q,3.6"]);
    run("ctest/hosts/run", &["--images=3.6"]);
    let mut tests = cargo(&["test", "--all-features"]);
    tests.args(TESTS.map(|test| format!("--test={test}")));
    passes(tests.env("STAPLEGUN_LIB", &library));
    passes(&mut cargo(&["build", "--lib", "--features=faults"]));
    let test_build = copy.join("test-build.so");
    std::fs::copy(target.join("debug/libstaplegun.so"), &test_build).expect("it was built");
    let mut faults = Command::new(root.join("ctest/faults/run"));
    faults.arg("--quick").arg("--shim").arg(&library);
    passes(faults.arg("--test-build").arg(&test_build));
}
