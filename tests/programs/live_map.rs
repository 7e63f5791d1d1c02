//! The agent's part, played by the test: a live map of the size that the agent
//! makes, and the spool.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::{Directory, Shim, Site};

/// The agent's default; it counts against RLIMIT_AS of a server.
const SIZE: usize = 16 * 1024 * 1024;

/// In seconds; no test lasts so long.
const HOUR: i64 = 3600;

/// What the agent keeps at run time.
pub struct LiveMap {
    directory: Directory,
    writer: Writer,
}

impl LiveMap {
    pub fn new() -> Self {
        let directory = Directory::new();
        let layout = Layout::at(directory.path());
        let lock = WriterLock::try_take(&layout.map()).expect("nobody else writes here");
        let writer = Writer::open(&layout.map(), SIZE, lock).expect("a new map");
        fs::create_dir(layout.spool()).expect("a new directory");
        set_mode(&layout.spool(), 0o1733);
        Self { directory, writer }
    }

    /// The library preloaded, to use this map.
    pub fn shim(&self) -> Shim {
        Shim::preloaded().env("STAPLEGUN_DIR", self.directory.path())
    }

    /// Publishes a response for the site's certificate. Its record began in 1970 and is
    /// so near its end that a server still tells the agent of the certificate.
    pub fn publish(&mut self, site: &Site, der: &[u8]) {
        let hex = site.leaf.sha256_hex();
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
        let key: [u8; 32] = std::array::from_fn(byte);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("it is after 1970").as_secs().cast_signed();
        let put = self.writer.put(&key, der, 0, now + HOUR);
        put.expect("there is room");
    }

    /// Whether the server left the site's certificate in the spool.
    pub fn was_told_of(&self, site: &Site) -> bool {
        let spool: PathBuf = Layout::at(self.directory.path()).spool();
        let hex = site.leaf.sha256_hex();
        fs::read_dir(spool)
            .expect("the spool is there")
            .any(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().starts_with(&hex)
            })
    }
}
