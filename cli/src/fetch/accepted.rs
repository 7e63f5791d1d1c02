//! Which signers an issuer was found to have given the right to sign.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use openssl::pkey::{PKey, Public};

/// Who was found to have the right to sign for an issuer, with the key: that is the
/// same for each response, of which the signature is left to be verified. When
/// certificates end is judged with each response.
#[derive(Debug, Default)]
pub struct Accepted(Mutex<VecDeque<(Vec<u8>, PKey<Public>)>>);

/// The most signers of an issuer that are remembered: delegates are replaced from time
/// to time, and some responders have several.
const SIGNERS: usize = 8;

impl Accepted {
    /// The key of the signer with this certificate (DER), if it may sign.
    pub fn key_of(&self, der: &[u8]) -> Option<PKey<Public>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(known, _)| known == der);
        found.map(|(_, key)| key.clone())
    }

    /// That signer (DER) may sign, and this is its key.
    pub fn add(&self, der: &[u8], key: PKey<Public>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|(known, _)| known != der) {
            known.truncate(SIGNERS - 1);
            known.push_front((der.to_vec(), key));
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
