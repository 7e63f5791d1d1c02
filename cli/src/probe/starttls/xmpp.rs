//! XMPP as a client (RFC 6120, 5.4). Its answers are XML; what matters of them can
//! be told by a few words that nothing else may hold.

use anyhow::{Result, bail};

use super::super::connection::Connection;

const LONGEST_ANSWER: usize = 16 * 1024;

/// Opens a stream and asks for TLS.
pub fn start(connection: &mut Connection, name: &str) -> Result<()> {
    let to = escape(name);
    let stream = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{to}' version='1.0'>"
    );
    connection.send(stream.as_bytes())?;
    let features = until(connection, &["</stream:features>", "<stream:features/>"])?;
    if !features.contains("urn:ietf:params:xml:ns:xmpp-tls") {
        bail!("the server does not offer STARTTLS");
    }
    connection.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
    let answer = until(connection, &["/>", "</proceed>", "</failure>"])?;
    if !answer.contains("<proceed") {
        bail!("the server answers STARTTLS with {answer:?}");
    }
    Ok(())
}

/// Reads tag by tag up to one of these ends.
fn until(connection: &mut Connection, ends: &[&str]) -> Result<String> {
    let mut answer = String::new();
    loop {
        let left = LONGEST_ANSWER.saturating_sub(answer.len());
        let tag = connection.until(b">", left)?;
        answer += &String::from_utf8_lossy(&tag);
        if answer.contains("<stream:error") {
            bail!("the server refuses the stream: {answer:?}; does --servername or HOST name it?");
        }
        if ends.iter().any(|end| answer.ends_with(end)) {
            return Ok(answer);
        }
    }
}

/// As an attribute's value.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('\'', "&apos;")
}
