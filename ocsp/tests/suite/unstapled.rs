//! Which sentence a certificate without a staple gets.

use staplegun_ocsp::{Certificate, Unstapled};
use staplegun_testkit::pki::{CLIENT_AUTH, Identity, Spec};

const URL: &str = "http://127.0.0.1/ocsp";

fn read(identity: &Identity) -> Certificate {
    Certificate::from_der(&identity.der()).expect("a certificate")
}

#[test]
fn each_certificate_without_a_staple_has_its_reason_and_only_some_need_the_operator() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let now = read(&ca).not_before() + 60;
    let issued = |spec: Spec| read(&ca.issue(&spec));
    let client = Spec::server().extended_key_usage(&[CLIENT_AUTH]);
    for (leaf, has_responder, cause, needs_operator) in [
        (issued(Spec::server().ocsp_url(URL)), true, None, false),
        // One that the configuration names does as well.
        (issued(Spec::server()), true, None, false),
        (issued(Spec::server()), false, Some("no_responder"), false),
        (
            issued(Spec::server().must_staple()),
            false,
            Some("must_staple"),
            true,
        ),
        (issued(Spec::server().must_staple()), true, None, false),
        (
            issued(client.ocsp_url(URL)),
            true,
            Some("not_server"),
            false,
        ),
        (
            issued(Spec::ca("Sub").ocsp_url(URL)),
            true,
            Some("authority"),
            false,
        ),
        (read(&ca), false, Some("self_signed"), false),
        (
            issued(Spec::server().expired()),
            false,
            Some("certificate_expired"),
            true,
        ),
    ] {
        let found = Unstapled::of(&leaf, has_responder, now);
        assert_eq!(found.as_ref().map(Unstapled::cause), cause);
        if let Some(found) = found {
            assert_eq!(found.needs_operator(), needs_operator, "{found}");
            assert_eq!(Unstapled::named(found.cause(), &leaf), Some(found));
            // The sentence says what to do, or that there is nothing to do.
            let says = found.to_string();
            assert!(
                says.contains("nothing to do") || says.contains("replace"),
                "{says}"
            );
        }
    }
    assert_eq!(Unstapled::named("weather", &read(&ca)), None);
    // It is valid in its last second, too.
    let leaf = issued(Spec::server().ocsp_url(URL));
    let not_after = leaf.not_after();
    assert_eq!(Unstapled::of(&leaf, true, not_after), None);
    let expired = Unstapled::Expired { not_after };
    assert_eq!(Unstapled::of(&leaf, true, not_after + 1), Some(expired));
}
