//! Reading and writing DER: one element at a time, nothing copied.
//!
//! Headers are decoded by the crate `der`. Whole certificates and responses are
//! not decoded into typed structures, because what matters is the bytes as they
//! stand: a name is hashed and a serial number compared octet by octet, and an
//! oddity in a part that nobody needs (a long object identifier, an old string
//! type) must not make a certificate unusable that every TLS library accepts.

use crate::time::{UnixTime, digits, from_calendar};
use der::{Encode, Reader, SliceReader};
pub(crate) use der::{Tag, TagNumber};

/// The input is not the DER that its type asks for. Carries the part that is
/// wrong, by its name in the ASN.1 module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDer(pub &'static str);

/// One element: tag, length, content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub tag: Tag,
    /// The whole element, header included.
    pub raw: &'a [u8],
    pub content: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub fn inside(self) -> Cursor<'a> {
        Cursor { rest: self.content }
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn peek(&self) -> Option<(Element<'a>, &'a [u8])> {
        let header = SliceReader::new(self.rest).ok()?.peek_header().ok()?;
        let header_len = usize::try_from(header.encoded_len().ok()?).ok()?;
        let content_len = usize::try_from(header.length).ok()?;
        let (raw, rest) = self
            .rest
            .split_at_checked(header_len.checked_add(content_len)?)?;
        let element = Element {
            tag: header.tag,
            raw,
            content: raw.get(header_len..)?,
        };
        Some((element, rest))
    }

    /// The next element, whatever it is.
    pub fn any(&mut self, part: &'static str) -> Result<Element<'a>, NotDer> {
        let (element, rest) = self.peek().ok_or(NotDer(part))?;
        self.rest = rest;
        Ok(element)
    }

    /// The next element, which must have this tag.
    pub fn take(&mut self, tag: Tag, part: &'static str) -> Result<Element<'a>, NotDer> {
        let element = self.any(part)?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(NotDer(part))
        }
    }

    /// The next element if it has this tag; else nothing is read. A damaged
    /// header is found by whatever is read next.
    pub fn optional(&mut self, tag: Tag) -> Option<Element<'a>> {
        let (element, rest) = self.peek()?;
        if element.tag != tag {
            return None;
        }
        self.rest = rest;
        Some(element)
    }

    /// The only element inside an explicit tag, if that tag comes next.
    pub fn explicit(
        &mut self,
        number: TagNumber,
        inner: Tag,
        part: &'static str,
    ) -> Result<Option<Element<'a>>, NotDer> {
        let Some(outer) = self.optional(context(number)) else {
            return Ok(None);
        };
        let mut inside = outer.inside();
        let element = inside.take(inner, part)?;
        inside.end(part)?;
        Ok(Some(element))
    }

    /// Nothing may be left.
    pub fn end(self, part: &'static str) -> Result<(), NotDer> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(NotDer(part))
        }
    }
}

/// `[n]` around other elements.
pub(crate) const fn context(number: TagNumber) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number,
    }
}

/// `[n] IMPLICIT` in place of a primitive type's tag.
pub(crate) const fn context_primitive(number: TagNumber) -> Tag {
    Tag::ContextSpecific {
        constructed: false,
        number,
    }
}

/// The content octets of an INTEGER: not empty, not padded (X.690, 8.3.2).
/// Negative numbers are numbers.
pub(crate) fn integer<'a>(element: Element<'a>, part: &'static str) -> Result<&'a [u8], NotDer> {
    match element.content {
        [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(NotDer(part)),
        content => Ok(content),
    }
}

/// BOOLEAN DEFAULT FALSE. An explicit FALSE is not DER but common.
pub(crate) fn default_false(cursor: &mut Cursor<'_>, part: &'static str) -> Result<bool, NotDer> {
    match cursor.optional(Tag::Boolean).map(|element| element.content) {
        None | Some([0x00]) => Ok(false),
        Some([0xff]) => Ok(true),
        Some(_) => Err(NotDer(part)),
    }
}

/// The content of a BIT STRING that holds whole octets.
pub(crate) fn bits<'a>(element: Element<'a>, part: &'static str) -> Result<&'a [u8], NotDer> {
    match element.content {
        [0, bits @ ..] => Ok(bits),
        _ => Err(NotDer(part)),
    }
}

/// UTCTime or GeneralizedTime as certificates may write them (RFC 5280,
/// 4.1.2.5): in UTC, with seconds, without fractions.
pub(crate) fn time(element: Element<'_>, part: &'static str) -> Result<UnixTime, NotDer> {
    let parsed = match element.tag {
        Tag::UtcTime => two_digit_year(element.content),
        Tag::GeneralizedTime => four_digit_year(element.content, <[u8]>::is_empty),
        _ => None,
    };
    parsed.ok_or(NotDer(part))
}

/// GeneralizedTime alone, as responses write times: in the same form, and with fractions
/// of a second as OpenSSL reads them. They count for nothing, and RFC 6960, 4.2.2.1 has
/// none, but some responders write them, and clients take what comes of it.
pub(crate) fn generalized_time(
    element: Element<'_>,
    part: &'static str,
) -> Result<UnixTime, NotDer> {
    let parsed = match element.tag {
        Tag::GeneralizedTime => four_digit_year(element.content, is_fraction),
        _ => None,
    };
    parsed.ok_or(NotDer(part))
}

fn four_digit_year(text: &[u8], may_follow: fn(&[u8]) -> bool) -> Option<UnixTime> {
    let (year, rest) = text.split_at_checked(4)?;
    month_to_second(digits(year)?, rest, may_follow)
}

fn two_digit_year(text: &[u8]) -> Option<UnixTime> {
    let (year, rest) = text.split_at_checked(2)?;
    let century = if digits(year)? >= 50 { 1900 } else { 2000 };
    month_to_second(digits(year)?.checked_add(century)?, rest, <[u8]>::is_empty)
}

/// `may_follow`: what may stand between the seconds and the Z.
fn month_to_second(year: u16, text: &[u8], may_follow: fn(&[u8]) -> bool) -> Option<UnixTime> {
    let [m1, m0, d1, d0, h1, h0, i1, i0, s1, s0, rest @ .., b'Z'] = text else {
        return None;
    };
    if !may_follow(rest) {
        return None;
    }
    let pair = |tens: &u8, ones: &u8| digits(&[*tens, *ones]);
    let date = [year, pair(m1, m0)?, pair(d1, d0)?];
    let clock = [pair(h1, h0)?, pair(i1, i0)?, pair(s1, s0)?];
    from_calendar(date, clock)
}

/// Nothing, or a point and digits.
fn is_fraction(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b'.', fraction @ ..] => !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// One extension of a certificate or a response (RFC 5280, 4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension<'a> {
    /// The content octets of the object identifier.
    pub id: &'a [u8],
    pub critical: bool,
    /// The content of the OCTET STRING.
    pub value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads the next one of a SEQUENCE OF Extension.
    pub fn read(extensions: &mut Cursor<'a>) -> Result<Self, NotDer> {
        let mut inside = extensions.take(Tag::Sequence, "Extension")?.inside();
        let id = inside.take(Tag::ObjectIdentifier, "extnID")?.content;
        let critical = default_false(&mut inside, "critical")?;
        let value = inside.take(Tag::OctetString, "extnValue")?.content;
        inside.end("Extension")?;
        Ok(Extension {
            id,
            critical,
            value,
        })
    }
}

/// Encodes one element from its identifier octet and the parts of its content.
pub(crate) fn encode(identifier: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let significant = length
        .iter()
        .position(|&byte| byte != 0)
        .and_then(|first| length.get(first..))
        .unwrap_or(&[0]);
    let mut element = vec![identifier];
    match significant {
        [short @ 0..=0x7f] => element.push(*short),
        long => {
            // At most eight octets of length: always a single octet of count.
            element.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            element.extend_from_slice(long);
        }
    }
    element.extend_from_slice(&content);
    element
}
