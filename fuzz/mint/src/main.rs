//! Makes the corpus anew: certificates and responses for names under .test, and
//! around them what each target reads. Run it from anywhere:
//! `cargo run --manifest-path fuzz/Cargo.toml -p staplegun-fuzz-mint`.

use std::fs;
use std::path::Path;

use staplegun_testkit::OcspResponseStatus;
use staplegun_testkit::pki::{Identity, Spec};
use staplegun_testkit::response::{self, CertIdHash, Response};

const YEAR: i64 = 365 * 86_400;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let put = |target: &str, name: &str, parts: &[&[u8]]| {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory).expect("the corpus can be written");
        fs::write(directory.join(name), parts.concat()).expect("the corpus can be written");
    };
    // Long enough that no clock matters.
    let spec = |spec: Spec| spec.validity(-20 * YEAR, 22 * YEAR);
    let ca = Identity::self_signed(&spec(Spec::ca("Fuzz CA")));
    let leaf = ca.issue(&spec(
        Spec::server()
            .must_staple()
            .dns_name("leaf.test")
            .ocsp_url("http://responder.test/ocsp")
            .ca_issuers_url("http://responder.test/ca.der"),
    ));
    let delegate = ca.issue(&spec(Spec::responder()));
    let good = Response::good(&leaf, &ca).der();
    put("pki", "leaf.der", &[&leaf.der()]);
    put("pki", "issuer.der", &[&ca.der()]);
    put("pki", "good.der", &[&good]);

    let now = staplegun_ocsp::Response::parse(&good)
        .expect("it is a response")
        .produced_at()
        + 60;
    let clock = now.to_le_bytes();
    let responses = [
        ("good", good.clone()),
        (
            "delegated",
            Response::good(&leaf, &ca)
                .delegate(&delegate)
                .responder_by_key()
                .der(),
        ),
        (
            "sha256",
            Response::good(&leaf, &ca).hash(CertIdHash::Sha256).der(),
        ),
        (
            "no-next-update",
            Response::good(&leaf, &ca).next_update(None).der(),
        ),
        ("revoked", Response::good(&leaf, &ca).revoked().der()),
        ("unknown", Response::good(&leaf, &ca).unknown().der()),
        (
            "bad-signature",
            Response::good(&leaf, &ca).corrupt_signature().der(),
        ),
        (
            "try-later",
            response::error_status(OcspResponseStatus::TryLater),
        ),
    ];
    for (name, der) in &responses {
        put("response", name, &[&clock, der]);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n\
             Cache-Control: max-age=600, public\r\nAge: 3\r\nContent-Length: {}\r\n\r\n",
            der.len()
        );
        put("answer", name, &[head.as_bytes(), der]);
    }
    // The seconds at which answers change: the responses' times, and the clock's skew.
    let (start, end) = (now - 60, now - 60 + 25 * 3600);
    for (name, at) in [
        ("too-early", start - 301),
        ("early", start - 300),
        ("last-second", end - 1),
        ("expired", end),
        ("expired-within-skew", end + 299),
        ("expired-for-all", end + 300),
    ] {
        put("response", name, &[&at.to_le_bytes(), &good]);
    }
    let size = format!("{:x}\r\n", good.len());
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    put(
        "answer",
        "chunked",
        &[chunked, size.as_bytes(), &good, b"\r\n0\r\n\r\n"],
    );
    put(
        "answer",
        "until-closed",
        &[b"HTTP/1.0 200 OK\r\n\r\n", &good],
    );
    for (name, head) in [
        (
            "redirect",
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/x\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "redirect-https",
            "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "continue",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "busy",
            "HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 2044 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "no-get",
            "HTTP/1.1 405 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "html",
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>",
        ),
        (
            "too-long",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx",
        ),
    ] {
        put("answer", name, &[head.as_bytes()]);
    }

    let plain = ca.issue(&Spec::server().extended_key_usage(&[]));
    for (name, identity) in [
        ("leaf", &leaf),
        ("ca", &ca),
        ("responder", &delegate),
        ("plain", &plain),
    ] {
        put("certificate", name, &[&identity.der()]);
        put("certificate_file", name, &[&identity.der()]);
    }
    let (leaf_pem, ca_pem) = (leaf.pem(), ca.pem());
    put(
        "certificate_file",
        "chain.pem",
        &[leaf_pem.as_bytes(), ca_pem.as_bytes()],
    );
    put(
        "certificate_file",
        "text.pem",
        &[b"Leaf:\r\n", leaf_pem.replace('\n', "\r\n").as_bytes()],
    );

    // The leaf with its response, an intermediate without one, and one with an empty one.
    let (list, status) = ("\0\0\x01a", "\0\x05\0\x05\x01\0\0\x01r");
    let empty = "\0\x05\0\x04\x01\0\0\0";
    let message = [list, "\0\x09", status, list, "\0\0", list, "\0\x08", empty].concat();
    let length = u8::try_from(message.len()).expect("it is short");
    put(
        "entries",
        "chain",
        &[&[0, 0, 0, length], message.as_bytes()],
    );

    let numbers = [
        clock,
        (now + 86_400).to_le_bytes(),
        clock,
        1_u64.to_le_bytes(),
    ]
    .concat();
    for (name, text) in [
        ("seconds", "120\nmax-age=600\n30"),
        (
            "date",
            "Sun, 06 Nov 2044 08:49:37 GMT\npublic, max-age=\"86400\"\n",
        ),
        ("no-store", "\nno-store, max-age=1\n0"),
    ] {
        put("headers", name, &[&numbers, &[2, 3], text.as_bytes()]);
    }

    // Offsets as the format has them: header, the index, the first record.
    let fresh = 1_700_000_060_i64.to_le_bytes();
    put("map", "sound", &[&fresh]);
    put("map", "magic", &[&fresh, &[0, 0, 0, 1, b'X']]);
    put(
        "map",
        "extent",
        &[
            &fresh,
            &[48, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ],
    );
    put("map", "cut", &[&fresh, &[1, 0, 4, 0]]);
    put(
        "map",
        "records",
        &[
            &fresh,
            &[0, 0x20, 0, 4, 1, 2, 3, 4, 0, 0x21, 0, 4, 1, 2, 3, 4],
        ],
    );

    let key = leaf.sha256_hex();
    let name = format!("{key}.0.0123456789abcdef");
    let length = [u8::try_from(name.len()).expect("a name is short")];
    put("spool", "leaf", &[&length, name.as_bytes(), &leaf.der()]);
    put(
        "spool",
        "leaf-and-issuer",
        &[&length, name.as_bytes(), &leaf.der(), &ca.der()],
    );
    put("spool", "unfinished", &[&[4], b".abc", b"0"]);

    put("notes", "full", &[br#"{"responder":"http://responder.test/","last_attempt":1,"last_success":2,
        "last_error":"no answer","last_cause":"timeout","failures":3,"next_refresh":4,"this_update":5,"until":6}"#]);
    put("notes", "empty", &[b"{}"]);

    put("environment", "nothing", &[&[0]]);
    // In the order in which the library asks.
    let values = [
        "0",
        "repair",
        "verify",
        "1",
        "debug",
        "/run/x",
        "65536",
        "5s",
        "syslog",
        "/a.der:/b",
        "/c",
    ];
    let lengths = |value: &&str| {
        [u8::try_from(value.len()).expect("short")]
            .into_iter()
            .chain(value.bytes())
            .collect()
    };
    let values: Vec<Vec<u8>> = values.iter().map(lengths).collect();
    put("environment", "everything", &[&[1], &values.concat()]);

    // What each byte means stands in shim/src/controls.rs.
    let server = [0x80, 0];
    let client = [0x00, 0];
    let asks = [0x08, 1, 0, 1, 0]; // the second SSL: SSL_ctrl, 1, set the type
    let shake = [0x04, 0, 0];
    put(
        "controls",
        "a-staple-of-ours",
        &[&server, &client, &asks, &shake],
    );
    let cb = |side: u8, answer: u8| [side | 0x02, 0, 1, 0, 4, answer];
    put(
        "controls",
        "a-new-one",
        &[&cb(0x80, 2), &cb(0, 1), &server, &client, &asks, &shake],
    );
    put(
        "controls",
        "tls1.2-refused",
        &[
            &cb(0x80, 3),
            &cb(0, 3),
            &server,
            &client,
            &asks,
            &[0x04, 0, 1],
        ],
    );
    put(
        "controls",
        "fatal",
        &[&cb(0x80, 4), &server, &client, &asks, &shake],
    );
    let set = [0x08, 0, 0, 3, 2, b'a', b'b', b'c'];
    let again = [0x09, 0, 1, 2, 4];
    put(
        "controls",
        "set-and-again",
        &[&server, &set, &again, &[0x07, 0], &set, &[0x06, 0]],
    );
    put(
        "controls",
        "own-before",
        &[&cb(0x80, 1), &server, &client, &set, &asks, &shake],
    );
    put(
        "controls",
        "others",
        &[
            &server,
            &[0x03, 0, 0, 5],
            &[0x05, 0, 3, 1],
            &[0x05, 0, 200, 1],
        ],
    );
}
