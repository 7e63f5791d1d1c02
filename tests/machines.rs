//! Where no machine can be booted, the check that needs one says so and passes: whoever reads
//! `make check` must not take that for more.

use std::fs;
use std::path::Path;
use std::process::Command;

use staplegun_testkit::Directory;
use staplegun_testkit::directory::set_mode;

/// Runs it without that right; what it said.
fn check_without(words: &[&str]) -> String {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    // Who has no rights may not even enter the repository.
    let copy = Directory::new();
    for name in ["systemd-check", "systemd_servers.py"] {
        fs::copy(tools.join(name), copy.join(name)).expect("it can be copied");
        set_mode(&copy.join(name), 0o755);
    }
    let output = Command::new("setpriv")
        .args(words)
        .arg("/usr/bin/python3")
        .arg(copy.join("systemd-check"))
        .args(["/nowhere", "/nowhere", "--quick"])
        .output()
        .expect("setpriv runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn where_no_machine_can_be_booted_that_is_said() {
    for (words, why) in [
        (
            &["--reuid", "65534", "--regid", "65534", "--clear-groups"][..],
            "only root can boot one",
        ),
        (
            &["--bounding-set", "-sys_admin"],
            "no namespaces can be made, or nothing mounted in them",
        ),
    ] {
        let said = check_without(words);
        let loud = "SKIPPED, NOTHING WAS TRIED UNDER SYSTEMD: ";
        assert!(said.contains(&format!("{loud}{why}")), "{said}");
    }
}
