//! Reads what `systemctl show` prints: one property a line, lists in one line with the quotes
//! of a shell, commands in braces.

use std::collections::HashMap;

/// The properties of one unit, by name. A property that systemctl prints several times, as it does
/// with commands and files, has several values.
#[derive(Debug, Default)]
pub struct Shown(HashMap<String, Vec<String>>);

impl Shown {
    /// Reads the lines `Name=value`.
    pub fn read(text: &str) -> Self {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            all.entry(name.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        Self(all)
    }

    /// The value; the empty string if the property is not there.
    pub fn one(&self, name: &str) -> &str {
        let first = self.all(name).first();
        first.map(String::as_str).unwrap_or_default()
    }

    /// Each value of a property.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether it is `yes`.
    pub fn is(&self, name: &str) -> bool {
        self.one(name) == "yes"
    }

    /// The words of a list.
    pub fn words(&self, name: &str) -> Vec<String> {
        words(self.one(name))
    }
}

/// Splits at blanks, and takes away the quotes that systemd puts around what holds one:
/// `"a b"`, and `$'a\tb'` where there is a control character.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (Some('\''), '\\') => {
                let escaped = characters.next().map(|escaped| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                word.get_or_insert_default().extend(escaped);
            }
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, '$') if characters.peek() == Some(&'\'') => {}
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// A command of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program.
    pub path: String,
    /// Its name and arguments, with one blank between them: systemctl tells no more.
    pub line: String,
}

impl Exec {
    /// Reads `{ path=/bin/x ; argv[]=/bin/x -y ; ignore_errors=no ; ... }`.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.split_once("path=")?.1;
        let (path, rest) = rest.split_once(" ; argv[]=")?;
        let (line, _) = rest.split_once(" ; ignore_errors=")?;
        Some(Self {
            path: path.to_owned(),
            line: line.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_systemd_are_taken_away() {
        for (text, wanted) in [
            ("", vec![]),
            ("A=1 B=2", vec!["A=1", "B=2"]),
            (
                r#"CONFIG=/etc/x "EXTRA=-S /run/x \"y\" \$z" E="#,
                vec!["CONFIG=/etc/x", r#"EXTRA=-S /run/x "y" $z"#, "E="],
            ),
            (r"$'A=1\n2' B='x y'", vec!["A=1\n2", "B=x y"]),
            (r#""""#, vec![""]),
        ] {
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_command_is_read() {
        let text = "{ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; \
                    ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; \
                    status=0/0 }";
        let exec = Exec::read(text).expect("it is one");
        assert_eq!(exec.path, "/usr/sbin/nginx");
        assert_eq!(
            exec.line,
            "/usr/sbin/nginx -g daemon on; master_process on;"
        );
        assert_eq!(Exec::read(""), None);
    }
}
