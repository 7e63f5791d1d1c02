//! Dovecot: the master gives its services what import_environment says, which a file of ours in
//! its configuration sets.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::file::read;
use super::journal::run;
use super::wanted::{PRELOAD, Wanted};
use crate::preload;

/// How Dovecot is configured now.
#[derive(Debug)]
pub struct Dovecot {
    /// Where what is set counts.
    directory: PathBuf,
    /// Whether its configuration is that of Dovecot 2.4 and later.
    is_new: bool,
    /// What `doveconf -n` says.
    settings: String,
}

impl Dovecot {
    /// Looks at it.
    ///
    /// # Errors
    ///
    /// If its configuration cannot be read, or leaves out the directory that ours belongs into.
    pub fn look() -> Result<Self> {
        let settings = doveconf(&["-n"])?;
        // # 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
        let first = settings.lines().next().unwrap_or_default();
        let version = first.trim_start_matches("# ");
        let file = first.rsplit(": ").next().map(PathBuf::from);
        let file = file.filter(|file| file.is_absolute());
        let file = file.unwrap_or_else(|| "/etc/dovecot/dovecot.conf".into());
        let directory = file.parent().unwrap_or(Path::new("/")).join("conf.d");
        let text = read(&file)?.unwrap_or_default();
        let includes = |line: &str| {
            let rest = line.trim().strip_prefix("!include");
            rest.is_some_and(|rest| rest.contains("conf.d/*.conf"))
        };
        if !directory.is_dir() || !text.lines().any(includes) {
            bail!(
                "{} does not include {}/*.conf: add that, or what docs/operators/dovecot.md has",
                file.display(),
                directory.display()
            );
        }
        let mut parts = version
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let is_new = (parts.next(), parts.next()) >= (Some(2), Some(4));
        Ok(Self {
            directory,
            is_new,
            settings,
        })
    }

    /// The file that is ours.
    pub fn path(&self) -> PathBuf {
        self.directory.join("99-staplegun.conf")
    }

    /// What has to be in it.
    pub fn body(&self, wanted: &Wanted) -> String {
        let variables = wanted.variables("").into_iter();
        if self.is_new {
            let lines: String = variables
                .map(|(name, value)| format!("  {name} = {value}\n"))
                .collect();
            format!("import_environment {{\n{lines}}}\n")
        } else {
            let words: String = variables
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            format!("import_environment = $import_environment{words}\n")
        }
    }

    /// Whether something else is preloaded into its services, which this would displace.
    pub fn preloads_another(&self) -> bool {
        let there = doveconf(&["-h", "import_environment"]).unwrap_or_default();
        preloaded(&there).is_some_and(|list| !preload::without(list).is_empty())
    }

    /// The certificates that it shows.
    pub fn certificates(&self) -> Vec<PathBuf> {
        let mut found = certificates(&self.settings);
        found.retain(|path| path.is_absolute() && path.exists());
        found
    }
}

/// What import_environment says of LD_PRELOAD: words, or lines from Dovecot 2.4 on.
fn preloaded(import_environment: &str) -> Option<&str> {
    import_environment.lines().find_map(|line| {
        let value = line.trim().strip_prefix(PRELOAD).map(str::trim_start);
        match value.and_then(|value| value.strip_prefix("= ")) {
            Some(value) => Some(value.trim()),
            None => line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(PRELOAD)?.strip_prefix('=')),
        }
    })
}

/// The files of certificates in what `doveconf -n` says: `ssl_cert = </file`, and from Dovecot 2.4
/// on `cert_file = /file` in a block `ssl_server`.
fn certificates(settings: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut blocks = Vec::new();
    for line in settings.lines().map(str::trim) {
        if let Some(block) = line.strip_suffix('{') {
            blocks.push(block.trim());
        } else if line == "}" {
            blocks.pop();
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let is_certificate = match name.trim() {
            "ssl_cert" | "ssl_alt_cert" => true,
            "cert_file" | "alt_cert_file" => blocks.last() == Some(&"ssl_server"),
            _ => false,
        };
        if is_certificate {
            found.push(value.trim().trim_start_matches('<').into());
        }
    }
    found
}

/// Whether what was written is in force.
///
/// # Errors
///
/// If it is not, or Dovecot does not accept it.
pub fn verify(library: &str) -> Result<()> {
    let there = doveconf(&["-h", "import_environment"])?;
    if !there.contains(library) {
        bail!("doveconf does not show {library} in import_environment");
    }
    Ok(())
}

fn doveconf(rest: &[&str]) -> Result<String> {
    let words = [&["doveconf"], rest].concat();
    run(&words
        .iter()
        .map(|&word| word.to_owned())
        .collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_found_in_both_ways_to_write_them() {
        let old =
            "ssl = required\nssl_cert = </etc/a.pem\nlocal_name x {\n  ssl_cert = </etc/b.pem\n}\n";
        assert_eq!(
            certificates(old),
            [Path::new("/etc/a.pem"), Path::new("/etc/b.pem")]
        );
        let new = "ssl_client {\n  cert_file = /etc/c.pem\n}\nlocal_name x {\n  ssl_server {\n    \
                   cert_file = /etc/b.pem\n    key_file = /etc/k.pem\n  }\n}\n";
        assert_eq!(certificates(new), [Path::new("/etc/b.pem")]);
    }

    #[test]
    fn what_is_preloaded_is_found_in_both_ways_to_write_it() {
        for (there, wanted) in [
            ("TZ CORE_ERROR LD_PRELOAD=/l/a.so", Some("/l/a.so")),
            ("TZ CORE_ERROR", None),
            ("TZ = %{env:TZ}\nLD_PRELOAD = /l/a.so\n", Some("/l/a.so")),
        ] {
            assert_eq!(preloaded(there), wanted, "{there}");
        }
    }
}
