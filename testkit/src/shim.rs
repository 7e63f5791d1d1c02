//! libstaplegun.so, and how a test puts it into a program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::program::Program;

/// The library under test: what STAPLEGUN_LIB names, else the release build of
/// this workspace.
pub fn library() -> PathBuf {
    let path = std::env::var_os("STAPLEGUN_LIB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/libstaplegun.so"),
        PathBuf::from,
    );
    path.canonicalize().unwrap_or_else(|e| {
        panic!(
            "the library to be tested is missing: {}: {e}; \
             build it with: cargo build --release, or name it in STAPLEGUN_LIB",
            path.display()
        )
    })
}

/// The directory of another OpenSSL than the system's, on which the programs are to
/// run: what STAPLEGUN_OPENSSL names. It must have the system's SONAMEs.
pub fn other_openssl() -> Option<PathBuf> {
    let named = std::env::var_os("STAPLEGUN_OPENSSL")?;
    let directory = PathBuf::from(&named).canonicalize();
    Some(directory.unwrap_or_else(|e| panic!("STAPLEGUN_OPENSSL: {}: {e}", named.display())))
}

/// How a program gets libstaplegun.so, if at all.
#[derive(Clone, Debug)]
pub struct Shim {
    environment: Vec<(OsString, OsString)>,
}

impl Shim {
    /// The program runs plainly, without us, on the OpenSSL that is to be used.
    pub fn absent() -> Self {
        let plain = Self {
            environment: Vec::new(),
        };
        match other_openssl() {
            Some(directory) => plain.env("LD_LIBRARY_PATH", directory),
            None => plain,
        }
    }

    /// The library is preloaded, with its default configuration.
    pub fn preloaded() -> Self {
        Self::absent().env("LD_PRELOAD", library())
    }

    /// Sets an environment variable, e.g. one of the configuration.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Names files and directories with responses: STAPLEGUN_RESPONSE.
    pub fn responses(self, paths: &[&Path]) -> Self {
        let mut list = OsString::new();
        for (number, path) in paths.iter().enumerate() {
            if number > 0 {
                list.push(":");
            }
            list.push(path);
        }
        self.env("STAPLEGUN_RESPONSE", list)
    }

    /// Logs to a file: STAPLEGUN_LOG.
    pub fn log(self, path: &Path) -> Self {
        self.env("STAPLEGUN_LOG", path)
    }

    /// The environment as `NAME=value`, for programs that take it from a file of
    /// theirs and not from whoever starts them.
    pub fn assignments(&self) -> Vec<String> {
        let pair = |(name, value): &(OsString, OsString)| {
            format!("{}={}", name.display(), value.display())
        };
        self.environment.iter().map(pair).collect()
    }

    /// The program with its environment.
    pub fn apply(&self, program: Program) -> Program {
        let set = |program: Program, (name, value)| program.env(name, value);
        self.environment.iter().cloned().fold(program, set)
    }
}
