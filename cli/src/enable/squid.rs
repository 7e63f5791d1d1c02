//! Squid: started as root, its master executes the worker with two user ids, which the loader
//! takes for setuid. Without a master, -N, there is no such step.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::file::read;
use crate::machine::unit::Unit;

/// The line that starts it so, if it has to be, and what that means. `ours` is the drop-in that is
/// in force already.
///
/// # Errors
///
/// If it is configured to have several workers.
pub fn start(unit: &Unit, ours: &str) -> Result<Option<(Vec<String>, String)>> {
    let commands = unit.commands();
    let [command] = commands.as_slice() else {
        return Ok(None);
    };
    let is_squid = Path::new(&command.path).file_name() == Some("squid".as_ref());
    let is_ours = ours.lines().any(|line| line.starts_with("ExecStart=/"));
    let mut words: Vec<&str> = command.line.split(' ').collect();
    let has_none = words[1..].iter().any(|word| is_short(word, 'N'));
    if !is_squid || unit.user() != "root" || (has_none && !is_ours) {
        return Ok(None);
    }
    if let Some(file) = several_workers() {
        bail!(
            "{} asks for several workers, which the library does not reach: the loader takes them \
             for setuid programs. With `workers 1` Squid can be started without a master (-N)",
            file.display()
        );
    }
    if !has_none {
        words.insert(1, "-N");
    }
    let line = words.join(" ");
    let lines = vec!["ExecStart=".to_owned(), format!("ExecStart={line}")];
    let remark = "it is started without a master (-N), since the loader takes the worker of one for \
                  a setuid program: systemd restarts it instead";
    Ok(Some((lines, remark.to_owned())))
}

/// Whether a word holds that option of one letter.
fn is_short(word: &str, option: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains(option)
}

fn several_workers() -> Option<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/squid/squid.conf")];
    let more = fs::read_dir("/etc/squid/conf.d").into_iter().flatten();
    files.extend(more.filter_map(|entry| Some(entry.ok()?.path())));
    files.into_iter().find(|file| {
        let text = read(file).ok().flatten().unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            let number = (words.next() == Some("workers"))
                .then(|| words.next())
                .flatten();
            number.is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number > 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::shown::Shown;

    fn of(line: &str, more: &str, ours: &str) -> Option<Vec<String>> {
        let program = line.split(' ').next().unwrap_or_default();
        let unit = Unit::from(Shown::read(&format!(
            "Id=squid.service\n{more}ExecStart={{ path={program} ; argv[]={line} ; \
             ignore_errors=no ; }}\n"
        )));
        let start = start(&unit, ours).expect("there are no workers");
        start.map(|(lines, _)| lines)
    }

    #[test]
    fn a_squid_that_root_starts_has_no_master() {
        let wanted = [
            "ExecStart=",
            "ExecStart=/usr/sbin/squid -N --foreground -sYC",
        ];
        let before = "/usr/sbin/squid --foreground -sYC";
        assert_eq!(
            of(before, "", "").as_deref(),
            Some(&wanted.map(str::to_owned)[..])
        );
        let after = "/usr/sbin/squid -N --foreground -sYC";
        assert_eq!(
            of(after, "", "ExecStart=/usr/sbin/squid -N").as_deref(),
            Some(&wanted.map(str::to_owned)[..])
        );
        // By the operator's own hand.
        assert_eq!(of(after, "", ""), None);
        assert_eq!(of(before, "User=proxy\n", ""), None);
        assert_eq!(of("/usr/sbin/nginx", "", ""), None);
    }
}
