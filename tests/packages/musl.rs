//! Those for musl, in a root that has musl, busybox and a server, and no file of glibc's. The
//! servers are those of tools/musl-servers, in the directory that STAPLEGUN_SERVERS names.

use std::ffi::OsString;
use std::fs::{copy, create_dir_all};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::{Directory, Program, Server};

use super::{Scene, output_of, package};

const MACHINE: &str = std::env::consts::ARCH;
/// Mounts what a program needs, in a namespace of its own, and becomes it, as somebody without
/// rights; "$0" is the root.
const ENTER: &str = "mount -t proc proc \"$0/proc\"; mount --bind /dev \"$0/dev\"; \
                     exec chroot --userspec=65534:65534 \"$0\" \"$@\"";

struct Root {
    scene: Scene,
    directory: Directory,
}

impl Root {
    /// With this package in /package, and the servers in /srv.
    fn new(end: &str) -> Self {
        let scene = Scene::new();
        let directory = Directory::new();
        let root = Self { scene, directory };
        for name in ["bin", "lib", "proc", "dev", "srv", "package"] {
            create_dir_all(root.at(name)).expect("a directory");
        }
        let loader = format!("lib/ld-musl-{MACHINE}.so.1");
        copy(Path::new("/").join(&loader), root.at(&loader)).expect("the package musl has it");
        copy("/bin/busybox", root.at("bin/busybox")).expect("the package busybox-static has it");
        for name in output_of(Command::new("/bin/busybox").arg("--list")).lines() {
            if name != "busybox" {
                symlink("busybox", root.at("bin").join(name)).expect("a link");
            }
        }
        let servers = std::env::var_os("STAPLEGUN_SERVERS").expect("see tools/musl-servers");
        copy_all(Path::new(&servers), &root.at("srv"));
        let libraries = Path::new(&servers).read_dir().expect("it can be read");
        for library in libraries.map(|entry| entry.expect("it can be read")) {
            if library.file_name().to_string_lossy().starts_with("lib") {
                copy(library.path(), root.at("lib").join(library.file_name())).expect("a copy");
            }
        }
        let of_site = root.scene.site.directory.path();
        create_dir_all(root.at(of_site)).expect("a directory");
        copy_all(&of_site.join("."), &root.at(of_site));
        let work = root.at(root.scene.work.path());
        create_dir_all(&work).expect("a directory");
        set_mode(&work, 0o1777);
        let package = package(end);
        let name = package.file_name().expect("it is a file");
        copy(&package, root.at("package").join(name)).expect("a copy");
        root
    }

    /// Where a path of the root is outside of it.
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.directory
            .path()
            .join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The words that enter it.
    fn enter(&self) -> Vec<OsString> {
        let root = self.directory.path().as_os_str().to_owned();
        let words = ["unshare", "--mount", "sh", "-ec", ENTER].map(Into::into);
        words.into_iter().chain([root]).collect()
    }

    /// What a shell there says to these lines, which must succeed, in the scene's directory.
    fn shell(&self, lines: &str) -> String {
        let work = self.scene.work.path().display();
        output_of(
            Command::new("setpriv")
                .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/bin"])
                .arg(format!("HOME={work}"))
                .args(self.enter())
                .args(["/bin/sh", "-ec", &format!("cd {work}; {lines}")]),
        )
    }

    /// Redis there, perhaps by these words; whether it staples.
    fn redis(&self, staplegun: Option<&str>) -> (Server, Option<String>) {
        let site = |name| self.scene.site.path(name);
        let server = Program::start_on_free_port(|port| {
            let program = Program::new("/srv/redis-server")
                .args(["--bind", "127.0.0.1", "--port", "0", "--save", ""])
                .args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
                .args(["--tls-cert-file".into(), site("chain.pem")])
                .args(["--tls-key-file".into(), site("key.pem")])
                .args(["--tls-ca-cert-file".into(), site("ca.pem")]);
            self.there(program, staplegun)
        });
        let status = self.scene.status(&server);
        (server, status)
    }

    /// Started in the root, by that program if there is one.
    fn there(&self, program: Program, staplegun: Option<&str>) -> Program {
        let words = staplegun.map(|path| self.scene.run(&[Path::new(path)], "10s"));
        let program = program.under(words.unwrap_or_default());
        program
            .env("HOME", self.scene.work.path())
            .under(self.enter())
    }
}

/// A directory with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    output_of(Command::new("cp").args(["-r", "-T"]).arg(from).arg(to));
}

#[test]
#[ignore = "make check-packages-musl makes it"]
fn a_tarball_ends_with_redis_stapled_where_a_plain_user_unpacked_and_installed_it() {
    let root = Root::new(".tar.gz");
    assert_eq!(root.redis(None).1, None);
    let work = root.scene.work.path().display().to_string();
    root.shell("tar -xzf /package/*.tar.gz; mv staplegun-* unpacked");
    let (server, status) = root.redis(Some(&format!("{work}/unpacked/bin/staplegun")));
    assert_eq!(status.as_deref(), Some("good"));
    drop(server);
    root.shell("unpacked/install.sh --prefix $PWD/prefix; rm -r unpacked");
    let (_server, status) = root.redis(Some(&format!("{work}/prefix/bin/staplegun")));
    assert_eq!(status.as_deref(), Some("good"));
}

/// Laid out as pip does it, since there is no Python on musl to have a pip.
#[test]
#[ignore = "make check-packages-musl makes it"]
fn a_wheel_laid_out_as_an_environment_ends_with_redis_stapled() {
    let root = Root::new(".whl");
    let work = root.scene.work.path().display().to_string();
    root.shell(
        "mkdir wheel environment environment/bin; unzip -q /package/*.whl -d wheel
         mv wheel/*.data/data/* environment; mv wheel/*.data/scripts/* environment/bin
         chmod 755 environment/bin/staplegun",
    );
    let (_server, status) = root.redis(Some(&format!("{work}/environment/bin/staplegun")));
    assert_eq!(status.as_deref(), Some("good"));
}

/// Without apk itself, which Debian does not have.
#[test]
#[ignore = "make check-packages-musl makes it"]
fn an_apk_unpacked_in_the_root_ends_with_redis_stapled() {
    let root = Root::new(".apk");
    output_of(
        Command::new("tar")
            .args(["--warning=none", "-xzf"])
            .arg(package(".apk"))
            .arg("-C")
            .arg(root.directory.path())
            .args(["usr", "etc"]),
    );
    let (_server, status) = root.redis(Some("/usr/bin/staplegun"));
    assert_eq!(status.as_deref(), Some("good"));
    let about = output_of(
        Command::new("tar")
            .arg("-xzOf")
            .arg(package(".apk"))
            .arg(".PKGINFO"),
    );
    // On a system without musl apk says that it is missing.
    for line in ["pkgname = staplegun", "arch = x86_64", "depend = musl"] {
        assert!(about.lines().any(|found| found == line), "{about}");
    }
}
