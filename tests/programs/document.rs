//! The tables of docs/programs.md are what the servers did. With
//! STAPLEGUN_WRITE_PROGRAMS=1 each writes its row anew.
//!
//! The first table is of Debian 12. In another Debian, which STAPLEGUN_SUITE names (`make
//! check-distributions`), each has its cell in the second: what is other there than in its row
//! of the first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use staplegun_testkit::hosts::{Exim, Node};

/// What has a row and is no Debian package.
pub const NODE: &str = "node (npm)";

/// What is not installed, but unpacked.
pub const EXIM: &str = "exim4-daemon-light";

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub package: &'static str,
    pub cells: Vec<String>,
}

/// The test threads of this process write one after another.
static WRITING: Mutex<()> = Mutex::new(());

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";
const HEADER: &str = "\
    | server | seen as | first handshake | renewed while it runs | reload | tells the agent | \
    from a file | its own staple | tried with |\n|---|---|---|---|---|---|---|---|---|\n";

/// The other Debians, and the titles of their columns.
const SUITES: [(&str, &str); 3] = [
    ("bullseye", "Debian 11, OpenSSL 1.1.1"),
    ("trixie", "Debian 13, OpenSSL 3.5"),
    ("sid", "sid, OpenSSL 3.6"),
];
const SUITES_BEGIN: &str = "<!-- distributions: begin -->\n";
const SUITES_END: &str = "<!-- distributions: end -->\n";

/// The other Debian in which the tests run, if they do.
pub fn suite() -> Option<&'static str> {
    let named = std::env::var("STAPLEGUN_SUITE").ok()?;
    let known = SUITES.iter().find(|(suite, _)| *suite == named);
    Some(known.expect("STAPLEGUN_SUITE is one of the table's").0)
}

/// Panics unless the document has this row, or the cell for it; or writes it.
pub fn hold(row: &Row) {
    match suite() {
        Some(suite) => hold_cell(row, suite),
        None => hold_row(row),
    }
}

/// What a server does in that Debian: the same as in Debian 12, or what is other, then the
/// version, which makes no cell stale.
fn hold_cell(row: &Row, suite: &str) {
    let _one = WRITING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let text = fs::read_to_string(document()).expect("docs/programs.md can be read");
    let start = format!("| {} | ", row.name);
    let (_, rest) = text.split_once(BEGIN).expect("the begin is marked");
    let (table, _) = rest.split_once(END).expect("the end is marked");
    let first = table.lines().find_map(|line| line.strip_prefix(&start));
    let titles = HEADER.lines().next().expect("a line").split(" | ").skip(1);
    // What is in no Debian 12 has no row there: all that is known of it is told.
    let there: Vec<&str> = first.map_or(Vec::new(), |line| line.split(" | ").collect());
    let cells = row.cells.iter().map(String::as_str);
    let other: Vec<String> = titles
        .zip(cells)
        .enumerate()
        .filter(|(at, (_, cell))| there.get(*at) != Some(cell))
        .map(|(_, (title, cell))| format!("{title}: {cell}"))
        .collect();
    let words = match (other.is_empty(), there.is_empty()) {
        (true, _) => "the same".to_owned(),
        (false, true) => other.join("; "),
        (false, false) => format!("the same, but {}", other.join("; ")),
    };
    let cell = format!("{words} ({})", version(row.package));

    let (before, rest) = text.split_once(SUITES_BEGIN).expect("the begin is marked");
    let (table, after) = rest.split_once(SUITES_END).expect("the end is marked");
    let column = SUITES.iter().position(|(name, _)| *name == suite);
    let column = column.expect("it is one of them");
    let shown = table.lines().find_map(|line| line.strip_prefix(&start));
    let mut shown: Vec<String> = shown.map_or(vec!["-".to_owned(); SUITES.len()], |line| {
        let cells = line.trim_end_matches(" |").split(" | ");
        cells.map(str::to_owned).collect()
    });
    if std::env::var_os("STAPLEGUN_WRITE_PROGRAMS").is_none() {
        let without = |cell: &str| cell.rsplit_once(" (").map(|(words, _)| words.to_owned());
        assert_eq!(
            without(&shown[column]),
            Some(words),
            "the table is stale; write it with: STAPLEGUN_WRITE_PROGRAMS=1 make check-distributions"
        );
        return;
    }
    shown[column] = cell;
    let line = format!("{start}{} |", shown.join(" | "));
    let others = table
        .lines()
        .skip(2)
        .filter(|line| !line.starts_with(&start));
    let mut rows: Vec<&str> = others.chain([line.as_str()]).collect();
    rows.sort_by_key(|row| row.to_lowercase());
    let titles = SUITES.map(|(_, title)| title).join(" | ");
    let written = format!(
        "{before}{SUITES_BEGIN}| server | {titles} |\n|{}\n{}\n{SUITES_END}{after}",
        "---|".repeat(SUITES.len() + 1),
        rows.join("\n")
    );
    fs::write(document(), written).expect("it is ours");
}

/// The row of Debian 12.
fn hold_row(row: &Row) {
    let _one = WRITING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let text = fs::read_to_string(document()).expect("docs/programs.md can be read");
    let (before, rest) = text.split_once(BEGIN).expect("the begin is marked");
    let (table, after) = rest.split_once(END).expect("the end is marked");
    let start = format!("| {} |", row.name);
    let measured = format!(
        "{start} {} | {} |",
        row.cells.join(" | "),
        version(row.package)
    );
    if std::env::var_os("STAPLEGUN_WRITE_PROGRAMS").is_some() {
        let others = table.lines().skip(HEADER.lines().count());
        let others = others.filter(|line| line.starts_with("| ") && !line.starts_with(&start));
        let mut rows: Vec<&str> = others.chain([measured.as_str()]).collect();
        rows.sort_by_key(|row| row.to_lowercase());
        let rows = rows.join("\n");
        let written = format!("{before}{BEGIN}{HEADER}{rows}\n{END}{after}");
        fs::write(document(), written).expect("it is ours");
        return;
    }
    let shown = table.lines().find(|line| line.starts_with(&start));
    assert_eq!(
        shown.map(without_version),
        Some(without_version(&measured)),
        "the table is stale; write it with: STAPLEGUN_WRITE_PROGRAMS=1 make check-programs"
    );
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/programs.md")
}

/// Versions, in the last column, differ from machine to machine and make no row stale.
fn without_version(row: &str) -> &str {
    let row = row.trim_end_matches(" |");
    row.rsplit_once(" | ").map_or(row, |(rest, _)| rest)
}

/// The package, which may have its version in its name, and so another name in each Debian.
fn version(package: &str) -> String {
    if package == NODE {
        let program = Node::projects_executable();
        let output = Command::new(program).arg("--version").output();
        let output = output.expect("it can be run").stdout;
        return format!("node {}", String::from_utf8_lossy(&output).trim());
    }
    if package == EXIM {
        return format!("{EXIM} {}", Exim::version());
    }
    let base = package.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n"])
        .args([package.to_owned(), format!("{base}-[0-9]*")])
        .output()
        .expect("dpkg-query can be run");
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut installed = found.lines().filter_map(|line| line.strip_prefix("ii  "));
    let line = installed.next();
    line.unwrap_or_else(|| panic!("{package} is not installed"))
        .to_owned()
}

#[test]
fn each_row_of_the_tables_has_its_test() {
    let text = fs::read_to_string(document()).expect("docs/programs.md can be read");
    let tests = include_str!("servers.rs");
    for (begin, end) in [(BEGIN, END), (SUITES_BEGIN, SUITES_END)] {
        let (_, rest) = text.split_once(begin).expect("the begin is marked");
        let (table, _) = rest.split_once(end).expect("the end is marked");
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(rows.len() > 20, "{rows:?}");
        for row in rows {
            let name = row.split(" | ").next().unwrap_or_default();
            let name = name.trim_start_matches("| ");
            assert!(tests.contains(&format!("\"{name}\"")), "no test for {name}");
        }
    }
}
