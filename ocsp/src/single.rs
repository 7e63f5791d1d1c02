//! One SingleResponse: what a response says about one certificate, with the
//! extensions that it and the whole response may carry (RFC 6960, 4.2.1, 4.4).

use crate::asn1::{
    Cursor, Element, Extension, NotDer, Tag, TagNumber, context, context_primitive,
    generalized_time,
};
use crate::fault::{Fault, Reason};
use crate::identity::CertId;
use crate::text::object_identifier;
use crate::time::UnixTime;
use crate::validity::Validity;

/// id-pkix-ocsp-nonce.
pub(crate) const EXTENSION_NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 2];

/// Extensions that a response may mark critical without harm, since they say
/// nothing that would change the status: nonce, CRL references, archive cutoff,
/// extended revoke (RFC 6960, 4.4), and the CRL entry extensions reasonCode and
/// invalidityDate (4.4.5).
const HARMLESS: [&[u8]; 6] = [
    EXTENSION_NONCE,
    &[0x2b, 6, 1, 5, 5, 7, 48, 1, 3],
    &[0x2b, 6, 1, 5, 5, 7, 48, 1, 6],
    &[0x2b, 6, 1, 5, 5, 7, 48, 1, 9],
    &[0x55, 0x1d, 0x15],
    &[0x55, 0x1d, 0x18],
];

/// What a response says about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// Since when.
        time: UnixTime,
        /// Why, if the responder says.
        reason: Option<Reason>,
    },
    /// The responder does not know it.
    Unknown,
}

/// One SingleResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// What it says.
    pub status: Status,
    /// When the status was last known to be correct.
    pub this_update: UnixTime,
    /// When there will be newer information, at the latest.
    pub next_update: Option<UnixTime>,
    /// When the response was signed.
    pub produced_at: UnixTime,
}

impl Single {
    /// From thisUpdate to nextUpdate, or for this many seconds if there is none.
    pub fn validity(&self, max_life_without_next_update: i64) -> Validity {
        Validity {
            from: self.this_update,
            until: self.next_update.unwrap_or_else(|| {
                self.this_update
                    .saturating_add(max_life_without_next_update.max(0))
            }),
        }
    }
}

/// Reads the next element as a SingleResponse.
pub(crate) fn read<'a>(
    list: &mut Cursor<'a>,
    produced_at: UnixTime,
) -> Result<(CertId<'a>, Single), Fault> {
    let mut single = list.take(Tag::Sequence, "SingleResponse")?.inside();
    let cert_id = CertId::read(&mut single)?;
    let status = cert_status(&mut single)?;
    let this = single.any("thisUpdate")?;
    let this_update = generalized_time(this, "thisUpdate")?;
    let next = single.explicit(TagNumber::N0, Tag::GeneralizedTime, "nextUpdate")?;
    let next_update = next
        .map(|element| generalized_time(element, "nextUpdate"))
        .transpose()?;
    if let Some((next, next_update)) = next.zip(next_update)
        && status == Status::Good
        && next.content.len() < this.content.len()
    {
        // OpenSSL's clients compare the texts, of which the shorter one is the earlier:
        // only one with fractions of a second can be longer.
        return Err(Fault::BadTimes {
            this_update,
            next_update,
        });
    }
    if let Some(list) = single.explicit(TagNumber::N1, Tag::Sequence, "singleExtensions")? {
        for_each_extension(list, |_| {})?;
    }
    single.end("SingleResponse")?;
    let single = Single {
        status,
        this_update,
        next_update,
        produced_at,
    };
    Ok((cert_id, single))
}

fn cert_status(single: &mut Cursor<'_>) -> Result<Status, NotDer> {
    const PART: &str = "certStatus";
    const GOOD: Tag = context_primitive(TagNumber::N0);
    const REVOKED: Tag = context(TagNumber::N1);
    const UNKNOWN: Tag = context_primitive(TagNumber::N2);
    let status = single.any(PART)?;
    match (status.tag, status.content) {
        (GOOD, []) => Ok(Status::Good),
        (UNKNOWN, []) => Ok(Status::Unknown),
        (REVOKED, _) => {
            let mut info = status.inside();
            let time = generalized_time(info.any("revocationTime")?, "revocationTime")?;
            let reason = info
                .explicit(TagNumber::N0, Tag::Enumerated, "revocationReason")?
                .map(|element| match element.content {
                    [number] => Ok(Reason(*number)),
                    _ => Err(NotDer("revocationReason")),
                })
                .transpose()?;
            info.end("RevokedInfo")?;
            Ok(Status::Revoked { time, reason })
        }
        _ => Err(NotDer(PART)),
    }
}

/// Refuses critical extensions that are not known, shows the others.
pub(crate) fn for_each_extension<'a>(
    list: Element<'a>,
    mut show: impl FnMut(Extension<'a>),
) -> Result<(), Fault> {
    let mut list = list.inside();
    while !list.is_empty() {
        let extension = Extension::read(&mut list)?;
        if extension.critical && !HARMLESS.contains(&extension.id) {
            return Err(Fault::CriticalExtension {
                oid: object_identifier(extension.id),
            });
        }
        show(extension);
    }
    Ok(())
}
