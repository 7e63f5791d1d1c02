//! The Certificate message of TLS 1.3 (RFC 8446, 4.4.2): certificates, each with the response
//! that is stapled for it.

/// status_request (RFC 6066, 8).
const STATUS_REQUEST: u16 = 5;
/// CertificateStatusType ocsp.
const OCSP: u8 = 1;

/// One certificate as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In DER.
    pub certificate: Vec<u8>,
    /// The OCSPResponse stapled for it, in DER.
    pub staple: Option<Vec<u8>>,
}

/// The certificates in a message without its type and length; None if it is damaged.
pub fn read(message: &[u8]) -> Option<Vec<Entry>> {
    let mut message = Bytes(message);
    message.vector(1)?;
    let mut list = message.vector(3)?;
    let mut entries = Vec::new();
    while !list.0.is_empty() {
        let certificate = list.vector(3)?.0.to_vec();
        let mut extensions = list.vector(2)?;
        let mut staple = None;
        while !extensions.0.is_empty() {
            let kind = extensions.number(2)?;
            let mut body = extensions.vector(2)?;
            if kind == usize::from(STATUS_REQUEST) && body.number(1)? == usize::from(OCSP) {
                staple = Some(body.vector(3)?.0.to_vec());
            }
        }
        entries.push(Entry {
            certificate,
            staple,
        });
    }
    message.0.is_empty().then_some(entries)
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// A number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte)),
        )
    }

    /// What has its length before it, in so many bytes.
    fn vector(&mut self, bytes: usize) -> Option<Bytes<'a>> {
        let length = self.number(bytes)?;
        let (vector, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Bytes(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - bytes..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [kind.to_be_bytes().to_vec(), vector(2, content)].concat()
    }

    fn message() -> Vec<u8> {
        let staple = |der: &[u8]| extension(5, &[vec![1], vector(3, der)].concat());
        let list = [
            vector(3, b"leaf"),
            vector(2, &[extension(18, b"sct"), staple(b"its")].concat()),
            vector(3, b"intermediate"),
            vector(2, b""),
            vector(3, b"upper"),
            vector(2, &staple(b"another")),
        ];
        [vector(1, b""), vector(3, &list.concat())].concat()
    }

    #[test]
    fn each_certificate_has_the_response_that_stands_with_it() {
        let entries = read(&message()).expect("a message");
        let seen: Vec<(&[u8], Option<&[u8]>)> = entries
            .iter()
            .map(|entry| (entry.certificate.as_slice(), entry.staple.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                (&b"leaf"[..], Some(&b"its"[..])),
                (b"intermediate", None),
                (b"upper", Some(b"another")),
            ]
        );
    }

    #[test]
    fn what_is_cut_short_or_changed_is_told_from_a_message_and_never_worse() {
        let good = message();
        for end in 0..good.len() {
            assert_eq!(read(&good[..end]), None, "{end}");
        }
        assert_eq!(read(&[good.clone(), vec![0]].concat()), None);
        for at in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut changed = good.clone();
                changed[at] = value;
                for entry in read(&changed).into_iter().flatten() {
                    let staple = entry.staple.map_or(0, |staple| staple.len());
                    assert!(entry.certificate.len() + staple <= good.len());
                }
            }
        }
    }
}
