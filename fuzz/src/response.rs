//! `ocsp`: any bytes as a response, judged for the known certificate at any time.
//!
//! Input: eight bytes for the clock, then the response.

use staplegun_ocsp::{Response, Status, Tolerance, check, schedule};

use crate::known::IDENTITY;
use crate::take::Take;

/// What passes is about the certificate, good, and fresh by that clock; what does
/// not pass says why on one line.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let now = input.time();
    let der = input.0;
    let parsed = Response::parse(der);
    if let Ok(response) = &parsed {
        assert_eq!(response.der(), der);
        let _ = (response.nonce(), response.responder_certificate());
        for certificate in response.certificates() {
            assert!(response.responder_id() == response.responder_id() && !certificate.is_empty());
        }
    }
    for tolerance in [Tolerance::STAPLING, Tolerance::RECEIVING] {
        let single = match check(der, &IDENTITY, now, &tolerance) {
            Ok(single) => single,
            Err(fault) => {
                let text = fault.to_string();
                assert!(
                    !text.is_empty() && !text.contains(['\n', '\r', '\0']),
                    "{text:?}"
                );
                assert!(!fault.cause().is_empty());
                continue;
            }
        };
        let response = parsed.as_ref().expect("what is checked was parsed");
        assert!(response.cert_ids().any(|id| IDENTITY.matches(&id)));
        assert_eq!(single.status, Status::Good);
        assert!(single.this_update <= now.saturating_add(tolerance.before_start));
        let validity = single.validity(tolerance.life_without_next_update);
        assert!(now < validity.until.saturating_add(tolerance.after_end));
        let wait = schedule::refresh(validity, now, None, now.cast_unsigned());
        assert!((schedule::MIN_REFRESH..=schedule::MAX_REFRESH).contains(&wait));
    }
}
