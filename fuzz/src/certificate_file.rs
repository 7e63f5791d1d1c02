//! The agent: any bytes as the file of certificates that an operator named.

use openssl::x509::X509;

use crate::fetch::{Issuers, Subject};

/// What is accepted is what libcrypto reads there, if it can, and is kept in `certs/`
/// so that it is read again alike.
pub fn run(data: &[u8]) {
    let issuers = Issuers::default();
    let subject = match Subject::from_bytes(data, &issuers) {
        Ok(subject) => subject,
        Err(error) => {
            assert!(!format!("{error:#}").is_empty());
            return;
        }
    };
    let is_pem = data.windows(11).any(|part| part == b"-----BEGIN ");
    if let (true, Ok(read)) = (is_pem, X509::stack_from_pem(data)) {
        // As libcrypto writes them: it forgives, and mends, what is not quite DER.
        let mended = |one: &[u8]| X509::from_der(one)?.to_der();
        let ours: Vec<_> = subject.ders().into_iter().flat_map(mended).collect();
        let theirs: Vec<_> = read.iter().flat_map(|one| one.to_der()).collect();
        assert_eq!(ours, theirs, "libcrypto reads other certificates");
    }
    let again = Subject::from_bytes(&subject.to_pem(), &issuers);
    let again = again.expect("what was written can be read");
    assert_eq!(again.leaf, subject.leaf);
    assert_eq!(again.ders(), subject.ders());
    let issuer = |subject: &Subject| subject.issuer().map(|issuer| issuer.by.sha256.clone());
    assert_eq!(issuer(&again), issuer(&subject));
}
