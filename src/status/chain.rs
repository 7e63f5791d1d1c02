//! The responses for the rest of a server's chain, which libssl takes from OpenSSL 3.6 on and
//! sends in TLS 1.3.
//!
//! Which X509 of a chain is which certificate is found out when the chain is loaded or set,
//! so that a handshake hashes nothing. The map holds intermediates as it holds leaves.

use crate::host::buffer::Buffer;
use crate::host::guard;
use crate::host::library::Ready;
use crate::host::memory::try_box;
use crate::host::ocsp::{Decoded, ResponseList};
use crate::host::output;
use crate::host::process::Origin;
use crate::host::ssl::Ssl;
use crate::host::x509::X509Stack;
use crate::staples::{self, leaves};

use super::certificates::{Certificates, PLACES};
use super::context::Context;

/// The `chain` of the certificate that was loaded or selected last is known now: into a context,
/// or into an SSL outside of its handshake.
pub fn known<'c>(context: &Context, host: Ready, chain: impl FnOnce() -> Option<X509Stack<'c>>) {
    // A client staples nothing.
    if context.client_only || !host.takes_lists() {
        return;
    }
    let Some(chain) = chain() else { return };
    let made = || try_box(Certificates::default()).ok_or(());
    let Ok(known) = context.intermediates.get_or_try_init(made) else {
        return;
    };
    for x509 in chain.iter().take(PLACES) {
        if known.find(x509).is_some() {
            continue;
        }
        let key = context.library.within(x509.crypto(), || x509.sha256());
        let loaded = key.and_then(|key| Some((leaves::load(&key, Origin::here())?.leaf, key)));
        if let Some((certificate, key)) = loaded {
            known.add(x509, certificate, &key);
        }
    }
}

/// The list for this handshake: the leaf's response, then those for its chain, with gaps where
/// the map has none. None where there is none but the leaf's, or libssl sends no more, or for
/// want of memory.
#[inline(always)]
pub fn list(ssl: &Ssl, context: &Context, leafs: &Buffer) -> Option<ResponseList> {
    of_chain(ssl, context.intermediates.get()?, leafs.as_slice())
}

#[inline(never)]
fn of_chain(ssl: &Ssl, known: &Certificates, leafs: &[u8]) -> Option<ResponseList> {
    let chain = ssl.chain().filter(|_| ssl.is_tls13())?;
    let crypto = ssl.host().crypto;
    let decode = |der: &[u8]| {
        let decoded = Decoded::from_der(crypto, der);
        if decoded.is_none() {
            guard::forget_errors(crypto);
        }
        decoded
    };
    let now = output::seconds();
    let mut list = None;
    let mut gaps = 0;
    for x509 in chain.iter().take(PLACES) {
        let decoded = known
            .find(x509)
            .and_then(|(_, key)| staples::lend_from_map(crypto, &key, now, decode)?);
        let Some(decoded) = decoded else {
            gaps += 1;
            continue;
        };
        let list = match &mut list {
            Some(list) => list,
            // Asked once there is something for it.
            none if ssl.holds_several() => {
                let mut new = ResponseList::new(crypto, 1 + PLACES)?;
                if !new.push(decode(leafs)?) {
                    return None;
                }
                none.insert(new)
            }
            _ => return None,
        };
        if !(list.push_gaps(std::mem::take(&mut gaps)) && list.push(decoded)) {
            return None;
        }
    }
    list
}
