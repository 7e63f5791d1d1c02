//! Whoever fetches is held to the one table of what a response is worth.

use staplegun_testkit::cases::cases;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Spec};

use crate::support::Store;

#[test]
fn what_is_stapled_after_a_fetch_is_what_the_table_says() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let mut wrong = Vec::new();
    for case in cases(&leaf, &ca) {
        let store = Store::new();
        let path = store.list(&leaf, &[&ca]);
        let path = path.to_str().expect("UTF-8");
        for answer in case.before.iter().chain([&case.comes]) {
            responder.set(Behaviour::Answer(answer.clone()));
            store.staplegun(&["fetch", path]);
        }
        let served = store.served(&leaf);
        if served.as_deref().ok() != case.expected() {
            wrong.push((case.name, served.err()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
