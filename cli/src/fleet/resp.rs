//! RESP3, the protocol of Redis and Valkey, as far as it is needed here. Nothing that is
//! read makes more be kept than [`LONGEST`] bytes.
//!
//! Own code, since the libraries read a reply of any size, wait by the time between two
//! reads and not by the time for all of them, and tell notices only while another command
//! is under way or on a connection of their own.

use std::fmt;

/// The longest reply.
const LONGEST: usize = 64 << 10;
/// The most elements in a list, and lists within lists: HELLO's answer has a list of lists.
const MOST: usize = 256;
const DEEPEST: usize = 5;
/// The longest line without the bytes that it announces.
const LONGEST_LINE: usize = 1024;

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// An error.
    Error(String),
    /// A number.
    Number(i64),
    /// Nothing.
    Null,
    /// Several; keys and values of a map alternate.
    List(Vec<Value>),
    /// What comes unasked.
    Push(Vec<Value>),
}

impl Value {
    /// The bytes, if it is some.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes as text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// What was read is no reply, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is not RESP.
    Garbage,
    /// It is longer than is read.
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage => {
                f.write_str("what answers there speaks no RESP: is it Redis or Valkey?")
            }
            Self::TooLong => write!(
                f,
                "a reply is longer than {} KiB, and so nothing of ours",
                LONGEST >> 10
            ),
        }
    }
}

/// A command as it is sent.
pub fn command<A: AsRef<[u8]>>(words: impl IntoIterator<Item = A>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut count = 0;
    for word in words {
        let word = word.as_ref();
        body.extend(format!("${}\r\n", word.len()).into_bytes());
        body.extend_from_slice(word);
        body.extend_from_slice(b"\r\n");
        count += 1;
    }
    [format!("*{count}\r\n").into_bytes(), body].concat()
}

/// What was received and not yet read.
#[derive(Debug, Default)]
pub struct Received {
    bytes: Vec<u8>,
    /// What of it was read.
    read: usize,
}

impl Received {
    /// Adds what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next reply; None if it has not come whole.
    ///
    /// # Errors
    ///
    /// If it is none. Nothing that follows can be read then.
    pub fn next(&mut self) -> Result<Option<Value>, Malformed> {
        let mut reading = Reading {
            bytes: &self.bytes[self.read..],
            at: 0,
        };
        match reading.value(0)? {
            Some(value) if reading.at <= LONGEST => {
                self.read += reading.at;
                Ok(Some(value))
            }
            None if reading.bytes.len() <= LONGEST => Ok(None),
            _ => Err(Malformed::TooLong),
        }
    }
}

struct Reading<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = Result<Option<T>, Malformed>;

impl Reading<'_> {
    fn value(&mut self, depth: usize) -> Read<Value> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (kind, rest) = line.split_first().ok_or(Malformed::Garbage)?;
        let text = std::str::from_utf8(rest).map_err(|_| Malformed::Garbage)?;
        match kind {
            b'+' => Ok(Some(Value::Bytes(text.as_bytes().to_vec()))),
            b'-' => Ok(Some(Value::Error(text.to_owned()))),
            b':' => number(text).map(|number| Some(Value::Number(number))),
            b'_' if text.is_empty() => Ok(Some(Value::Null)),
            b'#' if text == "t" || text == "f" => Ok(Some(Value::Number((text == "t").into()))),
            b',' => Ok(Some(Value::Bytes(text.as_bytes().to_vec()))),
            b'$' | b'*' if text == "-1" => Ok(Some(Value::Null)),
            b'$' | b'=' => {
                let length = length(text, LONGEST)?;
                Ok(self.exactly(length)?.map(Value::Bytes))
            }
            b'!' => {
                let length = length(text, LONGEST)?;
                let bytes = self.exactly(length)?;
                Ok(bytes.map(|bytes| Value::Error(String::from_utf8_lossy(&bytes).into_owned())))
            }
            b'*' | b'~' => Ok(self.list(length(text, MOST)?, depth)?.map(Value::List)),
            b'>' => Ok(self.list(length(text, MOST)?, depth)?.map(Value::Push)),
            b'%' => Ok(self.list(2 * length(text, MOST)?, depth)?.map(Value::List)),
            _ => Err(Malformed::Garbage),
        }
    }

    fn list(&mut self, count: usize, depth: usize) -> Read<Vec<Value>> {
        if depth >= DEEPEST {
            return Err(Malformed::Garbage);
        }
        let mut values = Vec::new();
        for _ in 0..count {
            let Some(value) = self.value(depth + 1)? else {
                return Ok(None);
            };
            values.push(value);
        }
        Ok(Some(values))
    }

    /// Up to the next end of line, which is passed over.
    fn line(&mut self) -> Read<Vec<u8>> {
        let rest = &self.bytes[self.at..];
        match rest
            .windows(2)
            .take(LONGEST_LINE)
            .position(|two| two == b"\r\n")
        {
            Some(length) => {
                self.at += length + 2;
                Ok(Some(rest[..length].to_vec()))
            }
            // Whatever speaks another protocol need not be waited for.
            None if rest
                .first()
                .is_some_and(|first| !b"+-:_#,$=!*~>%".contains(first)) =>
            {
                Err(Malformed::Garbage)
            }
            None if rest.len() > LONGEST_LINE => Err(Malformed::Garbage),
            None => Ok(None),
        }
    }

    /// So many bytes and an end of line.
    fn exactly(&mut self, length: usize) -> Read<Vec<u8>> {
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Malformed::Garbage);
        }
        self.at += length + 2;
        Ok(Some(rest[..length].to_vec()))
    }
}

fn number(text: &str) -> Result<i64, Malformed> {
    text.parse().map_err(|_| Malformed::Garbage)
}

fn length(text: &str, most: usize) -> Result<usize, Malformed> {
    let length = usize::try_from(number(text)?).map_err(|_| Malformed::Garbage)?;
    match length <= most {
        true => Ok(length),
        false => Err(Malformed::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Value>, Malformed> {
        let mut received = Received::default();
        received.add(bytes);
        received.next()
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.into())
    }

    #[test]
    fn a_command_is_a_list_of_its_words() {
        assert_eq!(command(["GET", "a"]), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }

    #[test]
    fn every_reply_is_read_whole_however_it_is_cut() {
        let text = b"+OK\r\n-ERR no\r\n:-7\r\n_\r\n$-1\r\n$5\r\na\r\nb!\r\n*2\r\n$1\r\nv\r\n:1\r\n\
                     %1\r\n+k\r\n#t\r\n>3\r\n+message\r\n+c\r\n$0\r\n\r\n";
        let expected = [
            bytes("OK"),
            Value::Error("ERR no".to_owned()),
            Value::Number(-7),
            Value::Null,
            Value::Null,
            bytes("a\r\nb!"),
            Value::List(vec![bytes("v"), Value::Number(1)]),
            Value::List(vec![bytes("k"), Value::Number(1)]),
            Value::Push(vec![bytes("message"), bytes("c"), bytes("")]),
        ];
        for cut in 0..text.len() {
            let mut received = Received::default();
            let mut read = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                received.add(part);
                while let Some(value) = received.next().expect("RESP") {
                    read.push(value);
                }
            }
            assert_eq!(read, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_reply_or_too_long_is_refused_before_it_is_kept() {
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"H",
            b"\x15\x03\x01\x00\x02",
            b"$3\r\nabcdef\r\n",
            b"$x\r\n",
            b"*-7\r\n",
            b"\r\n",
            &b"*1\r\n".repeat(6),
            &[b"+".as_slice(), &[b'a'; 2 * LONGEST_LINE]].concat(),
        ] {
            assert_eq!(read(garbage), Err(Malformed::Garbage), "{garbage:?}");
        }
        assert_eq!(read(b"$65537\r\n"), Err(Malformed::TooLong));
        assert_eq!(read(b"$536870912\r\n"), Err(Malformed::TooLong));
        assert_eq!(read(b"*1000000\r\n"), Err(Malformed::TooLong));
        let part = [b"$60000\r\n".as_slice(), &[b'a'; 60_000], b"\r\n"].concat();
        assert!(matches!(read(&part), Ok(Some(_))));
        let two = [b"*2\r\n".as_slice(), &part, &part].concat();
        assert_eq!(read(&two), Err(Malformed::TooLong));
        assert_eq!(read(&two[..two.len() - 9]), Err(Malformed::TooLong));
    }

    #[test]
    fn whatever_comes_is_a_reply_or_refused_and_is_never_kept_beyond_the_limit() {
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut received = Received::default();
            let mut text = Vec::new();
            for _ in 0..12 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let alphabet = b"+-:_#,$=!*~>%0123456789\r\n\r\nab";
                text.push(alphabet[(random >> 33) as usize % alphabet.len()]);
            }
            received.add(&text);
            while let Ok(Some(_)) = received.next() {}
        }
    }
}
