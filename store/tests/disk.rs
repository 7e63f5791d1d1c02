//! What is on the disk, and when: strace tells what a process that writes a store asks the
//! kernel for, in which order, and lets calls fail. What is not brought to the disk counts
//! as lost: no name may lead there, and nothing may be told to be done that is lost.
//!
//! Each process is this program again, for a test of its own: it does one piece of work on
//! a store that has older files.
#![cfg(feature = "agent")]

mod support;
#[path = "support/trace.rs"]
mod trace;

use staplegun_store::files::{
    self, Change, Files, Lasting, PUBLIC, What, Which, make_directory, make_runtime, replace,
    replace_for,
};
use staplegun_store::layout::Layout;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Scratch, key, response, role};
use trace::{Call, Trace, done};

/// The most files that are brought to the disk one after the other.
const FEW: u64 = 31;

fn write(which: Which, number: u64, version: u64) -> Change {
    let what = What::Write(response(number, version, 700));
    let key = key(number);
    Change { which, key, what }
}

fn remove(number: u64) -> Change {
    Change {
        which: Which::Staple,
        key: key(number),
        what: What::Remove,
    }
}

/// Half of the changes are responses', half notes'.
fn changes(count: u64, version: u64) -> Vec<Change> {
    let which = |number| match number % 2 {
        0 => Which::Staple,
        _ => Which::Notes,
    };
    (0..count)
        .map(|number| write(which(number), number, version))
        .collect()
}

fn read(files: &Files, change: &Change) -> Option<Vec<u8>> {
    let directory = match change.which {
        Which::Staple => &files.staples,
        Which::Notes => &files.state,
        Which::Certificate => &files.certificates,
    };
    directory.read(&change.key).unwrap()
}

/// A store with `count` files of [`changes`], version 1.
fn store(count: u64) -> (Scratch, Files) {
    let scratch = Scratch::new();
    let files = Files::open(scratch.path()).unwrap();
    assert!(files.apply(&changes(count, 1)).failed.is_empty());
    (scratch, files)
}

fn holds(files: &Files, changes: &[Change]) -> bool {
    changes
        .iter()
        .all(|change| read(files, change).map(What::Write).as_ref() == Some(&change.what))
}

#[test]
fn a_file_is_on_the_disk_before_its_name_and_both_before_it_is_told() {
    let test = "a_file_is_on_the_disk_before_its_name_and_both_before_it_is_told";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let files = Files::new(store);
        let (file, bytes) = (store.join("file"), response(1, 1, 100));
        match role.file_name().unwrap().to_str().unwrap() {
            "one" => files.staples.write(&key(0), &response(0, 2, 700)).unwrap(),
            "gone" => assert!(files.staples.remove(&key(0)).unwrap()),
            "end" => files.note_end(true).unwrap(),
            "no-end" => files.note_end(false).unwrap(),
            "other" => replace(&file, &bytes, PUBLIC, Lasting::OnDisk).unwrap(),
            "given" => {
                replace_for(&file, &bytes, 0o600, Some((0, 0)), Lasting::OnDisk).unwrap();
            }
            "first" => Files::new(&store.join("new/store"))
                .staples
                .write(&key(0), &bytes)
                .unwrap(),
            other => panic!("{other}"),
        }
        done(store);
        return;
    }
    let (scratch, files) = store(2);
    for work in ["one", "gone", "end", "no-end", "other", "given", "first"] {
        let trace = Trace::of(test, &scratch.path().join(work), &[]);
        trace.must_last();
        assert_eq!(files.ended_cleanly(), work == "end");
    }
    assert_eq!(files.staples.read(&key(0)).unwrap(), None);
    assert_eq!(
        fs::read(scratch.path().join("file")).unwrap(),
        response(1, 1, 100)
    );
    assert_eq!(
        fs::metadata(scratch.path().join("file")).unwrap().mode() & 0o7777,
        0o600
    );
}

/// Who made it may have been killed before it was on the disk.
#[test]
fn a_directory_that_another_has_made_is_brought_to_the_disk_as_well() {
    let test = "a_directory_that_another_has_made_is_brought_to_the_disk_as_well";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        make_directory(&store.join("made"), Lasting::OnDisk).unwrap();
        done(store);
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("made")).unwrap();
    let trace = Trace::of(test, &scratch.path().join("there"), &[]);
    assert_eq!(trace.syncs(), 1, "{}", trace.text);
}

/// After a boot it is made anew.
#[test]
fn nothing_waits_for_the_disk_where_nothing_is_to_last() {
    let test = "nothing_waits_for_the_disk_where_nothing_is_to_last";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let (state, runtime) = (store.join("state"), store.join("run"));
        let layout = Layout::user(Some(&state), Some(&runtime), None).unwrap();
        make_runtime(&layout).unwrap();
        let live = files::live(&layout);
        live.show(&key(0), &response(0, 1, 700), 1_000).unwrap();
        assert!(live.remove(&key(0)).unwrap());
        done(store);
        return;
    }
    let scratch = Scratch::new();
    let trace = Trace::of(test, &scratch.path().join("live"), &[]);
    assert_eq!(trace.syncs(), 0, "{}", trace.text);
}

#[test]
fn a_directory_for_what_lasts_and_what_does_not_is_brought_to_the_disk() {
    let test = "a_directory_for_what_lasts_and_what_does_not_is_brought_to_the_disk";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        make_runtime(&Layout::at(&store.join("both"))).unwrap();
        done(store);
        return;
    }
    let scratch = Scratch::new();
    Trace::of(test, &scratch.path().join("one"), &[]).must_last();
}

/// Each of them waits for the disk, which others use, too.
#[test]
fn few_files_are_brought_to_the_disk_one_by_one_and_many_at_once() {
    let test = "few_files_are_brought_to_the_disk_one_by_one_and_many_at_once";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let count = role.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let applied = Files::new(store).apply(&changes(count, 2));
        assert!(applied.failed.is_empty());
        assert_eq!(applied.responses.len() as u64, count.div_ceil(2));
        done(store);
        return;
    }
    for (count, syncs, of_all) in [(1, 2, 0), (FEW, FEW as usize + 2, 0), (FEW + 1, 2, 2)] {
        let (scratch, files) = store(count);
        let trace = Trace::of(test, &scratch.path().join(count.to_string()), &[]);
        trace.must_last();
        assert_eq!(trace.syncs(), syncs, "{}", trace.text);
        // One for each of the two directories: they may be mounted from different places.
        assert_eq!(trace.count(|call| matches!(call, Call::SyncAll)), of_all);
        assert!(holds(&files, &changes(count, 2)));
    }
}

#[test]
fn what_is_removed_together_is_gone_for_good_before_it_is_told() {
    let test = "what_is_removed_together_is_gone_for_good_before_it_is_told";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let applied = Files::new(store).apply(&[remove(0), remove(2)]);
        assert!(applied.failed.is_empty());
        done(store);
        return;
    }
    let (scratch, files) = store(4);
    let trace = Trace::of(test, &scratch.path().join("removals"), &[]);
    trace.must_last();
    // The notes' directory was not touched.
    assert_eq!(trace.syncs(), 1, "{}", trace.text);
    assert!(files.staples.keys().unwrap().is_empty());
    assert_eq!(files.state.keys().unwrap().len(), 2);
}

/// Old Linux, or a file system that does not know how.
#[test]
fn where_not_all_can_be_brought_to_the_disk_at_once_each_file_is() {
    let test = "where_not_all_can_be_brought_to_the_disk_at_once_each_file_is";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let applied = Files::new(store).apply(&changes(FEW + 1, 2));
        assert!(applied.failed.is_empty());
        done(store);
        return;
    }
    let (scratch, files) = store(FEW + 1);
    for when in ["1", "2"] {
        let failing = format!("inject=syncfs:error=EIO:when={when}");
        let trace = Trace::of(test, &scratch.path().join("many"), &["-e", &failing]);
        trace.must_last();
        assert_eq!(trace.syncs(), FEW as usize + 1 + 2, "{}", trace.text);
    }
    assert!(holds(&files, &changes(FEW + 1, 2)));
}

/// The names of what could not be made are told, and only those.
#[test]
fn a_file_that_does_not_reach_the_disk_gets_no_name_and_is_told() {
    let test = "a_file_that_does_not_reach_the_disk_gets_no_name_and_is_told";
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let failed = Files::new(store).apply(&changes(4, 2)).failed;
        let told: Vec<_> = failed.iter().map(|one| one.key).collect();
        let expected: &[_] = match role.file_name().unwrap().to_str().unwrap() {
            "nothing" => &[],
            "one" => &[key(1)],
            // By their directory: whether the disk has them is not known.
            "directory" => &[key(0), key(2)],
            other => panic!("{other}"),
        };
        assert_eq!(told, expected);
        assert!(
            failed
                .iter()
                .all(|one| one.error.to_string().contains("Input/output error"))
        );
        done(store);
        return;
    }
    let (scratch, files) = store(4);
    let at = |work: &str| scratch.path().join(work);
    let trace = Trace::of(test, &at("nothing"), &[]);
    assert!(holds(&files, &changes(4, 2)));
    assert!(files.apply(&changes(4, 1)).failed.is_empty());
    let second = trace.number("fsync", "fsync(") + 1;
    let failing = format!("inject=fsync:error=EIO:when={second}");
    Trace::of(test, &at("one"), &["-e", &failing]).must_last();
    let (new, old) = (changes(4, 2), changes(4, 1));
    let now = [
        new[0].clone(),
        old[1].clone(),
        new[2].clone(),
        new[3].clone(),
    ];
    assert!(holds(&files, &now));
    // Nothing half is left.
    for directory in ["staples", "state"] {
        assert_eq!(fs::read_dir(at(directory)).unwrap().count(), 2);
    }
    let directory = trace.number("fsync", "staples>");
    let failing = format!("inject=fsync:error=EIO:when={directory}");
    Trace::of(test, &at("directory"), &["-e", &failing]);
    assert!(holds(&files, &new));
}

/// And a file system that takes nothing, and does not say why, is an error.
#[test]
fn an_interrupted_write_goes_on_and_an_empty_one_is_told() {
    let test = "an_interrupted_write_goes_on_and_an_empty_one_is_told";
    // Of the test's thread; no other writes as often.
    let failing = FEW - 1;
    if let Some(role) = role() {
        let store = role.parent().unwrap();
        let failed = Files::new(store).apply(&changes(FEW, 2)).failed;
        let told: Vec<_> = failed.iter().map(|one| one.key).collect();
        let expected = [key(failing - 1)];
        let is_empty = role.file_name().unwrap() == "empty";
        assert_eq!(told, expected[usize::from(!is_empty)..]);
        done(store);
        return;
    }
    let (scratch, files) = store(FEW);
    let (old, new) = (changes(FEW, 1), changes(FEW, 2));
    for (work, result) in [("interrupted", "error=EINTR"), ("empty", "retval=0")] {
        assert!(files.apply(&old).failed.is_empty());
        let inject = format!("inject=write:{result}:when={failing}");
        let trace = Trace::of(test, &scratch.path().join(work), &["-e", &inject]);
        trace.must_last();
        assert!(trace.text.contains("INJECTED"));
        let at = failing as usize - 1;
        let mut now = new.clone();
        if work == "empty" {
            now[at] = old[at].clone();
        }
        assert!(holds(&files, &now), "{}", trace.text);
    }
    let names = ["staples", "state"].map(|name| scratch.path().join(name));
    let left = names.map(|name| fs::read_dir(name).unwrap().count());
    assert_eq!(left.iter().sum::<usize>() as u64, FEW);
}

/// What an agent has open is nobody's who is started by it.
#[test]
fn no_program_that_is_started_meanwhile_inherits_a_file_of_the_store() {
    let test = "no_program_that_is_started_meanwhile_inherits_a_file_of_the_store";
    if let Some(role) = role() {
        use staplegun_store::map::{Reader, Writer, WriterLock};
        use staplegun_store::spool::{DropBox, publish};
        let store = role.parent().unwrap();
        let files = Files::open(store).unwrap();
        assert!(files.apply(&changes(2, 2)).failed.is_empty());
        files.staples.read(&key(0)).unwrap();
        files.note_end(true).unwrap();
        files.note_end(false).unwrap();
        let map = store.join("map.v1");
        let lock = WriterLock::try_take(&map).unwrap();
        drop(Writer::open(&map, support::SIZE, lock).unwrap());
        drop(Reader::open(&map, support::SIZE).unwrap());
        let mut spool = DropBox::open(&store.join("spool")).unwrap();
        publish(&store.join("spool"), &key(1), &[b"0"]).unwrap();
        assert!(spool.look(std::time::Instant::now()).unwrap().complete);
        spool.next(|_| true).unwrap().unwrap();
        done(store);
        return;
    }
    let (scratch, _) = store(2);
    let trace = Trace::of(test, &scratch.path().join("all"), &[]);
    let mut opened = HashMap::new();
    for call in &trace.calls {
        if let Call::Open(path, how) = call {
            assert!(how.contains("O_CLOEXEC"), "{how}");
            // Else what is put in the place of a directory could let it wait.
            let is_directory = Path::new(path).is_dir();
            assert!(!is_directory || how.contains("O_DIRECTORY"), "{how}");
            // Nor does it write what somebody else has put there: but for the lock, which stays.
            let is_new = how.contains("O_CREAT") && !path.ends_with(".lock");
            assert_eq!(is_new, how.contains("O_EXCL"), "{how}");
            *opened.entry(path.clone()).or_insert(0) += 1;
        }
    }
    for name in [
        "staples",
        "state",
        "map.v1",
        "map.v1.lock",
        ".map.v1.new",
        "spool",
    ] {
        let path = scratch.path().join(name);
        assert!(
            opened.contains_key(path.to_str().unwrap()),
            "{name}: {opened:?}"
        );
    }
}
