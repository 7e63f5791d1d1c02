//! What STAPLEGUN_ISSUERS was found to hold, and not to hold, so that not every load of a
//! certificate reads all of it.

use std::sync::Mutex;

use staplegun_ocsp::{Certificate, MAX_RESPONSE};

use crate::host::memory::try_push;
use crate::host::output;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::staples::source::Stamp;

/// In seconds. A file that is overwritten in place leaves its directory's stamp.
const BELIEVED_FOR: i64 = 60;
const MAX_MISSING: usize = 1024;
const MAX_FOUND: usize = 64;

struct Known {
    stamp: Option<Stamp>,
    until: i64,
    /// Leaves whose issuer is not there.
    missing: Vec<[u8; 32]>,
    found: Vec<Issuer>,
}

/// Not as an X509: that may belong to a library context, which the program frees.
struct Issuer {
    certificate: Certificate,
    der: Vec<u8>,
}

impl Issuer {
    fn new(x509: X509Ref<'_>) -> Option<Issuer> {
        let (certificate, der) = read(x509)?;
        Some(Issuer { certificate, der })
    }
}

/// Never waited for: who does not get it searches.
static KNOWN: Mutex<Known> = Mutex::new(Known {
    stamp: None,
    until: i64::MIN,
    missing: Vec::new(),
    found: Vec::new(),
});

impl Known {
    fn is_of(&self, stamp: Stamp) -> bool {
        let now = output::seconds();
        self.stamp == Some(stamp) && (now..=now + BELIEVED_FOR).contains(&self.until)
    }

    fn issuer_of(&self, leaf: X509Ref<'_>) -> Option<OwnedX509> {
        if self.found.is_empty() {
            return None;
        }
        let (certificate, _) = read(leaf)?;
        let mut named = (self.found.iter())
            .filter(|issuer| certificate.names_as_issuer(&issuer.certificate))
            .filter_map(|issuer| OwnedX509::from_der(leaf.crypto(), &issuer.der));
        named.find(|issuer| leaf.is_issued_by(issuer.as_ref()))
    }
}

/// The issuer of `leaf`, whose SHA-256 is `key`, by `search`, unless it is known from when
/// the files had this stamp.
pub fn find(
    leaf: X509Ref<'_>,
    key: &[u8; 32],
    stamp: Stamp,
    search: impl FnOnce() -> Option<OwnedX509>,
) -> Option<OwnedX509> {
    if let Ok(known) = KNOWN.try_lock()
        && known.is_of(stamp)
    {
        if known.missing.contains(key) {
            return None;
        }
        if let Some(issuer) = known.issuer_of(leaf) {
            return Some(issuer);
        }
    }
    let found = search();
    if let Ok(mut known) = KNOWN.try_lock() {
        if !known.is_of(stamp) {
            known.missing.clear();
            known.found.clear();
            known.stamp = Some(stamp);
            known.until = output::seconds() + BELIEVED_FOR;
        }
        match found.as_ref() {
            None if known.missing.len() < MAX_MISSING => {
                try_push(&mut known.missing, *key);
            }
            Some(issuer) if known.found.len() < MAX_FOUND => {
                if let Some(issuer) = Issuer::new(issuer.as_ref()) {
                    try_push(&mut known.found, issuer);
                }
            }
            _ => {}
        }
    }
    found
}

fn read(x509: X509Ref<'_>) -> Option<(Certificate, Vec<u8>)> {
    let der = x509.to_der(MAX_RESPONSE)?;
    Some((Certificate::from_der(&der).ok()?, der))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_was_found_is_believed_for_a_minute_of_files_that_have_not_changed() {
        let directory = staplegun_testkit::Directory::new();
        let stamp = |path| Stamp::of(path).expect("it is there");
        let (own, other) = (stamp(directory.path()), stamp(Path::new("/")));
        let known_for = |seconds| Known {
            stamp: Some(own),
            until: output::seconds() + seconds,
            missing: Vec::new(),
            found: Vec::new(),
        };
        assert!(known_for(BELIEVED_FOR / 2).is_of(own));
        assert!(!known_for(BELIEVED_FOR / 2).is_of(other));
        assert!(!known_for(-1).is_of(own));
        // The clock was set back.
        assert!(!known_for(10 * BELIEVED_FOR).is_of(own));
    }
}
