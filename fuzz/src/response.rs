//! `ocsp`: any bytes as a response, judged for the known certificate at any time.
//!
//! Input: eight bytes for the clock, then the response.

use std::convert::Infallible;
use std::sync::LazyLock;

use staplegun_ocsp::{
    CLOCK_SKEW, Certificate, Policy, Refusal, Response, Signatures, Signer, judge, schedule,
};

use crate::known::{IDENTITY, ISSUER};
use crate::take::Take;

/// A libcrypto that lets everybody's signature count.
struct AllCount(Certificate);

static ALL_COUNT: LazyLock<AllCount> =
    LazyLock::new(|| AllCount(Certificate::from_der(ISSUER).expect("the corpus holds it")));

impl Signatures for AllCount {
    type Error = Infallible;

    fn issuer(&self) -> &Certificate {
        &self.0
    }

    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Infallible> {
        let signer = signer.certificate(&self.0);
        assert!(response.responder_id().matches(signer));
        Ok(())
    }
}

/// What passes is about the certificate, revoked, or good and fresh by that clock;
/// what does not pass says why on one line.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let now = input.time();
    let der = input.0;
    let parsed = Response::parse(der);
    if let Ok(response) = &parsed {
        assert_eq!(response.der(), der);
        let _ = response.nonce();
        for certificate in response.certificates() {
            assert!(response.responder_id() == response.responder_id() && !certificate.is_empty());
        }
    }
    for policy in [Policy::STAPLING, Policy::RECEIVING] {
        let judged = match judge(der, &IDENTITY, now, &policy, &*ALL_COUNT) {
            Ok(judged) => judged,
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(
                    !text.is_empty() && !text.contains(['\n', '\r', '\0']),
                    "{text:?}"
                );
                if let Refusal::Early { judged, .. } = refusal {
                    assert!(judged.validity.from > now.saturating_add(CLOCK_SKEW));
                }
                continue;
            }
        };
        let response = parsed.as_ref().expect("what is judged was parsed");
        assert!(response.cert_ids().any(|id| IDENTITY.matches(&id)));
        let validity = judged.validity;
        if judged.is_good() {
            assert!(validity.from <= now.saturating_add(CLOCK_SKEW));
            assert!(now < validity.until.saturating_add(policy.after_end));
        }
        let wait = schedule::refresh(validity, now, None, now.cast_unsigned());
        assert!((schedule::MIN_REFRESH..=schedule::MAX_REFRESH).contains(&wait));
    }
}
