//! Debian's Exim, whose TLS is GnuTLS: the library cannot reach it, but it staples what it
//! finds in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::host::{Host, give_to};
use crate::directory::{Directory, set_mode};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// Where its user is known by the name that was built in, as after an installation. The new
/// root's libraries come last.
const SCRIPT: &str = "mount --bind \"$1\" /etc/passwd
mount --bind \"$2\" /etc/group
exec env LD_LIBRARY_PATH=\"$3/usr/lib/x86_64-linux-gnu\" \"$3/usr/sbin/exim4\" -bdf -C \"$4\"";

/// Exim's daemon with STARTTLS, started as root. It staples the agent's file for its
/// certificate, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exim;

impl Exim {
    /// What was unpacked of it.
    fn root() -> &'static Path {
        static FOUND: OnceLock<PathBuf> = OnceLock::new();
        FOUND.get_or_init(|| {
            let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/exim");
            let output = Program::new(tool).run();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "tools/exim: {output:?}");
            PathBuf::from(said.trim())
        })
    }

    /// Its version.
    pub fn version() -> String {
        let version = fs::read_to_string(Self::root().join("version"));
        version.expect("it is unpacked").trim().to_owned()
    }

    /// A copy that its user can enter, since it executes itself.
    fn copy(to: &Directory) -> PathBuf {
        let copied = Program::new("cp")
            .arg("-a")
            .arg(Self::root())
            .arg(to.join("exim"));
        let copied = copied.run();
        assert!(copied.status.success(), "{copied:?}");
        to.join("exim")
    }
}

impl Host for Exim {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let directory = Directory::new();
        set_mode(directory.path(), 0o755);
        let root = Self::copy(&directory);
        let spool = directory.join("spool");
        fs::create_dir(&spool).expect("a new directory");
        give_to(&spool, "nobody");
        let with = |file: &str, line: &str| {
            let known = fs::read_to_string(format!("/etc/{file}")).expect("it is there");
            directory.write(file, known + line)
        };
        let users = with(
            "passwd",
            "Debian-exim:x:65534:65534::/nonexistent:/bin/false\n",
        );
        let groups = with("group", "Debian-exim:x:65534:\n");
        let variables = shim.assignments();
        let mut variables = variables.iter();
        let store = variables.find_map(|line| line.strip_prefix("STAPLEGUN_DIR="));
        // As docs/operators/files.md has it, but for the link.
        let staple = store.map_or_else(String::new, |store| {
            let file = format!("{store}/live/{}.der", site.leaf.sha256_hex());
            format!("tls_ocsp_file = ${{if exists{{{file}}}{{{file}}}{{}}}}\n")
        });
        let mut server = Program::start_on_free_port(|port| {
            let settings = format!(
                "primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = {spool}
log_file_path = {spool}/%slog
keep_environment =
tls_advertise_hosts = *
tls_certificate = {}
tls_privatekey = {}
{staple}",
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
                spool = spool.display(),
            );
            let settings = directory.write("exim.conf", settings);
            Program::new("unshare")
                .args(["--mount", "sh", "-ec", SCRIPT, "sh"])
                .arg(&users)
                .arg(&groups)
                .arg(&root)
                .arg(settings)
        });
        server.keep(directory);
        server
    }

    fn starttls(&self) -> Option<&'static str> {
        Some("smtp")
    }
}
