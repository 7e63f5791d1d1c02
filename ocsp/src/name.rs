//! Distinguished names: telling whether two are the same, and showing one.

use crate::asn1::{Cursor, Element, NotDer, Tag};

/// id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// One AttributeTypeAndValue.
struct Attribute<'a> {
    /// Whether it begins a RelativeDistinguishedName.
    first_in_set: bool,
    kind: &'a [u8],
    value: Element<'a>,
}

/// The attributes of a Name, in its order.
fn attributes(der: &[u8]) -> Result<Vec<Attribute<'_>>, NotDer> {
    let mut attributes = Vec::new();
    let mut cursor = Cursor::new(der);
    let mut sets = cursor.take(Tag::Sequence, "Name")?.inside();
    cursor.end("Name")?;
    while !sets.is_empty() {
        let mut set = sets.take(Tag::Set, "RelativeDistinguishedName")?.inside();
        let mut first_in_set = true;
        while !set.is_empty() {
            let mut pair = set.take(Tag::Sequence, "AttributeTypeAndValue")?.inside();
            attributes.push(Attribute {
                first_in_set,
                kind: pair.take(Tag::ObjectIdentifier, "AttributeType")?.content,
                value: pair.any("AttributeValue")?,
            });
            pair.end("AttributeTypeAndValue")?;
            first_in_set = false;
        }
    }
    Ok(attributes)
}

/// Whether two DER names are the same. Byte for byte in nearly all cases; else
/// attribute by attribute, since a CA may write its own name as UTF8String and
/// the issuer in what it signs as PrintableString.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    let (Ok(left), Ok(right)) = (attributes(left), attributes(right)) else {
        return false;
    };
    left.len() == right.len()
        && left.iter().zip(&right).all(|(left, right)| {
            left.first_in_set == right.first_in_set
                && left.kind == right.kind
                && same_value(left.value, right.value)
        })
}

fn same_value(left: Element<'_>, right: Element<'_>) -> bool {
    if left.raw == right.raw {
        return true;
    }
    is_ascii_compatible(left) && is_ascii_compatible(right) && folded(left).eq(folded(right))
}

/// Whether the value is a string of a type that writes ASCII as ASCII.
fn is_ascii_compatible(value: Element<'_>) -> bool {
    matches!(
        value.tag,
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString
    ) && value.content.is_ascii()
}

/// Lower case, with runs of spaces as one and none at the ends.
fn folded(value: Element<'_>) -> impl Iterator<Item = u8> {
    value
        .content
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .flat_map(|word| word.iter().map(u8::to_ascii_lowercase).chain([b' ']))
}

/// The bytes of the last commonName, if they are text that can be shown.
pub(crate) fn common_name(der: &[u8]) -> Option<Vec<u8>> {
    let attributes = attributes(der).ok()?;
    let last = attributes.iter().rfind(|a| a.kind == COMMON_NAME)?;
    text(last.value)
}

/// The bytes of the last attribute that is text.
pub(crate) fn last_value(der: &[u8]) -> Option<Vec<u8>> {
    let attributes = attributes(der).ok()?;
    attributes.iter().rev().find_map(|a| text(a.value))
}

/// A string value as UTF-8.
fn text(value: Element<'_>) -> Option<Vec<u8>> {
    match value.tag {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString => {
            Some(value.content.to_vec())
        }
        Tag::BmpString => {
            let (units, _) = value.content.as_chunks::<2>();
            let units = units.iter().map(|pair| u16::from_be_bytes(*pair));
            let text: String = char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            Some(text.into_bytes())
        }
        _ => None,
    }
    .filter(|text| !text.is_empty())
}
