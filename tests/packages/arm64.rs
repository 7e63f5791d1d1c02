//! Those for arm64, by tools/arm64-run: programs, servers and Python are for arm64 then, and qemu
//! runs them. It does not let `staplegun run` start an agent: the tests do that.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::{Program, Server, wait};

use super::{Scene, USER, output_of, package_named};

/// Seconds that a program may wait for its response; an emulator takes long.
const PATIENCE: &str = "60s";

fn python() -> PathBuf {
    let servers = std::env::var_os("STAPLEGUN_SERVERS").expect("tools/arm64-run sets it");
    Path::new(&servers).join("python3")
}

/// A server that does not staple alone does by this program, whose agent is there already.
fn ends_with_a_server_stapled(scene: &Scene, program: &Path, python: &Path) {
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
    is_for_arm64(&program);
    ends_with_a_server_stapled(&scene, &program, &python());
}
