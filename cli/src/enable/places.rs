//! Where a unit's programs have their environment from: most from the unit, and some from a place
//! of their own, since what starts them leaves nothing of the unit's. One table for both.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::block;
use super::dovecot::Dovecot;
use super::file::read;
use super::journal::Step;
use super::owned;
use super::postfix::Postfix;
use super::undo::Undo;
use super::wanted::{PRELOAD, Wanted};
use crate::machine::unit::Unit;
use crate::preload;

/// One of the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The unit: the drop-in sets it.
    Unit,
    /// Postfix's main.cf, of this instance.
    Postfix(String),
    /// Dovecot's configuration.
    Dovecot,
    /// The file `environment` of a PostgreSQL cluster, as Debian has it.
    Cluster(PathBuf),
    /// Apache's envvars, as Debian has them.
    Apache(PathBuf),
    /// A file that the unit names (EnvironmentFile=), and that sets LD_PRELOAD: it counts for more
    /// than the unit.
    File(PathBuf),
}

/// What brings the variables into a place, and what undoes that.
#[derive(Debug, Default)]
pub struct Change {
    /// What is to be done; nothing if it is done already.
    pub steps: Vec<Step>,
    /// What `disable` undoes.
    pub undo: Vec<Undo>,
    /// What else the operator should know.
    pub remarks: Vec<String>,
}

impl Place {
    /// The place of a unit.
    ///
    /// # Errors
    ///
    /// If it is one of a server that is not set up.
    pub fn of(unit: &Unit) -> Result<Self> {
        let name = unit.short_name();
        let instance = name.split_once('@').map(|(_, instance)| instance);
        let commands = unit.commands();
        let starts = |program: &str| {
            let mut all = commands.iter();
            all.any(|command| Path::new(&command.path).file_name() == Some(program.as_ref()))
        };
        if name == "postfix" || name.starts_with("postfix@") {
            return Ok(Self::Postfix(instance.unwrap_or("-").to_owned()));
        }
        if starts("dovecot") {
            return Ok(Self::Dovecot);
        }
        if starts("pg_ctlcluster") {
            let path = instance.map(unescaped).unwrap_or_default();
            let directory = Path::new("/etc/postgresql").join(&path);
            if path.is_empty() || !directory.is_dir() {
                bail!(
                    "there is no {}: pg_lsclusters shows the clusters, and postgresql@VERSION-NAME \
                     is the unit of one",
                    directory.display()
                );
            }
            return Ok(Self::Cluster(directory.join("environment")));
        }
        if starts("apachectl") || starts("apache2ctl") {
            let environment = unit.environment();
            let variable = |wanted: &str| {
                let mut all = environment.iter();
                all.find(|(name, _)| name == wanted)
                    .map(|(_, value)| value.as_str())
            };
            let directory = variable("APACHE_CONFDIR").unwrap_or("/etc/apache2");
            let named = variable("APACHE_ENVVARS").map(PathBuf::from);
            let path = named.unwrap_or_else(|| Path::new(directory).join("envvars"));
            if path.exists() {
                return Ok(Self::Apache(path));
            }
        }
        for path in unit.environment_files().into_iter().rev() {
            let text = read(&path).ok().flatten().unwrap_or_default();
            if assigned(&text).is_some() {
                return Ok(Self::File(path));
            }
        }
        Ok(Self::Unit)
    }

    /// What brings the variables into it; `known` is what was done already.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at, or something stands there that somebody else wrote.
    pub fn enable(&self, unit: &Unit, wanted: &Wanted, known: &[Undo]) -> Result<Change> {
        match self {
            Self::Unit => Ok(Change::default()),
            Self::Postfix(instance) => {
                let postfix = Postfix::look(instance)?;
                let known = known
                    .iter()
                    .find(|undo| matches!(undo, Undo::Postfix { .. }));
                let (steps, undo) = postfix.enable(wanted, known);
                Ok(Change {
                    steps,
                    undo: vec![undo],
                    remarks: Vec::new(),
                })
            }
            Self::Dovecot => dovecot(unit, wanted),
            Self::Cluster(path) => {
                let lines = |(name, value): (&str, String)| format!("{name} = '{value}'\n");
                block_in(path, unit, wanted, &lines)
            }
            Self::File(path) => {
                let lines = |(name, value): (&str, String)| format!("{name}={value}\n");
                block_in(path, unit, wanted, &lines)
            }
            Self::Apache(path) => {
                let lines = |(name, value): (&str, String)| match name {
                    PRELOAD => format!("export {PRELOAD}=\"${{{PRELOAD}:+${PRELOAD}:}}{value}\"\n"),
                    _ => format!("export {name}={value}\n"),
                };
                block_in(path, unit, wanted, &lines)
            }
        }
    }

    /// The certificates that its programs show and cannot tell the agent of, or only with their
    /// first connection.
    pub fn certificates(&self) -> Vec<PathBuf> {
        match self {
            Self::Postfix(instance) => {
                Postfix::look(instance).map_or_else(|_| Vec::new(), |it| it.certificates())
            }
            Self::Dovecot => Dovecot::look().map_or_else(|_| Vec::new(), |it| it.certificates()),
            _ => Vec::new(),
        }
    }
}

/// A block at the end of a file.
fn block_in(
    path: &Path,
    unit: &Unit,
    wanted: &Wanted,
    line: &dyn Fn((&str, String)) -> String,
) -> Result<Change> {
    let text = read(path)?;
    let name = unit.short_name();
    let found = text.as_deref().and_then(|text| block::find(text, name));
    if found.as_ref().is_some_and(|found| !found.is_whole) {
        bail!(
            "the lines of `staplegun enable {name}` in {} were changed since: remove them, from \
             `# Begin` to `# End`, and try again",
            path.display()
        );
    }
    let rest = block::without(text.as_deref().unwrap_or_default(), found.as_ref());
    // A shell's assignment adds to what is there when it runs.
    let is_shell = path.file_name() == Some("envvars".as_ref());
    let preloaded = assigned(&rest).filter(|_| !is_shell).unwrap_or_default();
    let lines: String = wanted.variables(&preloaded).into_iter().map(line).collect();
    let new = block::with(text.as_deref(), name, &lines);
    let steps = if text.as_deref() == Some(new.as_str()) {
        Vec::new()
    } else {
        vec![Step::Write {
            path: path.to_owned(),
            before: text,
            text: new,
            shown: lines,
        }]
    };
    Ok(Change {
        steps,
        undo: vec![Undo::Block {
            path: path.to_owned(),
        }],
        remarks: Vec::new(),
    })
}

fn dovecot(unit: &Unit, wanted: &Wanted) -> Result<Change> {
    let dovecot = Dovecot::look()?;
    let path = dovecot.path();
    if dovecot.preloads_another() {
        bail!(
            "import_environment of Dovecot preloads something already: add {} to that list by hand",
            wanted.library
        );
    }
    let there = read(&path)?;
    match owned::owner(there.as_deref()) {
        owned::Owned::Missing | owned::Owned::Whole => {}
        owned::Owned::Changed | owned::Owned::Foreign => bail!(
            "{} is not as `staplegun enable` wrote it: remove it, and try again",
            path.display()
        ),
    }
    let body = dovecot.body(wanted);
    let text = owned::text(unit.short_name(), &[], &body);
    let steps = if there.as_deref() == Some(text.as_str()) {
        Vec::new()
    } else {
        vec![Step::Write {
            path: path.clone(),
            before: there,
            shown: body,
            text,
        }]
    };
    Ok(Change {
        steps,
        undo: vec![Undo::File { path }],
        remarks: Vec::new(),
    })
}

/// What the last line `LD_PRELOAD=` of such a file says.
fn assigned(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        (name.trim() == PRELOAD).then_some(value)
    });
    let value = values.next_back()?.trim();
    Some(preload::without(value.trim_matches(['"', '\''])))
}

/// What %I says in a unit (systemd.unit(5)).
fn unescaped(instance: &str) -> String {
    let mut text = String::new();
    let mut rest = instance;
    while let Some(character) = rest.chars().next() {
        let byte = rest
            .strip_prefix("\\x")
            .and_then(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
        if let Some(byte) = byte {
            text.push(char::from(byte));
            rest = &rest[4..];
        } else {
            text.push(if character == '-' { '/' } else { character });
            rest = &rest[character.len_utf8()..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::shown::Shown;

    fn unit(name: &str, program: &str) -> Unit {
        Unit::from(Shown::read(&format!(
            "Id={name}\nExecStart={{ path={program} ; argv[]={program} ; ignore_errors=no ; }}\n"
        )))
    }

    #[test]
    fn each_server_has_its_place() {
        for (name, program, place) in [
            ("redis-server.service", "/usr/bin/redis-server", Place::Unit),
            (
                "postfix@-.service",
                "/usr/sbin/postmulti",
                Place::Postfix("-".to_owned()),
            ),
            ("dovecot.service", "/usr/sbin/dovecot", Place::Dovecot),
        ] {
            assert_eq!(Place::of(&unit(name, program)).ok(), Some(place));
        }
        let none = Place::of(&unit("postgresql@0-none.service", "/usr/bin/pg_ctlcluster"));
        let error = none.expect_err("there is no such cluster").to_string();
        assert!(
            error.starts_with("there is no /etc/postgresql/0/none:"),
            "{error}"
        );
    }

    #[test]
    fn what_is_preloaded_already_is_found() {
        for (text, wanted) in [
            ("A=1\n", None),
            ("LD_PRELOAD = 'x.so'\n", Some("x.so")),
            ("#LD_PRELOAD=y\nexport LD_PRELOAD=\"x.so\"\n", Some("x.so")),
            ("LD_PRELOAD=x.so:/l/libstaplegun.so.0\n", Some("x.so")),
        ] {
            assert_eq!(assigned(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn instances_are_unescaped() {
        assert_eq!(unescaped("15-main"), "15/main");
        assert_eq!(unescaped(r"15-my\x2ddb"), "15/my-db");
    }
}
