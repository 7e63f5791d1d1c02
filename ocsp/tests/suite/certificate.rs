//! What is read from certificates.

use crate::mint::{CertificateSpec, common_name, der, extension, name, oid};
use staplegun_ocsp::certificate::Signed;
use staplegun_ocsp::{Certificate, CertificateError, MAX_RESPONSE};
use staplegun_testkit::pki::{Identity, Spec};

const AIA: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
const AD_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1];
const AD_CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];
const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

fn access(method: &[u8], tag: u8, location: &str) -> Vec<u8> {
    der(0x30, &[&oid(method), &der(tag, &[location.as_bytes()])])
}

fn usage(purposes: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = purposes.iter().flat_map(|purpose| oid(purpose)).collect();
    extension(EXT_KEY_USAGE, false, &der(0x30, &[&list]))
}

#[test]
fn a_signed_certificate_is_read_as_x509_cert_wrote_it() {
    let ca = Identity::self_signed(&Spec::ca("Test CA"));
    let spec = Spec::server()
        .ocsp_url("http://127.0.0.1:8080/ocsp")
        .ca_issuers_url("http://127.0.0.1/ca.der")
        .must_staple()
        .serial(&[0x7f, 1, 2, 3]);
    let leaf = ca.issue(&spec);
    let ca_read = Certificate::from_der(&ca.der()).unwrap();
    let read = Certificate::from_der(&leaf.der()).unwrap();
    let tbs = &leaf.certificate.tbs_certificate;

    assert_eq!(read.responders(), ["http://127.0.0.1:8080/ocsp"]);
    assert_eq!(read.ca_issuers(), ["http://127.0.0.1/ca.der"]);
    assert!(read.must_staple());
    assert!(read.fit_for_server() && !read.fit_for_ocsp_signing());
    assert!(!read.is_ca() && ca_read.is_ca());
    assert!(!read.is_self_issued() && ca_read.is_self_issued());
    assert!(read.names_as_issuer(&ca_read) && !ca_read.names_as_issuer(&read));
    assert_eq!(read.serial(), [0x7f, 1, 2, 3]);
    assert_eq!(read.serial_hex(), "7f010203");
    assert_eq!(read.display_subject(), "localhost");
    assert_eq!(read.issuer_name(), ca_read.subject_name());
    assert_eq!(
        read.public_key_bits(),
        tbs.subject_public_key_info.subject_public_key.raw_bytes()
    );
    let unix = |time: x509_cert::time::Time| time.to_unix_duration().as_secs() as i64;
    assert_eq!(read.not_before(), unix(tbs.validity.not_before));
    assert_eq!(read.not_after(), unix(tbs.validity.not_after));
    let key: String = read.sha256().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(key, leaf.sha256_hex());
}

#[test]
fn without_extensions_it_asks_for_nothing_and_suits_a_server() {
    let certificate = CertificateSpec::leaf().read();
    assert!(certificate.responders().is_empty());
    assert!(certificate.ca_issuers().is_empty());
    assert!(!certificate.must_staple());
    assert!(!certificate.is_ca());
    assert!(!certificate.ocsp_no_check());
    assert!(certificate.fit_for_server());
    assert!(!certificate.fit_for_ocsp_signing());
}

#[test]
fn only_addresses_that_can_be_fetched_are_taken() {
    let uri = 0x86;
    let locations = [
        access(AD_OCSP, uri, "ldap://directory.example/cn=CA"),
        access(AD_OCSP, uri, "http://one.example/"),
        access(AD_OCSP, uri, "http://one.example/ HTTP/1.1\r\nX: y"),
        access(AD_OCSP, uri, "http://one.ex\u{e4}mple/"),
        access(AD_OCSP, uri, "HTTPS://two.example"),
        access(AD_OCSP, uri, "http://one.example/"),
        access(AD_OCSP, 0x82, "http://dns-name.example/"),
        access(AD_OCSP, uri, &format!("http://{}/", "a".repeat(3000))),
        access(AD_OCSP, uri, "one.example"),
        access(AD_CA_ISSUERS, uri, "http://ca.example/ca.der"),
        access(&[0x2a, 3], uri, "http://other-method.example/"),
    ];
    let certificate = CertificateSpec::leaf()
        .with(extension(AIA, false, &der(0x30, &[&locations.concat()])))
        .read();
    assert_eq!(
        certificate.responders(),
        ["http://one.example/", "HTTPS://two.example"]
    );
    assert_eq!(certificate.ca_issuers(), ["http://ca.example/ca.der"]);
}

#[test]
fn a_location_of_an_unusual_kind_does_not_hide_the_others() {
    let x400 = der(0x30, &[&oid(AD_OCSP), &der(0xa3, &[&der(0x30, &[])])]);
    let method = [&[0x69][..], &[0xff; 60], &[0x01]].concat();
    let locations = [
        x400,
        access(&method, 0x86, "http://unknown.example/"),
        access(AD_OCSP, 0x86, "http://one.example/"),
    ];
    let names = [der(0xa3, &[&der(0x30, &[])]), der(0x82, &[b"san.example"])];
    let certificate = CertificateSpec {
        subject: name(&[]),
        ..CertificateSpec::leaf()
    }
    .with(extension(AIA, false, &der(0x30, &[&locations.concat()])))
    .with(extension(
        SUBJECT_ALT_NAME,
        false,
        &der(0x30, &[&names.concat()]),
    ))
    .read();
    assert_eq!(certificate.responders(), ["http://one.example/"]);
    assert_eq!(certificate.display_subject(), "san.example");
}

#[test]
fn no_certificate_can_name_more_than_16_responders() {
    let locations: Vec<u8> = (0..20)
        .flat_map(|number| access(AD_OCSP, 0x86, &format!("http://{number}.example/")))
        .collect();
    let certificate = CertificateSpec::leaf()
        .with(extension(AIA, false, &der(0x30, &[&locations])))
        .read();
    assert_eq!(certificate.responders().len(), 16);
}

#[test]
fn must_staple_is_feature_5_alone() {
    let with = |features: &[u8]| {
        let value = der(0x30, &[features]);
        CertificateSpec::leaf()
            .with(extension(TLS_FEATURE, false, &value))
            .read()
            .must_staple()
    };
    assert!(with(&[2, 1, 5]));
    assert!(with(&[2, 1, 17, 2, 1, 5]));
    assert!(!with(&[2, 1, 17])); // status_request_v2, that nobody implements
    assert!(!with(&[2, 2, 1, 5])); // 261
    assert!(!with(&[]));
}

#[test]
fn extended_key_usage_says_what_it_is_fit_for() {
    let server: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    let client: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    let ocsp: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
    let any: &[u8] = &[0x55, 0x1d, 0x25, 0];
    let fit = |purposes: &[&[u8]]| {
        let certificate = CertificateSpec::leaf().with(usage(purposes)).read();
        (
            certificate.fit_for_server(),
            certificate.fit_for_ocsp_signing(),
        )
    };
    assert_eq!(fit(&[client, server]), (true, false));
    assert_eq!(fit(&[any]), (true, false));
    assert_eq!(fit(&[client]), (false, false));
    assert_eq!(fit(&[ocsp]), (false, true));
    // 2.25 and a UUID, as anybody may make up: an arc of 128 bits.
    let uuid = [&[0x69, 0x83][..], &[0xff; 17], &[0x7f]].concat();
    assert_eq!(fit(&[&uuid, server]), (true, false));
}

#[test]
fn an_explicit_false_is_understood() {
    // Not DER, and yet some CAs write it.
    let value = der(0x30, &[&[1, 1, 0]]);
    let spec = CertificateSpec::leaf().with(extension(BASIC_CONSTRAINTS, true, &value));
    assert!(!spec.read().is_ca());
}

#[test]
fn a_ca_may_allow_any_length_of_path() {
    let value = der(0x30, &[&[1, 1, 0xff, 2, 2, 0x03, 0xe8]]);
    let spec = CertificateSpec::leaf().with(extension(BASIC_CONSTRAINTS, true, &value));
    assert!(spec.read().is_ca());
}

#[test]
fn oddities_in_parts_that_nobody_needs_do_no_harm() {
    let long_oid = [&[0x69][..], &[0xff; 60], &[0x01]].concat();
    let spec = CertificateSpec {
        // T61String, and an attribute type with a huge arc.
        subject: name(&[(10, 0x14, b"Soci\xe9t\xe9"), (3, 0x0c, b"leaf.example")]),
        serial: vec![0x01; 64],
        ..CertificateSpec::leaf()
    }
    .with(extension(&long_oid, true, b"\xde\xad"));
    assert_eq!(spec.read().serial().len(), 64);
    assert_eq!(spec.read().display_subject(), "leaf.example");
}

#[test]
fn serial_numbers_may_be_negative_but_not_padded() {
    let read = |serial: &[u8]| {
        let spec = CertificateSpec {
            serial: serial.to_vec(),
            ..CertificateSpec::leaf()
        };
        Certificate::from_der(&spec.der()).map(|certificate| certificate.serial_hex())
    };
    let refused = Err(CertificateError::Malformed {
        part: "serialNumber",
    });
    assert_eq!(read(&[0]), Ok("00".to_owned()));
    assert_eq!(read(&[0x80]), Ok("80".to_owned()));
    assert_eq!(read(&[0xff, 0x7f]), Ok("ff7f".to_owned()));
    assert_eq!(read(&[0x00, 0x80]), Ok("0080".to_owned()));
    assert_eq!(read(&[0x00, 0x7f]), refused);
    assert_eq!(read(&[0xff, 0x80]), refused);
    assert_eq!(read(&[]), refused);
}

#[test]
fn dates_from_1950_to_9999_are_read() {
    let until = |tag: u8, text: &str| {
        let spec = CertificateSpec {
            not_after: der(tag, &[text.as_bytes()]),
            ..CertificateSpec::leaf()
        };
        Certificate::from_der(&spec.der())
            .ok()
            .map(|certificate| certificate.not_after())
    };
    assert_eq!(until(0x17, "500101000000Z"), Some(-631_152_000));
    assert_eq!(until(0x17, "491231235959Z"), Some(2_524_607_999));
    assert_eq!(until(0x18, "99991231235959Z"), Some(253_402_300_799));
    assert_eq!(until(0x17, "4912312359Z"), None);
    assert_eq!(until(0x17, "491231235959+0100"), None);
    assert_eq!(until(0x04, "99991231235959Z"), None);
}

#[test]
fn the_subject_for_logs_is_one_printable_line() {
    let shown = |subject: Vec<u8>| {
        CertificateSpec {
            subject,
            ..CertificateSpec::leaf()
        }
        .with(extension(
            SUBJECT_ALT_NAME,
            false,
            &der(0x30, &[&der(0x82, &[b"san.example"])]),
        ))
        .read()
        .display_subject()
    };
    assert_eq!(shown(common_name("a\nb\u{1b}[31m\u{202e}c")), "a?b?[31m?c");
    assert_eq!(shown(common_name(&"x".repeat(500))).len(), 64);
    assert_eq!(shown(name(&[(3, 0x1e, b"\0h\0i")])), "hi");
    assert_eq!(shown(name(&[])), "san.example");
    let bare = CertificateSpec {
        subject: name(&[(10, 0x13, b"Org")]),
        ..CertificateSpec::leaf()
    };
    assert_eq!(bare.read().display_subject(), "Org");
    let nameless = CertificateSpec {
        subject: name(&[]),
        ..CertificateSpec::leaf()
    };
    assert_eq!(nameless.read().display_subject(), "serial 009abc");
}

#[test]
fn what_is_no_certificate_is_refused_with_a_reason() {
    let good = CertificateSpec::leaf().der();
    let refusal = |bytes: &[u8]| Certificate::from_der(bytes).unwrap_err();
    assert_eq!(refusal(b""), CertificateError::Empty);
    assert_eq!(
        refusal(b"-----BEGIN CERTIFICATE-----\n"),
        CertificateError::Pem
    );
    assert_eq!(
        refusal(&vec![0x30; MAX_RESPONSE + 1]),
        CertificateError::TooLarge {
            length: MAX_RESPONSE + 1
        }
    );
    assert_eq!(
        refusal(&[&good[..], b"\r\n"].concat()),
        CertificateError::TrailingBytes { count: 2 }
    );
    // The largest is looked at.
    let mut largest = good.clone();
    largest.resize(MAX_RESPONSE, 0);
    let count = MAX_RESPONSE - good.len();
    assert_eq!(refusal(&largest), CertificateError::TrailingBytes { count });
    assert_eq!(
        refusal(&good[..good.len() - 1]),
        CertificateError::Malformed {
            part: "Certificate"
        }
    );
    let broken = CertificateSpec::leaf().with(extension(AIA, false, b"\x30\x05\x30"));
    assert_eq!(
        refusal(&broken.der()),
        CertificateError::Malformed {
            part: "authorityInfoAccess"
        }
    );
    assert!(refusal(b"-----BEGIN").to_string().contains("openssl x509"));
}

#[test]
fn what_is_signed_is_taken_apart_and_must_name_its_algorithm_inside_and_outside() {
    let der = CertificateSpec::leaf().der();
    let signed = Signed::from_der(&der).expect("a certificate");
    assert_eq!(signed.algorithm, [0x2a, 3]);
    assert_eq!(signed.signature, b"signature");
    // Right behind the outer header, which is of three bytes or four.
    assert!(der[3..].starts_with(signed.signed) || der[4..].starts_with(signed.signed));
    let inside = der
        .windows(4)
        .position(|part| part == [6, 2, 0x2a, 3])
        .expect("the algorithm");
    let mut other = der.clone();
    other[inside + 3] = 4;
    assert_eq!(
        Signed::from_der(&other),
        Err(CertificateError::Malformed {
            part: "signatureAlgorithm"
        })
    );
    for length in 0..der.len() {
        assert!(Signed::from_der(&der[..length]).is_err());
    }
}
