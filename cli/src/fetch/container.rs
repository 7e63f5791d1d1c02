//! Files in which certificates come packed up: they are not unpacked here, but the
//! command that does it is told.

use std::path::Path;

use openssl::pkcs7::Pkcs7;
use openssl::pkcs12::Pkcs12;

/// What to do about the file `path` with these bytes, if it is PKCS #12 or PKCS #7.
pub fn advice(path: &Path, bytes: &[u8]) -> Option<String> {
    let path = path.display();
    let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    let advice = if has(b"-----BEGIN PKCS7-----") || has(b"-----BEGIN CMS-----") {
        format!(
            "it is PKCS #7; convert it with: \
             openssl pkcs7 -in {path} -print_certs -out {path}.pem"
        )
    } else if Pkcs7::from_der(bytes).is_ok() {
        format!(
            "it is PKCS #7; convert it with: \
             openssl pkcs7 -inform DER -in {path} -print_certs -out {path}.pem"
        )
    } else if Pkcs12::from_der(bytes).is_ok() {
        format!(
            "it is PKCS #12; convert its certificates with: \
             openssl pkcs12 -in {path} -nokeys -out {path}.pem"
        )
    } else {
        // What libcrypto said of the wrong guesses.
        drop(openssl::error::ErrorStack::get());
        return None;
    };
    drop(openssl::error::ErrorStack::get());
    Some(advice)
}
