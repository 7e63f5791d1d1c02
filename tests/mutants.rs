//! What `make mutants` counts is so: what the compiler refuses is left out and nothing beside it, what is
//! tried together is told apart, a run that is cut off goes on where it was, and one that missed more
//! than it may fails.

use std::path::Path;
use std::process::Command;

/// Runs a script of Python with tools/ before its modules; what it prints.
fn python(script: &str) -> String {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    let mut python = Command::new("python3");
    python.args(["-B", "-c", script]).env("PYTHONPATH", tools);
    let output = python.output().expect("python3 can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

#[test]
fn what_the_compiler_refuses_is_the_change_where_its_error_lies() {
    let script = r#"
from mutants_weed import guilty
places = {"a.rs": [dict(id=1, start=10, end=90), dict(id=2, start=20, end=40),
                   dict(id=3, start=100, end=120), dict(id=4, start=130, end=140)]}
changes = {id: dict(genre="MatchArm" if id > 2 else "FnValue") for id in range(1, 5)}
def error(start, end, code=None, file="a.rs", primary=True, level="error"):
    span = dict(file_name=file, byte_start=start, byte_end=end, is_primary=primary)
    return dict(reason="compiler-message", message=dict(
        level=level, code=code and dict(code=code), spans=[span]))
print(guilty([error(25, 30)], places, changes),
      guilty([error(50, 60), error(110, 111)], places, changes),
      guilty([error(50, 60, primary=False)], places, changes),
      guilty([error(95, 99, code="E0004")], places, changes),
      guilty([error(25, 30, level="warning"), error(25, 30, file="b.rs"), error(95, 99)], places, changes))
"#;
    assert_eq!(python(script), "{2} {1, 3} {1} {3} set()\n");
}

#[test]
fn what_is_tried_together_is_told_apart() {
    let script = r#"
import types
from mutants_tests import Known, Test
from mutants_try import OPEN, Trial, Verdict, groups
# 1 is noticed by x, 2 by y; 3 hangs z; 4 and 5 by none, though w fails wherever several are on.
def fails(test, on):
    return {"v": False, "w": len(on) > 1, "x": 1 in on, "y": 2 in on, "z": 3 in on}[test]
class Worker:
    alone, runs = set(), 0
    def run(self, on, command, directory, environment, limit):
        self.runs += 1
        assert self.runs < 50, "it tries on and on"
        names = [word for word in command if len(word) == 1]
        if len(names) == 1 and len(on) == 1:
            self.alone.update(names)
        failed = [name for name in names if fails(name, on)]
        output = "".join(f"test {name} ... {'FAILED' if name in failed else 'ok'}\n" for name in names
                         if name != "z" or name not in failed)
        return dict(code="hung" if "z" in failed else 101 if failed else 0, output=output)
tree = types.SimpleNamespace(changes={id: dict(file="a.rs") for id in range(1, 6)}, environment={},
                             library="")
known = [Known(Test("program", name, ("program",), "/"), 1.0, frozenset(range(1, 6))) for name in "vwxyz"]
trial, worker = Trial(tree, known), Worker()
found = {id: Verdict(OPEN, rest=tuple(known)) for id in range(1, 6)}
assert groups(found) == [found]
print([list(group) for group in groups({id: found[1] for id in range(12)})])
verdicts = trial.together(worker, found)
print({id: (one.verdict, one.by) for id, one in sorted(verdicts.items())}, sorted(worker.alone))
"#;
    let neighbours_apart = "[[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]";
    let verdicts = "{1: ('caught', 'program x'), 2: ('caught', 'program y'), \
                    3: ('hung', 'program z'), 4: ('missed', ''), 5: ('missed', '')}";
    let alone = "['w', 'x', 'y', 'z']";
    assert_eq!(
        python(script),
        format!("{neighbours_apart}\n{verdicts} {alone}\n")
    );
}

#[test]
fn a_run_goes_on_where_it_was_and_fails_by_what_it_missed() {
    let script = r#"
import os, tempfile
from mutants_results import Results
path = os.path.join(tempfile.mkdtemp(), "results.jsonl")
first = Results(path, "tree")
first.note("a", "missed")
first.note("b", "caught")
first.note("c", "hung", by="d")
first.note("f.rs:1:2: x", "missed")
# What was cut off, as by a lack of power.
open(path, "a").write('{"name": "e", "key": "tr')
second, other = Results(path, "tree"), Results(path, "another tree")
print([second.is_done(name) for name in "abce"], [other.is_done(name) for name in "abce"],
      [other.was_missed(name) for name in (*"abce", "f.rs:3:4: x", "f.rs:3:4: y")])
changes = {"part": [dict(name=name) for name in "abc"]}
failed = [second.table({"part": may_miss}, changes) for may_miss in (0, 33, 34)]
print(failed)
second.note("a", "caught")
print(second.table({"part": 0}, changes), Results(path, "tree").was_missed("a"))
"#;
    let told = python(script);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "[True, True, True, False] [False, False, False, False] [True, False, False, False, True, False]"
    );
    assert!(
        lines.contains(&"missed: a") && lines.contains(&"hung: c (d)"),
        "{told}"
    );
    assert!(lines.contains(&"[True, True, False]"), "{told}");
    assert_eq!(lines.last(), Some(&"False False"), "{told}");
}
