//! What users install, as they install it: each ends with a server stapled that did not staple
//! before. The packages are those in STAPLEGUN_PACKAGES; without it, a tarball and a wheel of
//! what `make` built for this machine.

mod arm64;
mod musl;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::judge::Client;
use staplegun_testkit::responder::{OpensslResponder, Status};
use staplegun_testkit::{Directory, Identity, Program, Server, Site, Spec};

const PYTHON: &str = "/usr/bin/python3";
/// Somebody without rights, and without a home.
const USER: &str = "nobody";

/// A server that cannot staple; its arguments are chain and key.
const APP: &str = "
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The standard output of a command that must succeed.
fn output_of(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {errors}");
    String::from_utf8(done.stdout).expect("it writes UTF-8")
}

/// Where the packages are.
static PACKAGES: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(directory) = std::env::var_os("STAPLEGUN_PACKAGES") {
        return repository().join(directory);
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    // Left by a run before, perhaps.
    let _ = std::fs::remove_dir_all(&directory);
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../release");
    let built = built.canonicalize().expect("`make` has built it");
    let tarball = output_of(
        Command::new(repository().join("tools/dist"))
            .arg(&directory)
            .arg(&built),
    );
    output_of(
        Command::new(repository().join("tools/wheel"))
            .args([Path::new(tarball.trim()), &directory])
            // It needs the glibc and the libssl of this machine.
            .arg(format!("linux_{}", std::env::consts::ARCH)),
    );
    directory
});

/// The one package whose name ends so.
fn package(end: &str) -> PathBuf {
    package_named("", end)
}

/// The one whose name also begins so.
fn package_named(begin: &str, end: &str) -> PathBuf {
    let entries = std::fs::read_dir(&*PACKAGES).expect("the packages are there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        })
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A certificate with a responder that says good, and a directory for any user's things.
struct Scene {
    site: Site,
    work: Directory,
    _responder: OpensslResponder,
}

impl Scene {
    fn new() -> Self {
        let root = Identity::self_signed(&Spec::ca("Test root"));
        let spec = Spec::server().serial(&[0x42; 8]);
        let planned = root.issue(&spec);
        let responder = OpensslResponder::start(&root, &root, &[(&planned, Status::Good)]);
        let leaf = root.issue(&spec.ocsp_url(&responder.url()));
        let mut site = Site::new();
        site.write("ca.pem", root.pem());
        site.write("chain.pem", leaf.pem() + &root.pem());
        site.write("key.pem", leaf.key.pem());
        site.write("app.py", APP);
        site.root = root;
        site.leaf = leaf;
        let work = Directory::new();
        set_mode(work.path(), 0o1777);
        Self {
            site,
            work,
            _responder: responder,
        }
    }

    /// The server, by itself.
    fn app(&self, python: impl AsRef<std::ffi::OsStr>) -> Program {
        Program::new(python)
            .arg(self.site.path("app.py"))
            .args([self.site.path("chain.pem"), self.site.path("key.pem")])
            .env("HOME", self.work.path())
            .user(USER)
    }

    /// The same, started by `staplegun`, as one types it.
    fn started_by(&self, staplegun: &[&Path], python: &Path) -> Server {
        self.app(python).under(self.run(staplegun, "10s")).start()
    }

    /// The words of `staplegun run`, before those of a program.
    fn run(&self, staplegun: &[&Path], wait: &str) -> Vec<OsString> {
        let words = staplegun.iter().map(|word| word.as_os_str().to_owned());
        let run = ["run", "--wait", wait, "--dir"].map(Into::into);
        let last = [self.work.join("store").into_os_string(), "--".into()];
        words.chain(run).chain(last).collect()
    }

    fn status(&self, server: &Server) -> Option<String> {
        let client = Client::new(server.port(), &self.site.path("ca.pem"));
        let handshake = client.handshake();
        assert!(handshake.completed, "{}", handshake.output);
        handshake.shown("Cert Status").map(str::to_owned)
    }
}

/// The environment of this Python's into which the wheel was installed, in a directory.
fn environment(python: &Path, directory: &Directory) -> PathBuf {
    let environment = directory.join("environment");
    output_of(Command::new(python).args(["-m", "venv"]).arg(&environment));
    output_of(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--no-index", "--quiet"])
            .args(["--disable-pip-version-check"])
            .arg(package(".whl")),
    );
    environment
}

#[test]
fn a_wheel_in_a_fresh_environment_ends_with_a_server_stapled() {
    let scene = Scene::new();
    let environment = environment(Path::new(PYTHON), &scene.work);
    let python = environment.join("bin/python");
    let alone = scene.app(&python).start();
    assert_eq!(scene.status(&alone), None);
    let program = environment.join("bin/staplegun");
    let server = scene.started_by(&[&program], &python);
    assert_eq!(scene.status(&server).as_deref(), Some("good"));
    drop(server);
    let module = [&*python, Path::new("-m"), Path::new("staplegun")];
    let server = scene.started_by(&module, &python);
    assert_eq!(scene.status(&server).as_deref(), Some("good"));
}

/// The tarball, unpacked in a directory.
fn unpacked(directory: &Directory) -> PathBuf {
    let tarball = package(".tar.gz");
    output_of(
        Command::new("tar")
            .arg("-xzf")
            .arg(&tarball)
            .arg("-C")
            .arg(directory.path()),
    );
    let name = tarball.file_name().expect("it is a file").to_string_lossy();
    directory.join(name.trim_end_matches(".tar.gz"))
}

#[test]
fn a_tarball_ends_with_a_server_stapled_where_a_plain_user_unpacked_it() {
    let scene = Scene::new();
    let python = Path::new(PYTHON);
    let alone = scene.app(python).start();
    assert_eq!(scene.status(&alone), None);
    let program = unpacked(&scene.work).join("bin/staplegun");
    let server = scene.started_by(&[&program], python);
    assert_eq!(scene.status(&server).as_deref(), Some("good"));
}

/// Where a plain user installed the tarball, and the files that its install.sh said it wrote.
fn installed(directory: &Directory) -> (PathBuf, String) {
    let tree = unpacked(directory);
    let prefix = directory.join("prefix");
    let install = Program::new(tree.join("install.sh"))
        .arg("--prefix")
        .arg(&prefix)
        .user(USER);
    let done = install.run();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    // The installed one needs nothing of the unpacked one.
    std::fs::remove_dir_all(&tree).expect("it can be removed");
    let said = String::from_utf8(done.stdout).expect("names are UTF-8");
    (prefix, said)
}

#[test]
fn a_tarball_ends_with_a_server_stapled_where_a_plain_user_installed_it() {
    let scene = Scene::new();
    let (prefix, said) = installed(&scene.work);
    let program = prefix.join("bin/staplegun");
    let server = scene.started_by(&[&program], Path::new(PYTHON));
    assert_eq!(scene.status(&server).as_deref(), Some("good"));

    let unit = std::fs::read_to_string(prefix.join("lib/systemd/system/staplegun.service"));
    let start = format!("\nExecStart={} agent ", program.display());
    assert!(unit.expect("it is there").contains(&start));
    let flags = output_of(
        Command::new("pkg-config")
            .args(["--libs", "--cflags", "staplegun"])
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")),
    );
    assert!(
        flags.contains(&format!("-L{}/lib ", prefix.display())),
        "{flags}"
    );

    // Each file that it said it wrote is there, and none besides.
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    let found = output_of(Command::new("find").arg(&prefix).args(["!", "-type", "d"]));
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(said, found);
    let configuration = prefix.join("etc/staplegun/agent.toml");
    assert!(
        found.contains(&&*configuration.to_string_lossy()),
        "{found:?}"
    );
}

/// The root into which a package was installed, by these commands, in which ROOT and PACKAGE stand
/// for them.
fn root_with(scene: &Scene, end: &str, install: &[&[&str]]) -> PathBuf {
    let root = scene.work.join("root");
    std::fs::create_dir(&root).expect("a directory");
    let package = package(end);
    for command in install {
        let words = command.iter().map(|word| {
            word.replace("ROOT", &root.to_string_lossy())
                .replace("PACKAGE", &package.to_string_lossy())
        });
        let words: Vec<String> = words.collect();
        output_of(Command::new(&words[0]).args(&words[1..]));
    }
    root
}

/// Such a root of a package that `make` alone does not make; a server is started with what is there.
fn a_root_ends_with_a_server_stapled(end: &str, install: &[&[&str]]) {
    let scene = Scene::new();
    let root = root_with(&scene, end, install);
    let program = root.join("usr/bin/staplegun");
    let server = scene.started_by(&[&program], Path::new(PYTHON));
    assert_eq!(scene.status(&server).as_deref(), Some("good"));
    let unit = std::fs::read_to_string(root.join("usr/lib/systemd/system/staplegun.service"));
    assert!(
        unit.expect("it is there")
            .contains("\nExecStart=/usr/bin/staplegun agent ")
    );
    let map = std::fs::read_to_string(root.join("etc/staplegun/agent.toml"));
    assert!(map.expect("it is there").contains("map-size"));
}

#[test]
#[ignore = "make check-packages makes it"]
fn an_rpm_in_a_root_ends_with_a_server_stapled() {
    a_root_ends_with_a_server_stapled(
        ".rpm",
        &[
            &["rpm", "--checksig", "PACKAGE"],
            &["rpm", "--root", "ROOT", "--initdb"],
            // There is no glibc of rpm's in the root, and nothing that could run its scripts.
            &[
                "rpm",
                "--root",
                "ROOT",
                "--install",
                "--nodeps",
                "--noscripts",
                "PACKAGE",
            ],
            &["rpm", "--root", "ROOT", "--verify", "--nodeps", "staplegun"],
        ],
    );
}

#[test]
#[ignore = "make check-packages makes it"]
fn archs_package_in_a_root_ends_with_a_server_stapled() {
    a_root_ends_with_a_server_stapled(
        ".pkg.tar.zst",
        &[
            &["mkdir", "-p", "ROOT/var/lib/pacman"],
            &[
                "pacman",
                "--root",
                "ROOT",
                "--noconfirm",
                "--noscriptlet",
                "-Udd",
                "PACKAGE",
            ],
            &["pacman", "--root", "ROOT", "-Qkk", "staplegun"],
        ],
    );
}

/// Without apk itself, which Debian does not have: what apk looks at is held here.
#[test]
#[ignore = "make check-packages makes it"]
fn an_apk_unpacked_in_a_root_ends_with_a_server_stapled() {
    a_root_ends_with_a_server_stapled(
        ".apk",
        &[&[
            "tar",
            "--warning=none",
            "-xzf",
            "PACKAGE",
            "-C",
            "ROOT",
            "usr",
            "etc",
        ]],
    );
    let about = output_of(
        Command::new("tar")
            .arg("-xzOf")
            .arg(package(".apk"))
            .arg(".PKGINFO"),
    );
    // On a system without glibc apk says that it is missing.
    for line in ["pkgname = staplegun", "arch = x86_64", "depend = glibc"] {
        assert!(about.lines().any(|found| found == line), "{about}");
    }
    // The second member of the file, as apk has it, begins where the first ends.
    let digest = output_of(
        Command::new(PYTHON)
            .arg("-c")
            .arg(
                "import hashlib, sys, zlib\n\
                 data = open(sys.argv[1], 'rb').read()\n\
                 member = zlib.decompressobj(31)\n\
                 member.decompress(data)\n\
                 print(hashlib.sha256(member.unused_data).hexdigest())",
            )
            .arg(package(".apk")),
    );
    let line = format!("datahash = {}", digest.trim());
    assert!(about.contains(&line), "{about}");
}
