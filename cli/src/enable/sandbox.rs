//! What a unit's sandbox forbids that the library needs, and the lines that permit just that.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::machine::unit::Unit;

/// What the library needs to reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The directory of the library, whatever links lead there.
    pub library: PathBuf,
    /// The directory of map and spool.
    pub runtime: PathBuf,
    /// The spool.
    pub spool: PathBuf,
}

/// The lines for `[Service]`. `ours` are those of the drop-in that is in force already, which the
/// unit shows, too.
///
/// # Errors
///
/// If something is forbidden that no line can permit.
pub fn lines(unit: &Unit, reach: &Reach, ours: &str) -> Result<Vec<String>> {
    if let Some(root) = unit.root() {
        bail!(
            "it runs in a root of its own, {root}, where neither the library nor the live map is: \
             bind both into it, BindReadOnlyPaths={} {} and BindPaths={}, set LD_PRELOAD, and see \
             with `staplegun check --pid` that the library is there",
            reach.library.display(),
            reach.runtime.display(),
            reach.spool.display()
        );
    }
    let paths = |property: &str| unit.paths(property);
    let deepest = |paths: &[PathBuf], wanted: &Path| {
        let above = paths.iter().map(|path| real(path));
        let above = above.filter(|path| wanted.starts_with(path));
        above.map(|path| path.components().count()).max()
    };
    if deepest(&paths("InaccessiblePaths"), &reach.runtime).is_some() {
        bail!(
            "its InaccessiblePaths= hides {}, where the responses are: take that out of the unit \
             (systemctl edit {})",
            reach.runtime.display(),
            unit.short_name()
        );
    }
    let mut lines = Vec::new();
    let is_hidden = deepest(&paths("TemporaryFileSystem"), &reach.runtime).is_some();
    if is_hidden {
        lines.push(format!("BindReadOnlyPaths=-{}", reach.runtime.display()));
        lines.push(format!("BindPaths=-{}", reach.spool.display()));
    }
    let mut read_only = paths("ReadOnlyPaths");
    if unit.is_strict() {
        read_only.push("/".into());
    }
    let read_write = without_ours(paths("ReadWritePaths"), "ReadWritePaths", ours);
    if !is_hidden && deepest(&read_only, &reach.spool) > deepest(&read_write, &reach.spool) {
        lines.push(format!("ReadWritePaths=-{}", reach.spool.display()));
    }
    let execute = without_ours(paths("ExecPaths"), "ExecPaths", ours);
    if deepest(&paths("NoExecPaths"), &reach.library) > deepest(&execute, &reach.library) {
        lines.push(format!("ExecPaths=-{}", reach.library.display()));
    }
    Ok(lines)
}

/// As systemd finds it: /lib may lead to /usr/lib.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Those that the drop-in did not add.
fn without_ours(mut paths: Vec<PathBuf>, property: &str, ours: &str) -> Vec<PathBuf> {
    let added = ours.lines().filter_map(|line| {
        let value = line.strip_prefix(property)?.strip_prefix("=-")?;
        Some(Path::new(value))
    });
    for added in added {
        if let Some(at) = paths.iter().rposition(|path| path == added) {
            paths.remove(at);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::shown::Shown;

    fn of(shown: &str, ours: &str) -> Result<Vec<String>> {
        let reach = Reach {
            library: "/usr/local/lib".into(),
            runtime: "/run/staplegun".into(),
            spool: "/run/staplegun/spool".into(),
        };
        lines(&Unit::from(Shown::read(shown)), &reach, ours)
    }

    #[test]
    fn just_what_is_forbidden_is_permitted() {
        let spool = "ReadWritePaths=-/run/staplegun/spool";
        let library = "ExecPaths=-/usr/local/lib";
        for (shown, wanted) in [
            ("ProtectSystem=full\n", vec![]),
            ("ProtectSystem=strict\n", vec![spool]),
            ("DynamicUser=yes\n", vec![spool]),
            ("ProtectSystem=strict\nReadWritePaths=-/run\n", vec![]),
            ("ProtectSystem=strict\nReadWritePaths=/run/x\n", vec![spool]),
            ("ReadOnlyPaths=/run\nReadWritePaths=/\n", vec![spool]),
            (
                "NoExecPaths=/\nExecPaths=/usr/bin/x /usr/lib\n",
                vec![library],
            ),
            ("NoExecPaths=/\nExecPaths=/usr\n", vec![]),
            (
                "TemporaryFileSystem=/run:ro /x\nProtectSystem=strict\n",
                vec![
                    "BindReadOnlyPaths=-/run/staplegun",
                    "BindPaths=-/run/staplegun/spool",
                ],
            ),
        ] {
            assert_eq!(
                of(shown, "").expect("it can be permitted"),
                wanted,
                "{shown}"
            );
        }
    }

    #[test]
    fn what_the_drop_in_permits_already_is_not_taken_for_the_units_own() {
        let ours = "[Service]\nReadWritePaths=-/run/staplegun/spool\n";
        let shown = "ProtectSystem=strict\nReadWritePaths=-/var/lib/x -/run/staplegun/spool\n";
        let wanted = ["ReadWritePaths=-/run/staplegun/spool"];
        assert_eq!(of(shown, ours).expect("it can be permitted"), wanted);
        assert!(of(shown, "").expect("it can be permitted").is_empty());
    }

    #[test]
    fn what_cannot_be_permitted_is_refused() {
        assert!(of("RootDirectory=/srv/x\n", "").is_err());
        assert!(of("InaccessiblePaths=-/run\n", "").is_err());
    }
}
