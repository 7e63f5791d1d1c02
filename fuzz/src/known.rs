//! The certificates that every response is held against: those of the corpus,
//! made by `mint.rs`. Their keys were thrown away.

use std::sync::LazyLock;

use staplegun_ocsp::{Certificate, Identity, Response, UnixTime};

/// The leaf, in DER.
pub const LEAF: &[u8] = include_bytes!("../corpus/pki/leaf.der");
/// Its issuer, in DER.
pub const ISSUER: &[u8] = include_bytes!("../corpus/pki/issuer.der");
/// A response that says that the leaf is good, signed by the issuer.
pub const GOOD: &[u8] = include_bytes!("../corpus/pki/good.der");

/// Every response in the corpus that the issuer or its delegate signed about the
/// leaf, and that says good or revoked; as inputs of the target `response`.
pub const SIGNED: [&[u8]; 5] = [
    include_bytes!("../corpus/response/good"),
    include_bytes!("../corpus/response/delegated"),
    include_bytes!("../corpus/response/no-next-update"),
    include_bytes!("../corpus/response/revoked"),
    include_bytes!("../corpus/response/sha256"),
];

/// What responses call the leaf.
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let read = |der| Certificate::from_der(der).expect("the corpus holds certificates");
    Identity::new(&read(LEAF), &read(ISSUER)).expect("the issuer issued the leaf")
});

/// A time at which [`GOOD`] is fresh.
pub static NOW: LazyLock<UnixTime> = LazyLock::new(|| {
    let response = Response::parse(GOOD).expect("the corpus holds a response");
    response.produced_at() + 60
});
