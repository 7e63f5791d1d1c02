//! `staplegun enable` and `disable` where there is nothing to enable. What they do for real
//! services is tried on a machine of its own: tools/systemd-life.

use crate::support::{Said, staplegun};

#[test]
fn without_systemd_or_without_such_a_unit_nothing_is_done() {
    let why = if std::path::Path::new("/run/systemd/system").exists() {
        "there is no such unit"
    } else {
        "systemd does not run this machine"
    };
    for command in ["enable", "disable"] {
        let words = [command, "--dry-run", "no-such-unit-of-ours"];
        let mut command = staplegun(&words);
        // This library lies where only its owner may be able to read it.
        command.env_remove("STAPLEGUN_LIB");
        let said = Said::by(&mut command);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
        assert_eq!(said.out, "");
    }
}

#[test]
fn each_wants_a_unit() {
    for words in [&["enable"][..], &["disable"], &["disable", "--all", "x"]] {
        let said = Said::by(&mut staplegun(words));
        assert_eq!(said.status, 64, "{said:?}");
    }
    let said = Said::by(&mut staplegun(&["enable", "--help"]));
    assert!(said.out.contains("Exit status: 0 "), "{said:?}");
}
