//! The man pages and the shells' completions in packaging/: written from the command line as
//! clap knows it, from README's table of variables and from packaging/agent.toml, so that none
//! of them is told twice. The tests hold what is committed to that; `make man` writes it anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Staplegun;

const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../packaging/agent.toml");
const LIBRARY_PAGE: &str = include_str!("../../packaging/man/staplegun.7.in");
const CONFIGURATION_PAGE: &str = include_str!("../../packaging/man/agent.toml.5.in");

/// The files by their names.
type Files = BTreeMap<String, String>;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("what clap has is UTF-8")
}

/// Without what depends on the machine: `--version` also tells of its OpenSSL.
fn command() -> Command {
    let version = env!("CARGO_PKG_VERSION");
    Staplegun::command().version(version).long_version(version)
}

fn man_pages() -> Files {
    let mut files = Files::new();
    let mut whole = command().disable_help_subcommand(true);
    whole.build();
    for one in std::iter::once(&whole).chain(whole.get_subcommands()) {
        let name = one.get_display_name().unwrap_or(one.get_name());
        let page = Man::new(one.clone())
            .manual("staplegun")
            .source(concat!("staplegun ", env!("CARGO_PKG_VERSION")))
            .date("");
        let mut bytes = Vec::new();
        page.render(&mut bytes).expect("memory can be written");
        // clap_mangen leaves out the date that it was not given, and what follows moves up.
        let page = text(bytes)
            .replace(" 1  \"staplegun ", " 1 \"\" \"staplegun ")
            .replace(".SH EXTRA", ".SH NOTES");
        files.insert(format!("{name}.1"), page);
    }
    let pages = [
        ("staplegun.7", LIBRARY_PAGE, variables(README)),
        ("agent.toml.5", CONFIGURATION_PAGE, settings(CONFIGURATION)),
    ];
    for (name, page, contents) in pages {
        let page = page.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        files.insert(name.to_owned(), page.replace("@CONTENTS@\n", &contents));
    }
    files
}

fn completions() -> Files {
    let shells = [
        (Shell::Bash, "staplegun.bash"),
        (Shell::Zsh, "_staplegun"),
        (Shell::Fish, "staplegun.fish"),
    ];
    let written = shells.map(|(shell, name)| {
        let mut bytes = Vec::new();
        clap_complete::generate(shell, &mut command(), "staplegun", &mut bytes);
        (name.to_owned(), text(bytes))
    });
    written.into()
}

/// As roff reads it back: no escapes, no requests, and hyphens that can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Markdown's code in bold.
fn with_code(markdown: &str) -> String {
    let parts = markdown.split('`').enumerate();
    parts
        .map(|(number, part)| match number % 2 {
            0 => escaped(part),
            _ => format!("\\fB{}\\fR", escaped(part)),
        })
        .collect()
}

/// README's table of variables as a list of roff's.
fn variables(readme: &str) -> String {
    let rows = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `STAPLEGUN_")?.strip_suffix(" |"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let &[name, values, default, meaning] = cells.as_slice() else {
            panic!("not four cells: {row}");
        };
        let name = escaped(name.trim_end_matches('`'));
        let (values, default) = (with_code(values), with_code(default));
        let meaning = with_code(meaning);
        format!(".TP\n\\fBSTAPLEGUN_{name}\\fR ({values})\n{meaning}.\nDefault: {default}.\n")
    })
    .collect()
}

/// The paragraphs of the configuration: what each says, then its lines as they may be written.
/// The first is about the file.
fn settings(configuration: &str) -> String {
    let paragraphs = configuration.trim_end().split("\n\n").skip(1);
    paragraphs
        .map(|paragraph| {
            let (prose, lines): (Vec<&str>, Vec<&str>) =
                paragraph.lines().partition(|line| line.starts_with("# "));
            let prose: Vec<&str> = prose.iter().map(|line| &line[2..]).collect();
            let lines: Vec<String> = lines
                .iter()
                .map(|line| escaped(line.trim_start_matches('#')))
                .collect();
            format!(
                ".PP\n{}\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n",
                escaped(&prose.join("\n")),
                lines.join("\n")
            )
        })
        .collect()
}

fn packaging(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(directory)
}

/// Holds a directory to what must be in it, or writes it.
fn hold(directory: &str, files: &Files) {
    let directory = packaging(directory);
    if std::env::var_os("STAPLEGUN_WRITE_MAN").is_some() {
        for (name, contents) in files {
            std::fs::write(directory.join(name), contents).expect("it can be written");
        }
    }
    let there = std::fs::read_dir(&directory).expect("the directory is there");
    let mut there: Vec<String> = there
        .map(|entry| entry.expect("it can be read").file_name())
        .map(|name| name.into_string().expect("names are UTF-8"))
        .filter(|name| Path::new(name).extension().is_none_or(|end| end != "in"))
        .collect();
    there.sort();
    assert_eq!(there, files.keys().cloned().collect::<Vec<_>>());
    for (name, contents) in files {
        let committed = std::fs::read_to_string(directory.join(name)).expect("it can be read");
        assert!(
            &committed == contents,
            "{name} is not what it is written from; run: make man"
        );
    }
}

#[test]
fn there_is_a_man_page_for_each_command_that_says_what_it_does_now() {
    let files = man_pages();
    for name in ["staplegun.1", "staplegun-run.1", "staplegun-agent.1"] {
        assert!(files.contains_key(name), "{:?}", files.keys());
    }
    hold("man", &files);
}

#[test]
fn the_shells_complete_what_the_command_line_takes_now() {
    let files = completions();
    for (name, contents) in &files {
        assert!(contents.contains("warn-before"), "{name}");
    }
    hold("completions", &files);
}

#[test]
fn the_pages_of_library_and_configuration_have_each_variable_and_each_setting() {
    assert!(variables(README).matches("\\fBSTAPLEGUN_").count() > 10);
    let all = settings(CONFIGURATION);
    let keys: Vec<&str> = CONFIGURATION
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.split_once(" = ")?.0))
        .filter(|key| !key.starts_with(' '))
        .collect();
    assert!(keys.len() > 15, "{keys:?}");
    for key in keys {
        let line = format!("\n{} = ", escaped(key));
        assert!(all.contains(&line), "{key}");
    }
}
