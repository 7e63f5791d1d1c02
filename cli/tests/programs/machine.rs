//! A machine as `enable` and `disable` see one: files of /etc and /var of its own, by a mount
//! namespace, and a systemctl that reads units from files and starts nothing.
//!
//! Only root can make one. The servers are those that are installed; they are looked at, not run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use staplegun_testkit::directory::Directory;
use staplegun_testkit::shim;

use crate::support::STAPLEGUN;

/// What is this machine's own: where it is seen, and its name in the directory.
const OWN: [(&str, &str); 6] = [
    ("/run", "run"),
    ("/var/lib", "lib"),
    ("/opt", "opt"),
    ("/etc/systemd/system", "system"),
    ("/etc/postfix", "postfix"),
    ("/etc/dovecot", "dovecot"),
];

/// Its units are files in /opt/units, as `systemctl show` tells them; what their drop-in sets is
/// added. What it was told to do besides stands in /opt/systemctl.log.
const SYSTEMCTL: &str = r#"#!/bin/sh
if [ "$1" != show ]; then
    echo "$*" >>/opt/systemctl.log
    exit
fi
for name; do :; done
if ! cat "/opt/units/$name" 2>/dev/null; then
    printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\n' "$name"
    exit
fi
drop_in="/etc/systemd/system/$name.d/staplegun.conf"
if [ -e "$drop_in" ]; then
    echo "Environment=$(sed -n 's/^Environment=//p' "$drop_in" | tr '\n' ' ')"
fi
"#;

/// A machine; it is gone when dropped.
pub struct Machine(Directory);

impl Machine {
    /// A new one, whose Postfix and Dovecot show the certificate `/opt/shared.pem`. None if this
    /// process may not make one.
    pub fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let machine = Self(Directory::new());
        for (_, name) in OWN {
            machine.make(name);
        }
        for name in [
            "run/systemd/system",
            "opt/units",
            "opt/bin",
            "dovecot/conf.d",
        ] {
            machine.make(name);
        }
        machine.write("/opt/bin/systemctl", SYSTEMCTL);
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(machine.path("/opt/bin/systemctl"), program).expect("it is ours");
        let library = machine.path("/opt/libstaplegun.so.0");
        fs::copy(shim::library(), library).expect("it can be copied");
        machine.write("/opt/shared.pem", "");
        let main_cf = "compatibility_level = 3.6\nsmtpd_tls_cert_file = /opt/shared.pem\n";
        machine.write("/etc/postfix/main.cf", main_cf);
        let dovecot = "ssl = required\nssl_cert = </opt/shared.pem\nssl_key = </opt/shared.pem\n\
                       !include conf.d/*.conf\n";
        machine.write("/etc/dovecot/dovecot.conf", dovecot);
        machine.write("/etc/dovecot/conf.d/10-auth.conf", "");
        machine.unit("postfix", "/usr/sbin/postmulti", "");
        machine.unit("dovecot", "/usr/sbin/dovecot", "");
        Some(machine)
    }

    fn make(&self, name: &str) {
        fs::create_dir_all(self.0.join(name)).expect("it can be made");
    }

    /// Where a file of this machine's own lies for the test.
    pub fn path(&self, path: &str) -> PathBuf {
        let own = OWN.iter().find_map(|(at, name)| {
            let rest = path.strip_prefix(at)?;
            Some(format!("{name}{rest}"))
        });
        self.0.join(&own.expect("it is the machine's own"))
    }

    /// Writes such a file.
    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("it can be written");
    }

    /// What stands in such a file; none if there is none.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// A unit that starts a program, and does not run.
    pub fn unit(&self, name: &str, program: &str, more: &str) {
        let text = format!(
            "Id={name}.service\nLoadState=loaded\nActiveState=inactive\nMainPID=0\n\
             ExecStart={{ path={program} ; argv[]={program} ; ignore_errors=no ; }}\n{more}"
        );
        self.write(&format!("/opt/units/{name}.service"), &text);
    }

    /// `staplegun` on it.
    pub fn staplegun(&self, words: &[&str]) -> Command {
        let mounts = OWN.map(|(at, name)| format!("mount --bind \"$1/{name}\" {at}; "));
        // What it runs lies where something else is mounted.
        let script = format!(
            "exec 9<{STAPLEGUN}; {}shift; exec /proc/self/fd/9 \"$@\"",
            mounts.concat()
        );
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "sh",
                "-ec",
                &script,
                "sh",
            ])
            .arg(self.0.path())
            .args(words)
            .env("STAPLEGUN_LIB", "/opt/libstaplegun.so.0")
            .env("PATH", "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env_remove("LD_PRELOAD")
            .env_remove("STAPLEGUN_DIR")
            .stdin(Stdio::null());
        command
    }
}
