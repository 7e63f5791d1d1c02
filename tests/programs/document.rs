//! The table of docs/programs.md is what the servers did. With
//! STAPLEGUN_WRITE_PROGRAMS=1 each writes its row anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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

/// Panics unless the document has this row; or writes it.
pub fn hold(row: &Row) {
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

fn version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${Version}", package])
        .output()
        .expect("dpkg-query can be run");
    assert!(output.status.success(), "{package} is not installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_row_of_the_table_has_its_test() {
    let text = fs::read_to_string(document()).expect("docs/programs.md can be read");
    let (_, rest) = text.split_once(BEGIN).expect("the begin is marked");
    let (table, _) = rest.split_once(END).expect("the end is marked");
    let rows = table.strip_prefix(HEADER).expect("the header is ours");
    let tests = include_str!("servers.rs");
    assert!(rows.lines().count() > 20, "{rows}");
    for row in rows.lines() {
        let name = row.split(" | ").next().unwrap_or_default();
        let name = name.trim_start_matches("| ");
        assert!(tests.contains(&format!("\"{name}\"")), "no test for {name}");
    }
}
