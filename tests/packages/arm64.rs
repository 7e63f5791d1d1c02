//! Those for arm64, by tools/arm64-run: programs, servers and Python are for arm64 then, and qemu
//! runs them. It does not let `staplegun run` start an agent: the tests do that.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::{Program, Server, wait};

use super::{
    Scene, USER, environment, installed, output_of, package, package_named, root_with, unpacked,
};

/// Seconds that a program may wait for its response; an emulator takes long.
const PATIENCE: &str = "60s";

fn python() -> PathBuf {
    let servers = std::env::var_os("STAPLEGUN_SERVERS").expect("tools/arm64-run sets it");
    Path::new(&servers).join("python3")
}

/// A server that does not staple alone does by this program, whose agent is there already.
fn ends_with_a_server_stapled(scene: &Scene, program: &Path, python: &Path) {
    is_for_arm64(program);
    let alone = scene.app(python).start();
    assert_eq!(scene.status(&alone), None);
    let _agent = agent(scene, program);
    let words = scene.run(&[program], PATIENCE);
    let server = scene.app(python).under(words).start();
    assert_eq!(scene.status(&server).as_deref(), Some("good"));
}

fn agent(scene: &Scene, program: &Path) -> Server {
    let store = scene.work.join("store");
    let agent = Program::new(program)
        .args(["agent", "--metrics-port", "0", "--dir"])
        .arg(&store)
        .env("HOME", scene.work.path())
        .user(USER)
        .start();
    let spool = store.join("spool");
    wait::until("the agent has made its spool", || {
        spool.is_dir().then_some(())
    });
    agent
}

/// Is for arm64: nothing of this machine's own was tested instead.
fn is_for_arm64(file: &Path) {
    let header = output_of(Command::new("readelf").arg("--file-header").arg(file));
    assert!(header.contains("AArch64"), "{header}");
}

/// By dpkg's tool alone: that apt has what they need is for tools/deb-check.
#[test]
#[ignore = "tools/arm64-run can"]
fn deb_packages_unpacked_in_a_root_end_with_a_server_stapled() {
    let scene = Scene::new();
    let root = scene.work.join("root");
    for name in ["staplegun_", "libstaplegun0_"] {
        let deb = package_named(name, "_arm64.deb");
        output_of(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(deb)
                .arg(&root),
        );
    }
    let program = root.join("usr/bin/staplegun");
    ends_with_a_server_stapled(&scene, &program, &python());
}

#[test]
#[ignore = "tools/arm64-run can"]
fn a_tarball_ends_with_a_server_stapled_where_a_plain_user_unpacked_it() {
    let scene = Scene::new();
    let program = unpacked(&scene.work).join("bin/staplegun");
    ends_with_a_server_stapled(&scene, &program, &python());
}

#[test]
#[ignore = "tools/arm64-run can"]
fn a_tarball_ends_with_a_server_stapled_where_a_plain_user_installed_it() {
    let scene = Scene::new();
    let program = installed(&scene.work).0.join("bin/staplegun");
    ends_with_a_server_stapled(&scene, &program, &python());
}

/// By pip of Python for arm64, which takes no wheel for another machine.
#[test]
#[ignore = "tools/arm64-run can"]
fn a_wheel_in_a_fresh_environment_ends_with_a_server_stapled() {
    let scene = Scene::new();
    let environment = environment(&python(), &scene.work);
    let program = environment.join("bin/staplegun");
    ends_with_a_server_stapled(&scene, &program, &environment.join("bin/python"));
}

/// By rpm, pacman and tar of this machine, as those for it are installed.
#[test]
#[ignore = "tools/arm64-run can"]
fn an_rpm_in_a_root_ends_with_a_server_stapled() {
    let words = ["rpm", "--query", "--queryformat", "%{ARCH}", "--package"];
    let made_for = output_of(
        Command::new(words[0])
            .args(&words[1..])
            .arg(package(".rpm")),
    );
    assert_eq!(made_for, "aarch64");
    let words = ["rpm", "--root", "ROOT", "--install", "--ignorearch"];
    let install = [&words[..], &["--nodeps", "--noscripts", "PACKAGE"]].concat();
    let before = ["rpm", "--root", "ROOT", "--initdb"];
    a_root_ends_with_a_server_stapled(".rpm", &[&before, &install]);
}

#[test]
#[ignore = "tools/arm64-run can"]
fn archs_package_in_a_root_ends_with_a_server_stapled() {
    let words = ["pacman", "--root", "ROOT", "--arch", "aarch64"];
    let install = [
        &words[..],
        &["--noconfirm", "--noscriptlet", "-Udd", "PACKAGE"],
    ]
    .concat();
    let before = ["mkdir", "-p", "ROOT/var/lib/pacman"];
    a_root_ends_with_a_server_stapled(".pkg.tar.zst", &[&before, &install]);
}

#[test]
#[ignore = "tools/arm64-run can"]
fn an_apk_unpacked_in_a_root_ends_with_a_server_stapled() {
    let words = ["tar", "--warning=none", "-xzf", "PACKAGE", "-C", "ROOT"];
    let install = [&words[..], &["usr", "etc"]].concat();
    a_root_ends_with_a_server_stapled(".apk", &[&install]);
    let show = ["-xzOf", ".PKGINFO"];
    let about = output_of(
        Command::new("tar")
            .arg(show[0])
            .arg(package(".apk"))
            .arg(show[1]),
    );
    assert!(
        about.lines().any(|line| line == "arch = aarch64"),
        "{about}"
    );
}

fn a_root_ends_with_a_server_stapled(end: &str, install: &[&[&str]]) {
    let scene = Scene::new();
    let program = root_with(&scene, end, install).join("usr/bin/staplegun");
    ends_with_a_server_stapled(&scene, &program, &python());
}
