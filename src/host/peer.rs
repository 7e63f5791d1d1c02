//! The server's certificates as a client sees them: what it sent, and the chain
//! that the host verified, from the server's certificate up.

use std::ffi::{c_long, c_void};
use std::ptr::{self, NonNull};

use super::ctx::SslCtx;
use super::memory::try_zeroed;
use super::ssl::Ssl;
use super::x509::{OwnedX509, X509Ref, X509Stack};

/// X509_V_OK.
const VERIFIED: c_long = 0;

/// The other end of a client's handshake.
pub struct Peer<'s> {
    ssl: &'s Ssl,
    ctx: Option<SslCtx>,
    sent: Option<X509Stack<'s>>,
    verified: Option<X509Stack<'s>>,
}

impl<'s> Peer<'s> {
    /// What is known of the server by now.
    pub fn of(ssl: &'s Ssl) -> Peer<'s> {
        let host = ssl.host();
        // SAFETY: the handle's SSL is valid; both stacks stay its own and live
        // as long as its session, thus during the callback.
        let stack = |of: unsafe extern "C-unwind" fn(*const _) -> *mut c_void| unsafe {
            NonNull::new(of(ssl.raw())).map(|stack| X509Stack::new(host.crypto, stack))
        };
        Peer {
            ctx: ssl.context(),
            sent: stack(host.lib.ssl.SSL_get_peer_cert_chain),
            verified: host.lib.ssl.SSL_get0_verified_chain.and_then(stack),
            ssl,
        }
    }

    /// The server's certificate. On 1.0.2 it may not be known yet.
    pub fn leaf(&self) -> Option<X509Ref<'s>> {
        self.sent().next()
    }

    /// The certificates that the server sent; its own is the first.
    pub fn sent(&self) -> impl Iterator<Item = X509Ref<'s>> + use<'s> {
        self.sent.into_iter().flat_map(|sent| sent.iter())
    }

    /// The chain, if the host verified it and found it good, whatever its verify
    /// mode. 1.0.2 does not tell the chain it verified: there it is what the
    /// server sent, completed from the context's store.
    pub fn verified_chain(&self) -> Option<X509Stack<'s>> {
        let functions = &self.ssl.host().lib.ssl;
        // SAFETY: the handle's SSL is valid.
        let result = unsafe { (functions.SSL_get_verify_result)(self.ssl.raw()) };
        if result != VERIFIED {
            return None;
        }
        match functions.SSL_get0_verified_chain {
            Some(_) => self.verified,
            None => self.sent,
        }
    }

    /// The certificate that issued this one: of that chain, or from the context's store.
    pub fn issuer_of(&self, chain: X509Stack<'_>, certificate: X509Ref<'_>) -> Option<OwnedX509> {
        let mut issuers = chain.iter().filter(|held| certificate.is_issued_by(*held));
        if let Some(issuer) = issuers.next() {
            return issuer.to_owned();
        }
        let found = self.ctx.as_ref()?.store()?.issuer_of(certificate)?;
        certificate.is_issued_by(found.as_ref()).then_some(found)
    }
}

impl Ssl {
    /// The host name that a client asked for (SNI), for messages.
    pub fn server_name(&self) -> Option<String> {
        const TLSEXT_NAMETYPE_HOST_NAME: std::ffi::c_int = 0;
        // SAFETY: the handle's SSL is valid; the name stays its own.
        unsafe {
            let name =
                (self.host().lib.ssl.SSL_get_servername)(self.raw(), TLSEXT_NAMETYPE_HOST_NAME);
            (!name.is_null()).then(|| {
                std::ffi::CStr::from_ptr(name)
                    .to_string_lossy()
                    .into_owned()
            })
        }
    }

    /// The responses that libssl holds, in the order of the chain; the first is
    /// the leaf's. Copies, since a get ends the life of what was lent before.
    pub fn responses(&self) -> Vec<Option<Vec<u8>>> {
        let copied = |bytes: &[u8]| {
            let mut copy = try_zeroed(bytes.len())?;
            copy.copy_from_slice(bytes);
            Some(copy)
        };
        let several = self.response_count().filter(|&count| count > 1);
        let Some(encode) = self
            .host()
            .crypto
            .i2d_OCSP_RESPONSE
            .filter(|_| several.is_some())
        else {
            return self
                .response()
                .and_then(copied)
                .map(Some)
                .into_iter()
                .collect();
        };
        let mut stack: *mut c_void = ptr::null_mut();
        // SAFETY: the command, known here, writes a borrowed stack; each element
        // is an OCSP_RESPONSE or NULL, encoded into room for the length told.
        unsafe {
            self.ctrl(super::types::GET_OCSP_RESP_EX, 0, (&raw mut stack).cast());
            let crypto = self.host().crypto;
            (0..(crypto.OPENSSL_sk_num)(stack))
                .map(|at| {
                    let response = NonNull::new((crypto.OPENSSL_sk_value)(stack, at))?;
                    let length = encode(response.as_ptr(), ptr::null_mut());
                    let mut der = try_zeroed(usize::try_from(length).ok().filter(|&l| l > 0)?)?;
                    let mut end = der.as_mut_ptr();
                    (encode(response.as_ptr(), &raw mut end) == length).then_some(der)
                })
                .collect()
        }
    }
}
