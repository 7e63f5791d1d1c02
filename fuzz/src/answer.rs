//! The agent: any bytes as what a responder sends, from the status line to the
//! signature. Each connection that a fetch makes is answered by the same bytes.
//!
//! The responder is a proxy as well: whatever address a redirect names, it is this
//! process that is asked, and nobody else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use staplegun_ocsp::{MAX_RESPONSE, Policy};

use crate::fetch::{
    Client, Issuers, Kind, Manner, Override, Patience, Proxies, ProxySettings, Question,
    Responders, Subject, Trust, fetch,
};
use crate::known::{ISSUER, LEAF, NOW, SIGNED};

/// What every connection is answered with.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The responder's address, once it listens.
static RESPONDER: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback can be listened on");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection comes in whole");
            // A request is one packet here. What it says does not matter, and a
            // client that has seen enough may be gone.
            let _ = stream.read(&mut [0; 4096]);
            let answer = ANSWER.lock().expect("nobody panicked with it").clone();
            let _ = stream.write_all(&answer);
            let _ = stream.shutdown(Shutdown::Write);
            // Until the client closes: closing first could lose the end.
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    format!("http://{address}")
});

/// How it is asked: the responder is the proxy of everything, whatever the environment
/// says.
static MANNER: LazyLock<Arc<Manner>> = LazyLock::new(|| {
    let settings = format!(
        "http = '{0}'\nhttps = '{0}'\nexcept = ''\nredirects = true",
        *RESPONDER
    );
    let settings: ProxySettings = toml::from_str(&settings).expect("settings");
    let of_all = Override::parse("=http://responder.test/").expect("an override");
    Arc::new(Manner {
        patience: Patience {
            per_address: Duration::from_secs(5),
            total: Duration::from_secs(20),
        },
        policy: Policy::STAPLING,
        proxies: Arc::new(Proxies::new(&settings)),
        overrides: vec![of_all],
        trust: Arc::new(Trust::default()),
    })
});

static ISSUERS: LazyLock<Issuers> = LazyLock::new(Issuers::default);

static SUBJECT: LazyLock<Arc<Subject>> = LazyLock::new(|| {
    let subject = Subject::new(vec![LEAF.to_vec(), ISSUER.to_vec()], &ISSUERS)
        .expect("the corpus holds certificates");
    assert!(subject.issuer().is_some(), "the issuer is found");
    Arc::new(subject)
});

/// What the issuer and its delegate signed.
static SIGNED_PARTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    // Each begins with the clock of the target `response`.
    let responses = SIGNED.iter().map(|input| signed_part(&input[8..]));
    responses.collect()
});

/// The part of a response that its signature covers.
fn signed_part(der: &[u8]) -> Vec<u8> {
    use x509_cert::der::{Decode, Encode};
    let response = x509_ocsp::OcspResponse::from_der(der).expect("it was verified");
    let bytes = response.response_bytes.expect("it was verified");
    let basic = x509_ocsp::BasicOcspResponse::from_der(bytes.response.as_bytes());
    let data = basic.expect("it was verified").tbs_response_data;
    data.to_der().expect("it is encoded again")
}

/// Only what the issuer signed comes through, whatever came around it.
pub fn run(data: &[u8]) {
    *ANSWER.lock().expect("nobody panicked with it") = data.to_vec();
    let mut client = Client::new(MANNER.patience, Arc::clone(&MANNER.proxies));
    let question = Question {
        subject: Arc::clone(&SUBJECT),
        manner: Arc::clone(&MANNER),
        turn: 0,
        is_ours: true,
        heed: Duration::ZERO,
    };
    let remembered = Responders::default();
    match fetch(&question, &ISSUERS, &remembered, &mut client, *NOW).outcome {
        Ok(received) => {
            let der = &received.staple.der;
            assert!(der.len() <= MAX_RESPONSE);
            let part = signed_part(der);
            assert!(
                SIGNED_PARTS.contains(&part),
                "the issuer never signed {part:?}"
            );
        }
        Err(failure) => {
            let timed_out = matches!(failure.kind, Kind::Timeout(_));
            assert!(!timed_out, "the responder closes at once: {failure}");
            let text = failure.to_string();
            assert!(
                !text.is_empty() && !text.contains(['\n', '\r', '\0']),
                "{text:?}"
            );
        }
    }
}
