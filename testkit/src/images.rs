//! Other libssls than the system's, on which the system's programs run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::directory::{Directory, set_mode};
use crate::shim::Shim;

/// The libssl and libcrypto of an image of `tools/libssl-images`, where every user may read
/// them. It must have the system's SONAMEs.
pub struct Image(Directory);

impl Image {
    /// The image of that name, which is made if it was not before.
    pub fn of(name: &str) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/libssl-images");
        let made = Command::new(tool).arg(name).output().expect("it runs");
        assert!(made.status.success(), "no image {name}: {made:?}");
        let line = String::from_utf8(made.stdout).expect("UTF-8");
        let (_, path) = line.trim_end().rsplit_once('\t').expect("a path");
        let beside = Path::new(path).parent().expect("a directory");
        let copy = Directory::new();
        set_mode(copy.path(), 0o755);
        for entry in fs::read_dir(beside).expect("it is there").flatten() {
            if entry.file_name().to_string_lossy().contains(".so") {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("there is room");
            }
        }
        Self(copy)
    }

    /// The directory with both.
    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Puts programs that have `shim` on this libssl.
    pub fn under(&self, shim: Shim) -> Shim {
        shim.env("LD_LIBRARY_PATH", self.path())
    }
}
