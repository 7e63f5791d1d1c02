//! Protocols of packets: PostgreSQL, MySQL and LDAP.

use std::io::Read;

use anyhow::{Context, Result, bail};

use super::super::connection::Connection;

/// PostgreSQL: an SSLRequest, answered by one byte (protocol 3.0, 53.7).
pub fn postgres(connection: &mut Connection) -> Result<()> {
    const SSL_REQUEST: u32 = 80_877_103;
    let length: u32 = 8;
    connection.send(&[length.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat())?;
    match connection.exactly()? {
        [b'S'] => Ok(()),
        [b'N'] => bail!("the server has TLS switched off (ssl = off)"),
        [b'E'] => bail!("the server answers with an error; is it PostgreSQL?"),
        [other] => bail!("the server answers with byte {other:#04x}; is it PostgreSQL?"),
    }
}

/// MySQL and MariaDB: the server greets with what it can; an SSLRequest is the
/// start of the answer to that (client/server protocol, Connection Phase).
pub fn mysql(connection: &mut Connection) -> Result<()> {
    const LONGEST_GREETING: usize = 4096;
    const PROTOCOL_10: u8 = 10;
    const ERROR: u8 = 0xff;
    const CAN_PROTOCOL_41: u32 = 0x0200;
    const CAN_SSL: u32 = 0x0800;
    const CAN_SECURE_CONNECTION: u32 = 0x8000;
    let [a, b, c, sequence] = connection.exactly()?;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    if length == 0 || length > LONGEST_GREETING {
        bail!("the server greets with {length} bytes; is it MySQL?");
    }
    let mut greeting = vec![0; length];
    connection
        .read_exact(&mut greeting)
        .context("the server's greeting is cut")?;
    match greeting[0] {
        PROTOCOL_10 => {}
        ERROR => {
            let text = String::from_utf8_lossy(greeting.get(3..).unwrap_or_default());
            bail!("the server refuses: {text:?}");
        }
        other => bail!("the server speaks protocol {other}; is it MySQL?"),
    }
    // A string that ends with NUL, four bytes of thread, eight of data, a filler;
    // then the lower half of what it can.
    let version = greeting.iter().skip(1).position(|&byte| byte == 0);
    let at = version.context("the server's greeting is not MySQL's")? + 2 + 4 + 8 + 1;
    let [low, high] = greeting
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .unwrap_or([0; 2]);
    let capabilities = u32::from(u16::from_le_bytes([low, high]));
    if capabilities & CAN_SSL == 0 {
        bail!("the server has TLS switched off");
    }
    let wanted = CAN_PROTOCOL_41 | CAN_SSL | CAN_SECURE_CONNECTION;
    let largest_packet: u32 = 1 << 24;
    const UTF8: u8 = 33;
    let mut request = vec![32, 0, 0, sequence.wrapping_add(1)];
    request.extend(wanted.to_le_bytes());
    request.extend(largest_packet.to_le_bytes());
    request.push(UTF8);
    request.extend([0; 23]);
    connection.send(&request)
}

/// LDAP: the extended operation StartTLS (RFC 4511, 4.14), message number 1.
pub fn ldap(connection: &mut Connection) -> Result<()> {
    const OPERATION: &[u8] = b"1.3.6.1.4.1.1466.20037";
    const SEQUENCE: u8 = 0x30;
    const EXTENDED_REQUEST: u8 = 0x77;
    const EXTENDED_RESPONSE: u8 = 0x78;
    const REQUEST_NAME: u8 = 0x80;
    const MESSAGE: &[u8] = &[0x02, 1, 1];
    const LONGEST_ANSWER: usize = 4096;
    let element = |tag, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let request = element(EXTENDED_REQUEST, &element(REQUEST_NAME, OPERATION));
    connection.send(&element(SEQUENCE, &[MESSAGE, &request].concat()))?;

    let [tag, first] = connection.exactly()?;
    let length = match first {
        0x00..=0x7f => usize::from(first),
        0x81 => usize::from(connection.exactly::<1>()?[0]),
        0x82 => usize::from(u16::from_be_bytes(connection.exactly()?)),
        0x84 => u32::from_be_bytes(connection.exactly()?) as usize,
        _ => bail!("the server's answer is not LDAP"),
    };
    if tag != SEQUENCE || length > LONGEST_ANSWER {
        bail!("the server's answer is not LDAP");
    }
    let mut answer = vec![0; length];
    connection
        .read_exact(&mut answer)
        .context("the server's answer is cut")?;
    // The number, then the operation with its length, then an ENUMERATED code.
    let rest = answer.strip_prefix(MESSAGE).unwrap_or_default();
    let content = match rest {
        [EXTENDED_RESPONSE, 0x00..=0x7f, content @ ..] => content,
        [EXTENDED_RESPONSE, 0x81, _, content @ ..] => content,
        [EXTENDED_RESPONSE, 0x82, _, _, content @ ..] => content,
        [EXTENDED_RESPONSE, 0x84, _, _, _, _, content @ ..] => content,
        _ => bail!("the server's answer to StartTLS is not LDAP's"),
    };
    match content {
        [0x0a, 1, 0, ..] => Ok(()),
        [0x0a, 1, code, ..] => bail!("the server refuses StartTLS with LDAP's result {code}"),
        _ => bail!("the server's answer to StartTLS is not LDAP's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 4096;

    fn told(start: fn(&mut Connection) -> Result<()>, said: &[u8]) -> Option<String> {
        let started = start(&mut Connection::to_one_that_says(said));
        started.err().map(|error| error.to_string())
    }

    #[test]
    fn a_greeting_of_mysql_is_read_up_to_a_length() {
        let greeting = |length: usize| {
            let version_to_filler = [&[10][..], b"8.0\0", &[0; 4 + 8 + 1]].concat();
            let mut greeting = [version_to_filler, vec![0xff; 2]].concat();
            greeting.resize(length, 0);
            [&length.to_le_bytes()[..3], &[0], &greeting].concat()
        };
        assert_eq!(told(mysql, &greeting(60)), None);
        assert_eq!(told(mysql, &greeting(LONGEST)), None);
        let longer = told(mysql, &greeting(LONGEST + 1));
        let expected = "the server greets with 4097 bytes; is it MySQL?";
        assert_eq!(longer.as_deref(), Some(expected));
    }

    /// The length in BER in that many octets more than the first.
    fn element(tag: u8, octets: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        let (first, rest) = match octets {
            0 => (content.len() as u8, &[][..]),
            _ => (0x80 + octets as u8, &length[length.len() - octets..]),
        };
        [&[tag, first], rest, content].concat()
    }

    /// An LDAPMessage with the result of an extended operation.
    fn result(tag: u8, octets: [usize; 2], code: u8, padding: usize) -> Vec<u8> {
        let result = [vec![0x0a, 1, code, 4, 0, 4, 0], vec![0; padding]].concat();
        let operation = element(0x78, octets[1], &result);
        element(tag, octets[0], &[&[2, 1, 1], &operation[..]].concat())
    }

    #[test]
    fn ldaps_answer_counts_however_its_lengths_are_written() {
        for outer in [0, 1, 2, 4] {
            for inner in [0, 1, 2, 4] {
                let good = result(0x30, [outer, inner], 0, 0);
                assert_eq!(told(ldap, &good), None, "{outer}, {inner}");
            }
        }
        let refused = told(ldap, &result(0x30, [4, 4], 52, 0));
        let expected = "the server refuses StartTLS with LDAP's result 52";
        assert_eq!(refused.as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_message_of_ldap_or_a_long_one_is_no_answer() {
        let expected = Some("the server's answer is not LDAP");
        let other = told(ldap, &result(0x31, [0, 0], 0, 0));
        assert_eq!(other.as_deref(), expected);
        let of_length = |length: usize| {
            let fixed = result(0x30, [2, 2], 0, 0).len() - 4;
            told(ldap, &result(0x30, [2, 2], 0, length - fixed))
        };
        assert_eq!(of_length(LONGEST), None);
        for longer in [LONGEST + 1, LONGEST + 1_000] {
            assert_eq!(of_length(longer).as_deref(), expected);
        }
    }
}
