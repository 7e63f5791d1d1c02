//! A directory for the files that a target hands to the code under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    // In memory where that is possible: as the live map is, and some hundred times
    // as fast as a disk.
    let memory = Path::new("/dev/shm");
    let parent = match std::env::var_os("FUZZ_SCRATCH") {
        Some(parent) => PathBuf::from(parent),
        None if memory.is_dir() => memory.to_owned(),
        None => std::env::temp_dir(),
    };
    let path = parent.join(format!("staplegun-fuzz.{}", std::process::id()));
    fs::create_dir(&path).expect("a directory can be made for temporary files");
    path
});

/// One directory of the process, and in it one named `name`, made when first asked
/// for. Call [`remove`] at the end; under libFuzzer, which leaves a process without
/// destructors, ../tools/fuzz removes what FUZZ_SCRATCH names.
pub fn directory(name: &str) -> PathBuf {
    let path = DIRECTORY.join(name);
    fs::create_dir_all(&path).expect("a directory can be made in it");
    path
}

/// Removes the directory with all that is in it.
pub fn remove() {
    let path: &Path = &DIRECTORY;
    fs::remove_dir_all(path).expect("the files are this process's own");
}
