//! Postfix: the master gives its services what import_environment in main.cf says, which is set
//! by postconf(1).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::file::read;
use super::journal::{Step, run};
use super::undo::Undo;
use super::wanted::{CLIENT, PRELOAD, Wanted};
use crate::preload;

const PARAMETER: &str = "import_environment";

/// An instance of Postfix, as it is configured now.
#[derive(Debug)]
pub struct Postfix {
    instance: String,
    directory: PathBuf,
    main_cf: String,
    /// The parameter as it is in force, be it written there or not.
    value: String,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Postfix {
    /// Looks at the instance, by the name that postmulti(1) has for it (`-`: the only one).
    ///
    /// # Errors
    ///
    /// If Postfix is not there or there is no such instance.
    pub fn look(instance: &str) -> Result<Self> {
        let directory = if instance == "-" {
            run(&words(&["postconf", "-h", "config_directory"]))?
        } else {
            let all = run(&words(&["postmulti", "-l", "-i", instance]))?;
            let last = all.split_whitespace().next_back();
            last.with_context(|| format!("postmulti knows no instance {instance}"))?
                .to_owned()
        };
        let directory = PathBuf::from(directory.trim());
        let path = directory.join("main.cf");
        let main_cf = read(&path)?.with_context(|| format!("there is no {}", path.display()))?;
        let value = run(&words(&[
            "postconf",
            "-c",
            &directory.to_string_lossy(),
            "-h",
            PARAMETER,
        ]))?;
        Ok(Self {
            instance: instance.to_owned(),
            directory,
            main_cf,
            value: value.trim().to_owned(),
        })
    }

    fn path(&self) -> PathBuf {
        self.directory.join("main.cf")
    }

    fn postconf(&self, rest: &[&str]) -> Step {
        let directory = self.directory.to_string_lossy();
        Step::Run {
            words: words(&[&["postconf", "-c", &directory], rest].concat()),
            changes: Some(self.path()),
        }
    }

    /// How it is brought in, and what undoes that; `known` is what undoes it already.
    pub fn enable(&self, wanted: &Wanted, known: Option<&Undo>) -> (Vec<Step>, Undo) {
        let value = with(&self.value, wanted);
        let undo = known.cloned().unwrap_or_else(|| Undo::Postfix {
            instance: self.instance.clone(),
            before: lines(&self.main_cf).map(str::to_owned),
            was_cut: is_cut(&self.main_cf),
        });
        if value == self.value {
            return (Vec::new(), undo);
        }
        let mut steps = Vec::new();
        // postconf would write its line behind the last one.
        if is_cut(&self.main_cf) {
            steps.push(self.write(format!("{}\n", self.main_cf)));
        }
        steps.push(self.postconf(&["-e", &format!("{PARAMETER} = {value}")]));
        (steps, undo)
    }

    /// How that is undone: main.cf is as it was, where nobody has changed the value since.
    pub fn disable(&self, before: Option<&str>, was_cut: bool) -> Vec<Step> {
        let rest = without(&self.value);
        if rest == self.value {
            return Vec::new();
        }
        let Some(now) = lines(&self.main_cf) else {
            return Vec::new();
        };
        let original = before.map(value_of);
        let is_as_left = original.as_deref().is_none_or(|before| before == rest);
        let text = match before {
            Some(before) if is_as_left => {
                // postconf has kept the comments between the lines.
                let comments: String = before
                    .split_inclusive('\n')
                    .filter(|line| is_comment(line))
                    .collect();
                let line = now.split_inclusive('\n').next().unwrap_or_default();
                let now = format!("{line}{comments}");
                self.main_cf.replacen(&now, before, 1)
            }
            None if Some(rest.as_str()) == self.default().as_deref() => {
                if !was_cut {
                    // The tool that put the line there takes it away.
                    return vec![self.postconf(&["-X", PARAMETER])];
                }
                self.main_cf.replacen(now, "", 1)
            }
            _ => return vec![self.postconf(&["-e", &format!("{PARAMETER} = {rest}")])],
        };
        let text = match text.strip_suffix('\n') {
            Some(cut) if was_cut => cut.to_owned(),
            _ => text,
        };
        let mut step = self.write(text);
        if let Step::Write { shown, .. } = &mut step {
            *shown = format!("({PARAMETER} is as it was)\n");
        }
        vec![step]
    }

    fn default(&self) -> Option<String> {
        let value = run(&words(&["postconf", "-dh", PARAMETER])).ok()?;
        Some(value.trim().to_owned())
    }

    fn write(&self, text: String) -> Step {
        Step::Write {
            path: self.path(),
            before: Some(self.main_cf.clone()),
            text,
            shown: String::new(),
        }
    }

    /// The certificates that its server shows.
    pub fn certificates(&self) -> Vec<PathBuf> {
        let directory = self.directory.to_string_lossy();
        let of = |name: &str| {
            // With the parameters in it replaced.
            run(&words(&["postconf", "-c", &directory, "-xh", name])).unwrap_or_default()
        };
        let mut found: Vec<PathBuf> = ["smtpd_tls_cert_file", "smtpd_tls_eccert_file"]
            .map(of)
            .iter()
            .map(|value| PathBuf::from(value.trim()))
            .collect();
        let chains = of("smtpd_tls_chain_files");
        found.extend(chains.split([',', ' ', '\n']).map(PathBuf::from));
        found.retain(|path| path.is_absolute() && Path::new(path).exists());
        found
    }
}

fn is_cut(text: &str) -> bool {
    !text.is_empty() && !text.ends_with('\n')
}

/// Not a part of the line before, for it begins in the first column (postconf(5)).
fn is_comment(line: &str) -> bool {
    line.starts_with('#') || line.trim().is_empty()
}

/// The parameter's lines in main.cf, with the comments between them: the last ones, which count.
fn lines(main_cf: &str) -> Option<&str> {
    let mut at = 0;
    let mut found = None;
    let mut is_ours = false;
    for line in main_cf.split_inclusive('\n') {
        let next = at + line.len();
        if is_comment(line) {
        } else if line.starts_with([' ', '\t']) {
            if let (true, Some((start, _))) = (is_ours, found) {
                found = Some((start, next));
            }
        } else {
            let name = line.split('=').next().unwrap_or_default().trim();
            is_ours = name == PARAMETER;
            if is_ours {
                found = Some((at, next));
            }
        }
        at = next;
    }
    found.map(|(start, end)| &main_cf[start..end])
}

/// As postconf tells the value of such lines.
fn value_of(lines: &str) -> String {
    let lines = lines.lines().filter(|line| !is_comment(line));
    let text = lines.collect::<Vec<_>>().join(" ");
    let (_, value) = text.split_once('=').unwrap_or_default();
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value with what is wanted.
fn with(value: &str, wanted: &Wanted) -> String {
    let preloaded = variable(value, PRELOAD).unwrap_or_default();
    let ours = wanted.variables(preloaded);
    let is_set = |word: &&str| ours.iter().any(|(name, _)| is_variable(word, name));
    let others = value.split_whitespace().filter(|word| !is_set(word));
    let others = others.filter(|word| !is_variable(word, CLIENT));
    let ours = ours.iter().map(|(name, value)| format!("{name}={value}"));
    let all: Vec<String> = others.map(str::to_owned).chain(ours).collect();
    all.join(" ")
}

/// The value without what is ours.
fn without(value: &str) -> String {
    let Some(preloaded) = variable(value, PRELOAD).filter(|list| preload::without(list) != *list)
    else {
        return value.to_owned();
    };
    let rest = preload::without(preloaded);
    let others = value.split_whitespace().filter_map(|word| {
        if is_variable(word, PRELOAD) {
            (!rest.is_empty()).then(|| format!("{PRELOAD}={rest}"))
        } else {
            (!is_variable(word, CLIENT)).then(|| word.to_owned())
        }
    });
    others.collect::<Vec<_>>().join(" ")
}

fn variable<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let mut words = value.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn is_variable(word: &str, name: &str) -> bool {
    word.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;

    #[test]
    fn the_lines_of_the_parameter_are_found() {
        let main_cf =
            "a = b\nimport_environment=A\n  B\n# c\n  C\n\nx = y\n  import_environment = no\n";
        let found = lines(main_cf).expect("it is there");
        assert_eq!(found, "import_environment=A\n  B\n# c\n  C\n");
        assert_eq!(value_of(found), "A B C");
        assert_eq!(
            lines("import_environments = A\n#import_environment = B\n"),
            None
        );
    }

    #[test]
    fn the_value_has_ours_and_loses_it_again() {
        let wanted = Wanted {
            library: "/l/libstaplegun.so.0".to_owned(),
            client: Some(Client::Require),
        };
        for (before, after) in [
            (
                "MAIL_CONFIG LANG=C",
                "MAIL_CONFIG LANG=C LD_PRELOAD=/l/libstaplegun.so.0 STAPLEGUN_CLIENT=require",
            ),
            (
                "A B LD_PRELOAD=x.so",
                "A B LD_PRELOAD=x.so:/l/libstaplegun.so.0 STAPLEGUN_CLIENT=require",
            ),
        ] {
            assert_eq!(with(before, &wanted), after);
            assert_eq!(with(after, &wanted), after);
            assert_eq!(without(after), before);
            assert_eq!(without(before), before);
        }
    }

    #[test]
    fn main_cf_is_as_it_was() {
        let before = "import_environment = A\n  B\n# c\n  C\n";
        let postfix = Postfix {
            instance: "-".to_owned(),
            directory: "/etc/postfix".into(),
            main_cf:
                "x = y\nimport_environment = A B C LD_PRELOAD=/l/libstaplegun.so\n# c\nz = 1\n"
                    .to_owned(),
            value: "A B C LD_PRELOAD=/l/libstaplegun.so".to_owned(),
        };
        let steps = postfix.disable(Some(before), false);
        let [Step::Write { text, .. }] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(text, &format!("x = y\n{before}z = 1\n"));
        let steps = postfix.disable(Some(before), true);
        let [Step::Write { text, .. }] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(text, &format!("x = y\n{before}z = 1"));
        // Somebody has added a word since, which stays.
        let postfix = Postfix {
            value: "A B C D LD_PRELOAD=/l/libstaplegun.so".to_owned(),
            ..postfix
        };
        let steps = postfix.disable(Some(before), false);
        let [Step::Run { words, .. }] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(
            words.last().map(String::as_str),
            Some("import_environment = A B C D")
        );
    }
}
