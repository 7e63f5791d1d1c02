//! `make install` and `make uninstall`: what is brought where and taken away again, and what of
//! the operator's they leave alone. What is installed is made up: nothing is built for it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use staplegun_testkit::Directory;

fn make(target: &str, built: &Directory, root: &Directory) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new("make")
        // As if it had been built.
        .args(["--silent", "--old-file=all", target, "PREFIX=/opt/sg"])
        .arg(format!("DESTDIR={}", root.path().display()))
        .env("CARGO_TARGET_DIR", built.path())
        .env_remove("MAKEFLAGS")
        .current_dir(repository)
        .output()
        .expect("make runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

fn built() -> Directory {
    let built = Directory::new();
    std::fs::create_dir(built.join("release")).expect("a directory");
    for (name, bytes) in [("libstaplegun.so", "a library"), ("staplegun", "a program")] {
        std::fs::write(built.join("release").join(name), bytes).expect("it can be written");
    }
    built
}

/// Where the library for musl is then, below the prefix.
fn place_for_musl() -> String {
    format!("lib/{}-linux-musl", std::env::consts::ARCH)
}

/// As `make musl` leaves it.
fn build_for_musl(built: &Directory) {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let directory = built.join("musl/library").join(triple).join("release");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("libstaplegun.so"), "for musl").expect("it can be written");
}

#[test]
fn make_install_brings_the_units_too_and_leaves_the_operators_configuration_alone() {
    let (built, root) = (built(), Directory::new());
    make("install", &built, &root);
    let for_musl = root.join("opt/sg").join(place_for_musl());
    assert!(!for_musl.exists());
    build_for_musl(&built);
    make("install", &built, &root);
    let for_musl = std::fs::read_to_string(for_musl.join("libstaplegun.so.0"));
    assert_eq!(for_musl.expect("it is there"), "for musl");
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
    let renewed = read("opt/sg/lib/systemd/system/staplegun-renewed.service");
    assert!(renewed.contains("\nExecStart=/opt/sg/bin/staplegun add --renewed\n"));
    assert!(read("opt/sg/lib/systemd/system/staplegun-renewed.timer").contains("[Timer]"));
    for hook in ["certbot", "dehydrated"] {
        let path = root.join("opt/sg/share/staplegun/hooks").join(hook);
        let mode = std::fs::metadata(path)
            .expect("a hook")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755, "{hook}");
    }
    for (file, word) in [
        ("prometheus/alerts.yml", "StaplegunRevoked"),
        ("grafana/staplegun.json", "schemaVersion"),
        ("node.cjs", "OCSPRequest"),
    ] {
        assert!(read(&format!("opt/sg/share/staplegun/{file}")).contains(word));
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
    make("install", &built, &root);
    assert_eq!(read("etc/staplegun/agent.toml"), "threads = 3\n");
}

/// Every file below a directory, relative to it.
fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let found = Command::new("find")
        .current_dir(root)
        .args([".", "!", "-type", "d"])
        .output()
        .expect("find runs");
    assert!(found.status.success());
    let lines = String::from_utf8(found.stdout).expect("UTF-8");
    lines.lines().map(Into::into).collect()
}

#[test]
fn make_uninstall_takes_away_what_make_install_brought_and_nothing_else() {
    let (built, root) = (built(), Directory::new());
    build_for_musl(&built);
    make("install", &built, &root);
    let theirs = root.join("opt/sg/lib/libother.so");
    std::fs::write(&theirs, "another's").expect("it can be written");
    // Without what was built, too.
    make("uninstall", &Directory::new(), &root);
    assert_eq!(files(root.path()), [Path::new("./opt/sg/lib/libother.so")]);
    let for_musl = format!("opt/sg/{}", place_for_musl());
    for gone in ["opt/sg/share/staplegun", "etc/staplegun", &for_musl] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    // Twice does no harm, and what the operator wrote stays.
    make("install", &built, &root);
    std::fs::write(root.join("etc/staplegun/agent.toml"), "threads = 3\n").expect("written");
    make("uninstall", &built, &root);
    make("uninstall", &built, &root);
    let mut left = files(root.path());
    left.sort();
    let kept = ["./etc/staplegun/agent.toml", "./opt/sg/lib/libother.so"].map(Path::new);
    assert_eq!(left, kept);
}
