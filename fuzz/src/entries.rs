//! `staplegun probe`: any bytes as the Certificate message that a server sends in TLS 1.3.

#[path = "../../cli/src/probe/entries.rs"]
mod read;

use read::Entry;

/// What is read is in the message, and is written so that it is read alike.
pub fn run(data: &[u8]) {
    let Some(entries) = read::read(data) else {
        return;
    };
    let staple = |entry: &Entry| entry.staple.as_ref().map_or(0, Vec::len);
    let length: usize = entries
        .iter()
        .map(|entry| entry.certificate.len() + staple(entry))
        .sum();
    assert!(length <= data.len(), "{length} bytes of {}", data.len());
    let list: Vec<u8> = entries.iter().flat_map(encode).collect();
    let message = [vector(1, b""), vector(3, &list)].concat();
    assert_eq!(read::read(&message), Some(entries));
}

fn encode(entry: &Entry) -> Vec<u8> {
    let status = entry.staple.as_ref().map_or_else(Vec::new, |der| {
        let status = [vec![1], vector(3, der)].concat();
        [vec![0, 5], vector(2, &status)].concat()
    });
    [vector(3, &entry.certificate), vector(2, &status)].concat()
}

/// With its length before it, in so many bytes.
fn vector(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}
