//! Whether a file carries an OpenSSL inside: calls within it pass nobody by.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use memchr::memmem;

use super::elf::{Image, Kind};

/// The source file whose name stands in each libssl, stripped or not; BoringSSL's and
/// AWS-LC's begin so.
const SOURCE_FILE: &[u8] = b"ssl/ssl_lib.c";

/// Whether a file carries a libssl inside, whatever it is named.
///
/// # Errors
///
/// If it cannot be read.
pub fn carries_openssl(path: &Path) -> Result<bool> {
    let image = Image::read(path)?;
    let is_program = image.kind != Kind::Shared;
    Ok(image.inner_openssl
        || (is_program && image.exports("SSL_CTX_new"))
        || names_its_source(path)?)
}

/// Whether a file names a source file of libssl.
///
/// # Errors
///
/// If it cannot be read.
pub fn names_its_source(path: &Path) -> Result<bool> {
    contains(path, SOURCE_FILE)
}

/// Whether these bytes stand anywhere in the file.
///
/// # Errors
///
/// If it cannot be read.
pub fn contains(path: &Path, needle: &[u8]) -> Result<bool> {
    const BLOCK: usize = 1 << 20;
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let finder = memmem::Finder::new(needle);
    let mut window = Vec::new();
    loop {
        let kept = window.len();
        let read = (&mut file)
            .take(BLOCK as u64)
            .read_to_end(&mut window)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if finder.find(&window).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // What may be the beginning of a match stays.
        let keep = (kept + read).min(needle.len() - 1);
        window.drain(..window.len() - keep);
    }
}
