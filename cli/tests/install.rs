//! `make install`: what is brought where, and what of the operator's it leaves
//! alone. What is installed is made up: nothing is built for it.

use std::path::Path;
use std::process::Command;

use staplegun_testkit::Directory;

fn install(built: &Directory, root: &Directory) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new("make")
        // As if it had been built.
        .args(["--silent", "--old-file=all", "install", "PREFIX=/opt/sg"])
        .arg(format!("DESTDIR={}", root.path().display()))
        .env("CARGO_TARGET_DIR", built.path())
        .env_remove("MAKEFLAGS")
        .current_dir(repository)
        .output()
        .expect("make runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

#[test]
fn make_install_brings_the_units_too_and_leaves_the_operators_configuration_alone() {
    let (built, root) = (Directory::new(), Directory::new());
    std::fs::create_dir(built.join("release")).expect("a directory");
    for (name, bytes) in [("libstaplegun.so", "a library"), ("staplegun", "a program")] {
        std::fs::write(built.join("release").join(name), bytes).expect("it can be written");
    }
    install(&built, &root);
    let read = |path: &str| {
        let path = root.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    assert_eq!(read("opt/sg/bin/staplegun"), "a program");
    assert_eq!(read("opt/sg/lib/libstaplegun.so"), "a library");
    for unit in ["staplegun.service", "staplegun-fill.service"] {
        let unit = read(&format!("opt/sg/lib/systemd/system/{unit}"));
        assert!(
            unit.contains("\nExecStart=/opt/sg/bin/staplegun agent "),
            "{unit}"
        );
        assert!(!unit.contains("/usr/bin/"), "{unit}");
    }
    assert!(read("opt/sg/lib/sysusers.d/staplegun.conf").contains("u staplegun"));
    assert!(read("opt/sg/lib/tmpfiles.d/staplegun.conf").contains("/run/staplegun/spool"));
    assert!(read("opt/sg/lib/pkgconfig/staplegun.pc").contains("/opt/sg"));
    assert!(read("etc/staplegun/agent.toml").contains("map-size"));
    assert!(read("opt/sg/share/man/man1/staplegun-run.1").contains(".TH staplegun-run"));
    assert!(read("opt/sg/share/man/man5/agent.toml.5").contains("map\\-size"));
    assert!(read("opt/sg/share/man/man7/staplegun.7").contains("STAPLEGUN_WAIT"));
    for completion in [
        "bash-completion/completions/staplegun",
        "zsh/site-functions/_staplegun",
        "fish/vendor_completions.d/staplegun.fish",
    ] {
        assert!(read(&format!("opt/sg/share/{completion}")).contains("probe"));
    }
    let configuration = root.join("etc/staplegun/agent.toml");
    std::fs::write(configuration, "threads = 3\n").expect("it can be written");
    install(&built, &root);
    assert_eq!(read("etc/staplegun/agent.toml"), "threads = 3\n");
}
