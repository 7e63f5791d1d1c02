//! The agent: any bytes as the file of certificates that an operator named.

use crate::fetch::Subject;

/// What is accepted is kept in `certs/` so that it is read again alike.
pub fn run(data: &[u8]) {
    let subject = match Subject::from_bytes(data) {
        Ok(subject) => subject,
        Err(error) => {
            assert!(!format!("{error:#}").is_empty());
            return;
        }
    };
    let Ok(pem) = subject.to_pem() else {
        return; // libcrypto reads less than we do: it is refused later.
    };
    let again = Subject::from_bytes(&pem).expect("what was written can be read");
    assert_eq!(again.leaf, subject.leaf);
    assert_eq!(again.ders(), subject.ders());
    let issuer = |subject: &Subject| subject.issuer().map(|issuer| issuer.der.clone());
    assert_eq!(issuer(&again), issuer(&subject));
}
