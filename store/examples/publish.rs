//! Publishes one response in the live map of a store, as an agent would, and ends:
//! the map stays. For tests of programs that are not written in Rust.
//!
//!     publish DIRECTORY KEY FILE UNTIL [SIZE]
//!
//! DIRECTORY is the store's (STAPLEGUN_DIR), KEY the SHA-256 of the leaf's DER in
//! hexadecimal, FILE a DER OCSPResponse, UNTIL the last second at which it is
//! stapled (since 1970), and SIZE that of a new map in bytes (16 MiB by default).
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_store::name;

const SIZE: usize = 16 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, key, file, until, size) = match arguments.as_slice() {
        [directory, key, file, until] => (directory, key, file, until, SIZE),
        [directory, key, file, until, size] => (directory, key, file, until, size.parse()?),
        _ => return Err("usage: publish DIRECTORY KEY FILE UNTIL [SIZE]".into()),
    };
    let key = name::to_key(key).ok_or("KEY is not 64 hexadecimal digits")?;
    let response = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let map = Layout::at(Path::new(directory)).map();
    let mut writer = Writer::open(&map, size, WriterLock::try_take(&map)?)?;
    writer.put(&key, &response, 0, until.parse()?)?;
    Ok(())
}
