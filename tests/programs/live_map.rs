//! The agent's part, played by the test: a live map of the size that the agent
//! makes, and the spool.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        fs::create_dir(layout.live()).expect("a new directory");
        set_mode(&layout.live(), 0o755);
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

    /// Shows a response for the site's certificate as a file.
    pub fn show(&self, site: &Site, der: &[u8]) {
        let live = Layout::at(self.directory.path()).live();
        let (new, file) = (live.join(".new"), site.leaf.sha256_hex() + ".der");
        fs::write(&new, der).expect("it is ours");
        set_mode(&new, 0o644);
        let end = SystemTime::now() + Duration::from_secs(HOUR.unsigned_abs());
        let opened = fs::File::options().write(true).open(&new);
        let dated = opened.and_then(|opened| opened.set_modified(end));
        dated.expect("it is ours");
        fs::rename(new, live.join(file)).expect("it is ours");
    }

    /// Takes that file away.
    pub fn hide(&self, site: &Site) {
        let live = Layout::at(self.directory.path()).live();
        let file = live.join(site.leaf.sha256_hex() + ".der");
        fs::remove_file(file).expect("it is there");
    }

    /// The store that it is of.
    pub fn directory(&self) -> &Path {
        self.directory.path()
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
