//! What many tests of the agent begin with.

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::Store;

/// A certificate on the list of a store, its authority, and its responder, which closes each
/// connection until it is told what to answer.
pub struct Scene {
    pub ca: Identity,
    pub leaf: Identity,
    pub responder: FaultyResponder,
    pub store: Store,
}

impl Scene {
    pub fn new() -> Self {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let responder = FaultyResponder::start(Behaviour::Close);
        let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
        let store = Store::new();
        store.list(&leaf, &[&ca]);
        Self {
            ca,
            leaf,
            responder,
            store,
        }
    }

    pub fn good(&self) -> Response<'_> {
        Response::good(&self.leaf, &self.ca)
    }
}
