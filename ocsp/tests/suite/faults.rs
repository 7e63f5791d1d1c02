//! Each fault of a response is told apart, and told to the operator.

use crate::mint::{
    CertificateSpec, DAY, NOW, OCSP_BASIC, ResponseSpec, SingleSpec, cert_id, common_name, der,
    extension, generalized_time, good, judged, status_revoked, status_unknown, successful,
};
use staplegun_ocsp::fault::{ErrorStatus, Reason};
use staplegun_ocsp::identity::Difference;
use staplegun_ocsp::{Fault, MAX_RESPONSE, Verdict};
use staplegun_testkit::response::pem;

/// What is wrong with a response for the leaf at [`NOW`].
fn fault(response: &[u8]) -> Fault {
    judged(response, NOW).expect_err("a fault")
}

fn fault_of(singles: &[SingleSpec]) -> Fault {
    fault(&ResponseSpec::of(singles).der())
}

fn error_response(number: u8) -> Vec<u8> {
    der(0x30, &[&[0x0a, 1, number]])
}

/// One response per fault with the word that logs and metrics know it by.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let of = |single: SingleSpec| ResponseSpec::of(&[single]).der();
    let about = |cert_id: Vec<u8>| {
        of(SingleSpec {
            cert_id,
            ..SingleSpec::good()
        })
    };
    let (ca, leaf) = (CertificateSpec::ca(), CertificateSpec::leaf());
    let other_ca = CertificateSpec {
        key: b"another key".to_vec(),
        ..CertificateSpec::ca()
    };
    let unknown_hash = {
        let mut id = cert_id(&ca, &leaf.serial);
        let oid_end = 2 + 2 + 2 + 5;
        id[oid_end - 1] ^= 1;
        id
    };
    let critical = SingleSpec {
        extensions: vec![extension(&[0x2a, 3, 4], true, b"")],
        ..SingleSpec::good()
    };
    let by = |name: Vec<u8>, certificates| {
        let responder_id = der(0xa1, &[&name]);
        ResponseSpec {
            responder_id,
            certificates,
            ..ResponseSpec::of(&[SingleSpec::good()])
        }
        .der()
    };
    let past = CertificateSpec {
        subject: common_name("Responder"),
        not_after: generalized_time("20260101120000Z"),
        ..CertificateSpec::leaf()
    };
    vec![
        ("empty", Vec::new()),
        ("too_large", vec![0x30; MAX_RESPONSE + 1]),
        ("pem", pem(&good())),
        ("html", b"<!DOCTYPE html><title>Log in</title>".to_vec()),
        ("text", b"{\"error\": \"no healthy upstream\"}".to_vec()),
        ("not_response", CertificateSpec::leaf().der()),
        ("malformed", good()[..good().len() - 1].to_vec()),
        ("trailing_bytes", [&good()[..], &[0]].concat()),
        ("malformed_request", error_response(1)),
        ("internal_error", error_response(2)),
        ("try_later", error_response(3)),
        ("sig_required", error_response(5)),
        ("unauthorized", error_response(6)),
        ("undefined_error_status", error_response(4)),
        ("not_basic", successful(&[0x2a, 3], b"")),
        ("critical_extension", of(critical)),
        ("no_status", ResponseSpec::of(&[]).der()),
        ("wrong_serial", about(cert_id(&ca, &[1]))),
        ("wrong_issuer", about(cert_id(&other_ca, &leaf.serial))),
        ("wrong_certificate", about(cert_id(&other_ca, &[1]))),
        ("unknown_hash_algorithm", about(unknown_hash)),
        ("unknown", of(SingleSpec::with_status(status_unknown()))),
        (
            "not_yet_valid",
            of(SingleSpec {
                this_update: generalized_time("20260103000000Z"),
                ..SingleSpec::good()
            }),
        ),
        ("expired", of(SingleSpec::until("20260101120000Z"))),
        ("signer_not_found", by(common_name("Nobody"), Vec::new())),
        ("signer_expired", by(past.subject.clone(), vec![past.der()])),
        ("bad_times", of(SingleSpec::until("20251231235959Z"))),
    ]
}

#[test]
fn every_fault_has_its_own_word_and_tells_what_to_do() {
    let mut messages = std::collections::HashSet::new();
    for (cause, response) in all() {
        let fault = fault(&response);
        assert_eq!(fault.cause(), cause, "{fault}");
        let message = fault.to_string();
        assert!(!message.contains(['\n', '\r', '\u{1b}']), "{message}");
        assert!(
            messages.insert(message),
            "{cause} has the message of another"
        );
    }
}

#[test]
fn text_of_every_kind_is_recognised_for_what_it_is() {
    let base64: String = staplegun_ocsp::request::path(&good())
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    assert_eq!(fault(base64.as_bytes()), Fault::Pem);
    assert_eq!(fault(b"\xef\xbb\xbf  <html>"), Fault::Html);
    assert_eq!(
        fault(b"Maintenance\n"),
        Fault::Text {
            beginning: "Maintenance".to_owned()
        }
    );
    let Fault::Text { beginning } = fault(&b"x \r\n".repeat(99)) else {
        panic!("not taken for text");
    };
    assert!(beginning.len() <= 40 && !beginning.contains('\n'));
    assert_eq!(
        fault(&[0; 64]),
        Fault::Malformed {
            part: "OCSPResponse"
        }
    );
    assert!(Fault::Pem.to_string().contains("base64 -d"));
    // What begins like base64, and is too short to be that of a response, or has other letters.
    let long = "MI".repeat(64);
    for text in ["MINTED AT NOON", "MISSING", &long, &format!("{long}, sir")] {
        assert!(
            matches!(fault(text.as_bytes()), Fault::Text { .. }),
            "{text}"
        );
    }
    assert_eq!(fault(format!("{long}A").as_bytes()), Fault::Pem);
}

#[test]
fn error_statuses_keep_their_names() {
    let shown = |number| fault(&error_response(number)).to_string();
    assert!(shown(3).contains("tryLater"));
    assert!(shown(6).contains("unauthorized"));
    assert_eq!(
        fault(&error_response(200)),
        Fault::ErrorStatus(ErrorStatus::Other(200))
    );
}

#[test]
fn the_largest_response_is_looked_at_and_what_follows_it_is_counted() {
    let mut bytes = good();
    let count = MAX_RESPONSE - bytes.len();
    bytes.resize(MAX_RESPONSE, 0);
    assert_eq!(fault(&bytes), Fault::TrailingBytes { count });
    bytes.push(0);
    let length = MAX_RESPONSE + 1;
    assert_eq!(fault(&bytes), Fault::TooLarge { length });
}

#[test]
fn each_error_status_tells_what_to_do() {
    for (number, advice) in [
        (1, "try the other certID hash"),
        (2, "ask again later"),
        (3, "ask again later"),
        (4, "check that the address is an OCSP responder's"),
        (5, "signed requests, which are not supported"),
        (6, "may not have reached it yet"),
    ] {
        let message = fault(&error_response(number)).to_string();
        assert!(message.contains(advice), "{message}");
    }
}

#[test]
fn an_error_status_with_a_good_response_inside_is_still_an_error() {
    let mut response = good();
    let status = response
        .windows(3)
        .position(|window| window == [0x0a, 1, 0])
        .expect("responseStatus");
    response[status + 2] = 3;
    assert_eq!(fault(&response), Fault::ErrorStatus(ErrorStatus::TryLater));
}

#[test]
fn the_nearest_cert_id_is_named_when_none_is_the_right_one() {
    let other_ca = CertificateSpec {
        subject: common_name("Other CA"),
        ..CertificateSpec::ca()
    };
    let about = |cert_id| SingleSpec {
        cert_id,
        ..SingleSpec::good()
    };
    let singles = [
        about(cert_id(&other_ca, &[7])),
        about(cert_id(&CertificateSpec::ca(), &[5, 6])),
    ];
    let fault = fault_of(&singles);
    let Fault::WrongCertificate {
        difference,
        wanted,
        found,
    } = &fault
    else {
        panic!("{fault}");
    };
    assert_eq!(
        (*difference, wanted.as_str(), found.as_str()),
        (Difference::Serial, "009abc", "0506")
    );
    assert!(fault.to_string().contains("009abc"));
}

#[test]
fn a_revocation_says_when_and_why() {
    let time = NOW - 32 * DAY;
    for (number, reason) in [(Some(1), Some(Reason(1))), (None, None)] {
        let single = SingleSpec::with_status(status_revoked(number));
        let said = judged(&ResponseSpec::of(&[single]).der(), NOW).expect("somebody's word");
        let since = time;
        assert_eq!(said.verdict, Verdict::Revoked { since, reason });
    }
    let reason = Some(Reason(1));
    let message = Fault::Revoked { time, reason }.to_string();
    assert!(message.contains("2025-12-01T00:00:00Z"), "{message}");
    assert!(message.contains("keyCompromise"), "{message}");
}

#[test]
fn the_type_must_be_basic() {
    let basic_but_longer = [OCSP_BASIC, &[1]].concat();
    assert_eq!(fault(&successful(&basic_but_longer, b"")), Fault::NotBasic);
}

#[test]
fn a_critical_extension_is_named_and_refused_wherever_it_stands() {
    let unknown = extension(&[0x2a, 3, 4], true, b"");
    let single = SingleSpec {
        extensions: vec![unknown.clone()],
        ..SingleSpec::good()
    };
    let whole = ResponseSpec {
        extensions: vec![unknown],
        ..ResponseSpec::of(&[SingleSpec::good()])
    };
    let expected = Fault::CriticalExtension {
        oid: "1.2.3.4".to_owned(),
    };
    assert_eq!(fault_of(&[single]), expected);
    assert_eq!(fault(&whole.der()), expected);
    // certificateIssuer says that the status is another issuer's certificate's.
    let other = SingleSpec {
        extensions: vec![extension(&[0x55, 0x1d, 0x1d], true, b"")],
        ..SingleSpec::good()
    };
    assert_eq!(fault_of(&[other]).cause(), "critical_extension");
}
