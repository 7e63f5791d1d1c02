//! Whether starting a file gives more rights than the one who starts it has: the
//! dynamic linker then ignores LD_PRELOAD (ld.so(8), secure-execution mode).

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::process::{getgid, getuid};

use super::finding::{Effect, Finding};

/// Who starts a file.
#[derive(Clone, Copy, Debug)]
pub struct Starter {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Whether no file gives it any rights (NoNewPrivileges).
    pub gains_nothing: bool,
}

impl Starter {
    /// This process.
    pub fn this() -> Self {
        Self {
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
            gains_nothing: rustix::thread::no_new_privs().unwrap_or(false),
        }
    }
}

/// Looks at the mode and the capabilities of the file, as `starter` would start it.
pub fn findings(path: &Path, starter: &Starter) -> io::Result<Vec<Finding>> {
    let metadata = path.metadata()?;
    // The kernel gives no rights from such a file system, nor to such a process.
    let without_rights = rustix::fs::statvfs(path)?
        .f_flag
        .contains(StatVfsMountFlags::NOSUID)
        || starter.gains_nothing;
    let mut findings = Vec::new();
    let mut add = |gained: bool, cause, what: String| {
        let finding = if gained && !without_rights {
            Finding::new(
                Effect::Prevents,
                cause,
                format!("{what}: the dynamic linker ignores LD_PRELOAD then"),
            )
        } else {
            Finding::new(
                Effect::Note,
                cause,
                format!(
                    "{what}, which gives this user nothing here; for others LD_PRELOAD is ignored"
                ),
            )
        };
        findings.push(finding.advise(
            "give the rights without the file's help, by ambient capabilities: \
             systemd's AmbientCapabilities=, or setpriv --ambient-caps",
        ));
    };
    const SET_USER: u32 = 0o4000;
    // Without the group's right to execute, the bit once meant mandatory locks.
    const SET_GROUP: u32 = 0o2010;
    if metadata.mode() & SET_USER != 0 {
        let gained = metadata.uid() != starter.uid;
        add(
            gained,
            "setuid",
            format!("it is setuid to user {}", metadata.uid()),
        );
    }
    if metadata.mode() & SET_GROUP == SET_GROUP {
        let gained = metadata.gid() != starter.gid;
        add(
            gained,
            "setgid",
            format!("it is setgid to group {}", metadata.gid()),
        );
    }
    if has_capabilities(path)? {
        // What root starts gains nothing by them (capabilities(7)).
        let gained = starter.uid != 0;
        add(
            gained,
            "file_capabilities",
            "it has file capabilities (setcap)".to_owned(),
        );
    }
    Ok(findings)
}

fn has_capabilities(path: &Path) -> io::Result<bool> {
    let mut value = [0; 64];
    match rustix::fs::getxattr(path, c"security.capability", &mut value) {
        Ok(_) => Ok(true),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;
    use staplegun_testkit::directory::set_mode;

    use super::*;

    #[test]
    fn a_file_gives_rights_by_its_mode_except_to_whom_none_gives_any() {
        let directory = Directory::new();
        let path = directory.write("program", "");
        let owner = path.metadata().expect("it is there");
        let starter = Starter {
            uid: owner.uid() + 1,
            gid: owner.gid() + 1,
            gains_nothing: false,
        };
        let found = |mode, starter| {
            set_mode(&path, mode);
            let findings = findings(&path, &starter).expect("its mode can be read");
            let all = findings
                .iter()
                .map(|finding| (finding.effect, finding.cause));
            all.collect::<Vec<_>>()
        };
        assert_eq!(found(0o755, starter), []);
        assert_eq!(found(0o4755, starter), [(Effect::Prevents, "setuid")]);
        assert_eq!(found(0o2755, starter), [(Effect::Prevents, "setgid")]);
        // Once a mark for mandatory locks.
        assert_eq!(found(0o2745, starter), []);
        // As a unit of systemd with NoNewPrivileges.
        let gains_nothing = true;
        let starter = Starter {
            gains_nothing,
            ..starter
        };
        let notes = [(Effect::Note, "setuid"), (Effect::Note, "setgid")];
        assert_eq!(found(0o6755, starter), notes);
    }
}
