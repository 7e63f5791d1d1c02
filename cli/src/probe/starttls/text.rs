//! Protocols of lines: SMTP, IMAP, POP3 and FTP.

use anyhow::{Result, bail};

use super::super::connection::Connection;

/// RFC 5321 wants 512 bytes, IMAP's capabilities may take more.
const LONGEST_LINE: usize = 4096;
/// Lines of one answer, or before it.
const MOST_LINES: usize = 100;

fn line(connection: &mut Connection) -> Result<String> {
    let bytes = connection.until(b"\n", LONGEST_LINE)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// An answer as SMTP and FTP give it: a code and text on one or more lines.
struct Reply {
    code: String,
    lines: Vec<String>,
}

impl Reply {
    /// Lines up to the one with the first line's code and a blank (RFC 959, 4.2;
    /// RFC 5321, 4.2.1).
    fn read(connection: &mut Connection) -> Result<Self> {
        let first = line(connection)?;
        let code = first
            .get(..3)
            .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(code) = code.map(str::to_owned) else {
            bail!("the server does not speak this protocol: it says {first:?}");
        };
        let mut lines = vec![first];
        let ends = |line: &str| line.starts_with(&code) && !line[3..].starts_with('-');
        while !ends(&lines[lines.len() - 1]) {
            if lines.len() >= MOST_LINES {
                bail!("the server's answer has more than {MOST_LINES} lines");
            }
            lines.push(line(connection)?);
        }
        Ok(Self { code, lines })
    }

    /// Refuses every code but this.
    fn expect(self, code: &str, what: &str) -> Result<Self> {
        if self.code != code {
            bail!(
                "the server answers {what} with {:?}",
                self.lines.join(" / ")
            );
        }
        Ok(self)
    }
}

/// SMTP: EHLO, since only its answer tells whether STARTTLS is there (RFC 3207).
pub fn smtp(connection: &mut Connection) -> Result<()> {
    Reply::read(connection)?.expect("220", "the connection")?;
    connection.send(b"EHLO localhost\r\n")?;
    let reply = Reply::read(connection)?.expect("250", "EHLO")?;
    let offers = |line: &String| {
        let word = line.get(4..).unwrap_or_default();
        word.trim().eq_ignore_ascii_case("STARTTLS")
    };
    if !reply.lines.iter().any(offers) {
        bail!("the server does not offer STARTTLS");
    }
    connection.send(b"STARTTLS\r\n")?;
    Reply::read(connection)?.expect("220", "STARTTLS")?;
    Ok(())
}

/// FTP: AUTH TLS (RFC 4217).
pub fn ftp(connection: &mut Connection) -> Result<()> {
    let mut greeting = Reply::read(connection)?;
    // "Service ready in nnn minutes" comes before the greeting.
    if greeting.code == "120" {
        greeting = Reply::read(connection)?;
    }
    greeting.expect("220", "the connection")?;
    connection.send(b"AUTH TLS\r\n")?;
    Reply::read(connection)?.expect("234", "AUTH TLS")?;
    Ok(())
}

/// IMAP (RFC 9051, 6.2.1).
pub fn imap(connection: &mut Connection) -> Result<()> {
    let greeting = line(connection)?;
    if !starts_with(&greeting, "* OK") {
        bail!("the server greets with {greeting:?}, so that TLS cannot begin");
    }
    connection.send(b"a STARTTLS\r\n")?;
    for _ in 0..MOST_LINES {
        let answer = line(connection)?;
        if starts_with(&answer, "a OK") {
            return Ok(());
        }
        if !answer.starts_with('*') {
            bail!("the server answers STARTTLS with {answer:?}");
        }
    }
    bail!("the server does not come to an answer to STARTTLS")
}

/// POP3 (RFC 2595, 4).
pub fn pop3(connection: &mut Connection) -> Result<()> {
    let greeting = line(connection)?;
    if !starts_with(&greeting, "+OK") {
        bail!("the server greets with {greeting:?}");
    }
    connection.send(b"STLS\r\n")?;
    let answer = line(connection)?;
    if !starts_with(&answer, "+OK") {
        bail!("the server answers STLS with {answer:?}");
    }
    Ok(())
}

/// Whatever the case.
fn starts_with(line: &str, beginning: &str) -> bool {
    line.get(..beginning.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_begin_with_a_code_speaks_another_protocol() {
        for said in ["22", "", "+OK ready", "abc 220", "2\u{e9}0 x"] {
            let mut connection = Connection::to_one_that_says(format!("{said}\r\n").as_bytes());
            let told = smtp(&mut connection).unwrap_err().to_string();
            let expected = format!("the server does not speak this protocol: it says {said:?}");
            assert_eq!(told, expected);
        }
    }
}
