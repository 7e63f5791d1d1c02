//! AppArmor: a profile that confines the unit's program has to let it have library, map and spool.
//! Debian's profiles take in a local part, which is the operator's; a block of ours goes there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::block;
use super::file::read;
use super::journal::Step;
use super::sandbox::Reach;
use super::undo::Undo;
use crate::machine::unit::Unit;

const PROFILES: &str = "/etc/apparmor.d";

/// A profile and its local part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    file: PathBuf,
    local: PathBuf,
}

/// The profile that confines one of those programs, or that the unit names, if any is in use.
///
/// # Errors
///
/// If it has no local part.
pub fn profile(unit: &Unit, programs: &[PathBuf], reach: &Reach) -> Result<Option<Profile>> {
    let Ok(entries) = fs::read_dir(PROFILES) else {
        return Ok(None);
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    for file in files {
        let Ok(Some(text)) = read(&file) else {
            continue;
        };
        let is_it = headers(&text).any(|header| {
            let named = unit
                .apparmor_profile()
                .is_some_and(|name| header.name == name);
            named || programs.iter().any(|program| header.confines(program))
        });
        let name = file.file_name().unwrap_or_default();
        if !is_it || Path::new(PROFILES).join("disable").join(name).exists() {
            continue;
        }
        let Some(local) = local(&text) else {
            bail!(
                "the AppArmor profile {} confines it and includes no file below \
                 {PROFILES}/local: add these lines to it by hand:\n{}",
                file.display(),
                lines(reach)
            );
        };
        let local = Path::new(PROFILES).join(local);
        return Ok(Some(Profile { file, local }));
    }
    Ok(None)
}

/// The first line of a profile.
struct Header<'t> {
    name: &'t str,
    attached: &'t str,
}

/// Those of a file: `profile NAME PATH flags=(...) {`, `PATH {`.
fn headers(text: &str) -> impl Iterator<Item = Header<'_>> {
    text.lines().filter_map(|line| {
        // What is inside of a profile is indented, where people write it.
        let line = line.strip_suffix('{')?.trim_end();
        if line.starts_with([' ', '\t', '#', '^']) {
            return None;
        }
        let line = line.split(" flags=").next().unwrap_or(line);
        let mut words = line.split_whitespace().map(|word| word.trim_matches('"'));
        let first = words.next()?;
        let name = if first == "profile" {
            words.next()?
        } else {
            first
        };
        let attached = words.next().unwrap_or(name);
        Some(Header { name, attached })
    })
}

impl Header<'_> {
    fn confines(&self, program: &Path) -> bool {
        let pattern = self.attached.replace("@{bin}", "/{,usr/}{,s}bin");
        if !pattern.starts_with('/') {
            return false;
        }
        let path = program.to_string_lossy();
        expanded(&pattern).iter().any(|one| matches(one, &path))
    }
}

/// Each of the ways that `{a,b}` leaves open.
fn expanded(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let Some((inside, after)) = rest.split_once('}') else {
        return vec![pattern.to_owned()];
    };
    let ways = inside.split(',');
    ways.flat_map(|way| expanded(&format!("{before}{way}{after}")))
        .collect()
}

/// `*` is anything but a slash, `**` anything.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(path) = path.strip_prefix(before) else {
        return false;
    };
    let (rest, is_any) = match rest.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let ends = (0..=path.len()).filter(|end| path.is_char_boundary(*end));
    ends.take_while(|end| is_any || !path[..*end].contains('/'))
        .any(|end| matches(rest, &path[end..]))
}

/// What a profile includes below its directory `local`.
fn local(text: &str) -> Option<&str> {
    let includes = text.lines().filter_map(|line| {
        let rest = line
            .trim()
            .trim_start_matches('#')
            .strip_prefix("include")?;
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("if exists").unwrap_or(rest).trim_start();
        rest.strip_prefix('<')?.split('>').next()
    });
    let mut includes = includes;
    includes.find(|path| path.starts_with("local/"))
}

/// The rules. Of the map others may be there, in other formats.
fn lines(reach: &Reach) -> String {
    format!(
        "  {}/libstaplegun.so* mr,\n  {}/map.* r,\n  owner {}/* rw,\n",
        reach.library.display(),
        reach.runtime.display(),
        reach.spool.display()
    )
}

impl Profile {
    /// The steps that permit it; none if they were taken.
    ///
    /// # Errors
    ///
    /// If the local part cannot be read, or was changed.
    pub fn enable(&self, unit: &Unit, reach: &Reach) -> Result<(Vec<Step>, Undo)> {
        let undo = Undo::Profile {
            profile: self.file.clone(),
            local: self.local.clone(),
        };
        let name = unit.short_name();
        let text = read(&self.local)?;
        let found = text.as_deref().and_then(|text| block::find(text, name));
        if found.is_some_and(|found| !found.is_whole) {
            bail!(
                "the lines of `staplegun enable {name}` in {} were changed since: remove them, from \
                 `# Begin` to `# End`, and try again",
                self.local.display()
            );
        }
        let lines = lines(reach);
        let new = block::with(text.as_deref(), name, &lines);
        if text.as_deref() == Some(new.as_str()) {
            return Ok((Vec::new(), undo));
        }
        let write = Step::Write {
            path: self.local.clone(),
            before: text,
            text: new,
            shown: lines,
        };
        let reload = reload(&self.file);
        Ok(([Some(write), reload].into_iter().flatten().collect(), undo))
    }
}

/// Makes the kernel take the profile as it is now, if it has AppArmor.
pub fn reload(profile: &Path) -> Option<Step> {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let is_on = enabled.is_ok_and(|text| text.starts_with('Y'));
    is_on.then(|| Step::Run {
        words: vec![
            "apparmor_parser".to_owned(),
            "--replace".to_owned(),
            profile.display().to_string(),
        ],
        changes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_confines_is_told() {
        let text = "#include <tunables/global>\n\
                    profile unbound /usr/sbin/unbound flags=(attach_disconnected) {\n\
                    \x20 profile inner /usr/bin/inner {\n\
                    /usr/{,s}bin/{a,b}* {\n\"/opt/**/x\" {\nprofile named {\n";
        let confines = |program: &str| headers(text).any(|it| it.confines(Path::new(program)));
        for program in [
            "/usr/sbin/unbound",
            "/usr/bin/a",
            "/usr/sbin/bc",
            "/opt/y/z/x",
        ] {
            assert!(confines(program), "{program}");
        }
        for program in [
            "/usr/bin/unbound",
            "/usr/bin/inner",
            "/usr/bin/a/c",
            "/opt/x",
        ] {
            assert!(!confines(program), "{program}");
        }
        assert!(headers(text).any(|header| header.name == "named"));
    }

    #[test]
    fn the_local_part_is_found() {
        for (text, wanted) in [
            (
                "  #include <local/usr.sbin.unbound>\n",
                Some("local/usr.sbin.unbound"),
            ),
            (
                "  #include <abstractions/base>\n  include if exists <local/x>\n",
                Some("local/x"),
            ),
            ("  include <abstractions/local/x>\n# local/y\n", None),
        ] {
            assert_eq!(local(text), wanted, "{text}");
        }
    }
}
