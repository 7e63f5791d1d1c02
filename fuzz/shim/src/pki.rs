//! What the contexts have: minted when a process first asks for it.

use std::sync::LazyLock;

use staplegun_testkit::pki::{Identity, Spec};
use staplegun_testkit::response::Response;

use crate::scratch;

/// A leaf, its issuer, and two responses for it.
pub struct Pki {
    /// The issuer.
    pub ca: Identity,
    /// The server's certificate.
    pub leaf: Identity,
    /// The response that the library has from a file.
    pub good: Vec<u8>,
    /// The response that a program sets in its callback.
    pub other: Vec<u8>,
}

/// The one of the process.
pub static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let ca = Identity::self_signed(&Spec::ca("Fuzz CA"));
    let leaf = ca.issue(&Spec::server());
    let good = Response::good(&leaf, &ca).der();
    let other = Response::good(&leaf, &ca).next_update(48 * 3600).der();
    Pki {
        ca,
        leaf,
        good,
        other,
    }
});

/// Lets the library staple from a file, and from nothing else.
///
/// # Safety
/// No other thread may be running, and the library not have been called.
pub unsafe fn prepare() {
    let directory = scratch::directory("responses");
    let file = directory.join("good.der");
    std::fs::write(&file, &PKI.good).expect("the response can be written");
    let store = scratch::directory("no-store");
    for (name, value) in [
        ("STAPLEGUN_SERVER", "auto".as_ref()),
        ("STAPLEGUN_RESPONSE", file.as_os_str()),
        ("STAPLEGUN_DIR", store.as_os_str()),
        ("STAPLEGUN_RECHECK", "0".as_ref()),
    ] {
        // SAFETY: the caller vouches that nobody reads the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
}
