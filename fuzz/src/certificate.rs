//! `ocsp`: any bytes as a certificate, and the request that would be made for it.

use staplegun_ocsp::request::{self, HttpRequest};
use staplegun_ocsp::{Certificate, HashAlgorithm, Identity};

use crate::known;

/// What is shown of a certificate is printable, what is asked is an address, and
/// a certificate that issued itself has a certID that means it.
pub fn run(data: &[u8]) {
    let certificate = match Certificate::from_der(data) {
        Ok(certificate) => certificate,
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\0']), "{error}");
            return;
        }
    };
    let subject = certificate.display_subject();
    assert!(subject.chars().count() <= 64, "{subject:?}");
    assert!(!subject.chars().any(char::is_control), "{subject:?}");
    let addresses = certificate.responders().iter();
    for address in addresses.chain(certificate.ca_issuers()) {
        assert!(
            address.bytes().all(|byte| byte.is_ascii_graphic()),
            "{address:?}"
        );
        let lower = address.to_ascii_lowercase();
        assert!(
            lower.starts_with("http://") || lower.starts_with("https://"),
            "{address:?}"
        );
    }
    let issuer = Certificate::from_der(known::ISSUER).expect("the corpus holds an issuer");
    let own = Identity::new(&certificate, &certificate);
    assert_eq!(own.is_some(), certificate.is_self_issued());
    for identity in own.iter().chain(&Identity::new(&certificate, &issuer)) {
        assert_eq!(identity.serial(), certificate.serial());
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha512] {
            let encoded = request::encode(&[identity], hash, None);
            let id = identity.cert_id(hash);
            assert!(encoded.windows(id.len()).any(|part| part == id));
            for responder in certificate.responders() {
                match HttpRequest::new(responder, encoded.clone()) {
                    HttpRequest::Get { url } => assert!(url.len() > responder.len()),
                    HttpRequest::Post { body, .. } => assert_eq!(body, encoded),
                }
            }
        }
    }
}
