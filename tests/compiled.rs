//! What `make check` keeps of others' crates for the next clean clone is all of them, with their
//! times, by which cargo judges, and nothing of this tree's own packages.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use staplegun_testkit::Directory;

/// One package of others in two profiles, one of the tree's own; each path as it lies in `target`.
const OTHERS: [&str; 5] = [
    "debug/deps/libsyn-0123456789abcdef.rlib",
    "debug/deps/syn-0123456789abcdef.d",
    "debug/build/syn-0123456789abcdef/output",
    "debug/.fingerprint/syn-0123456789abcdef/lib-syn",
    "musl/library/x86_64-unknown-linux-musl/release/.fingerprint/std-00112233445566aa/lib-std",
];
const OWN: [&str; 5] = [
    "debug/deps/libstaplegun_ocsp-fedcba9876543210.rlib",
    "debug/.fingerprint/staplegun-ocsp-fedcba9876543210/lib-staplegun_ocsp",
    "debug/.fingerprint/staplegun-fuzz-shim-fedcba9876543211/lib-staplegun_fuzz_shim",
    "debug/.fingerprint/staplegun-proof-fedcba9876543212/lib-staplegun_proof",
    "debug/libstaplegun.so",
];

fn compiled(what: &str, target: &Path, cache: &Path) {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/compiled"))
        .arg(what)
        .arg(target)
        .env("STAPLEGUN_CACHE", cache)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_not_this_trees_own_is_kept_and_brought_with_its_times() {
    let (target, cache, clone) = (Directory::new(), Directory::new(), Directory::new());
    let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for path in OTHERS.iter().chain(&OWN) {
        let path = target.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(&path, "compiled").expect("it can be written");
        let file = fs::File::options().append(true).open(&path);
        file.and_then(|file| file.set_modified(earlier))
            .expect("its time can be set");
    }
    compiled("keep", target.path(), cache.path());
    // As a copy that was cut off has left it.
    let begun = clone.join("debug/build/syn-0123456789abcdef");
    fs::create_dir_all(begun).expect("it can be made");
    compiled("bring", clone.path(), cache.path());
    for path in OTHERS {
        let brought = fs::metadata(clone.join(path)).and_then(|about| about.modified());
        assert_eq!(brought.expect(path), earlier, "{path}");
    }
    for path in OWN {
        assert!(!clone.join(path).exists(), "{path} is the tree's own");
    }
}

#[test]
fn what_other_manifests_left_is_brought_where_these_have_left_nothing() {
    let (target, cache, clone) = (Directory::new(), Directory::new(), Directory::new());
    let path = target.join(OTHERS[3]);
    fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
    fs::write(&path, "compiled").expect("it can be written");
    compiled("keep", target.path(), cache.path());
    let base = cache.join("compiled-1");
    let kept = fs::read_dir(&base).expect("it is there").flatten();
    let kept = kept.map(|entry| entry.file_name().into_string().expect("it is text"));
    let kept = kept.filter(|name| name != "lock").collect::<Vec<_>>();
    let (by, _) = kept[0].split_once('-').expect("it has two parts");
    let of_others = base.join(format!("{by}-0123456789abcdef"));
    fs::rename(base.join(&kept[0]), &of_others).expect("it can be renamed");
    compiled("bring", clone.path(), cache.path());
    assert!(clone.join(OTHERS[3]).exists());
    // By other compilers it is of no use.
    let (clone, by_others) = (Directory::new(), "0123456789abcdef-0123456789abcdef");
    fs::rename(of_others, base.join(by_others)).expect("it can be renamed");
    compiled("bring", clone.path(), cache.path());
    assert!(!clone.join(OTHERS[3]).exists());
}

#[test]
fn nothing_is_brought_to_where_something_was_compiled() {
    let (target, cache, clone) = (Directory::new(), Directory::new(), Directory::new());
    for (directory, path) in [(&target, OTHERS[3]), (&clone, OWN[1])] {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(&path, "compiled").expect("it can be written");
    }
    compiled("keep", target.path(), cache.path());
    compiled("bring", clone.path(), cache.path());
    assert!(!clone.join(OTHERS[3]).exists());
}
