//! The agent's page, what it shows as JSON, and who may ask for them. The page itself is looked
//! at in headless Chromium by `page.py`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, Store};

/// Head and body of the answer to that request.
fn ask(stream: &mut (impl Read + Write), request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (head.to_owned(), body.to_owned())
}

fn connect(agent: &Agent) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, agent.server.port())).expect("it listens")
}

fn get(agent: &Agent, path: &str, host: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    ask(&mut connect(agent), &request)
}

fn json_of((head, body): &(String, String)) -> Value {
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    serde_json::from_str(body).expect("JSON")
}

/// A store of which a stapled certificate is no longer renewed, and one whose file is gone.
struct Scene {
    store: Store,
    leaf: Identity,
    _responder: FaultyResponder,
    agent: Agent,
}

impl Scene {
    fn new(settings: &str) -> Self {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let responder = FaultyResponder::start(Behaviour::Close);
        let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
        let store = Store::new();
        store.list(&leaf, &[&ca]);
        let listed = store.directory.join("certificates");
        let known = std::fs::read_to_string(&listed).expect("it was written");
        std::fs::write(&listed, known + "/nowhere/at all.pem\n").expect("it can be written");
        // It ends before it is renewed again.
        let good = Response::good(&leaf, &ca)
            .this_update(-3_600)
            .next_update(10 * 86_400);
        responder.queue(Behaviour::Answer(good.der()));
        let settings = format!("{settings}{PATIENT}longest-refresh = 0.05\n");
        let agent = store.start(&settings);
        wait::until("a renewal has failed", || {
            let notes = store.notes(&leaf)?;
            (notes.failures > 0 && store.served(&leaf).is_ok()).then_some(())
        });
        Self {
            store,
            leaf,
            _responder: responder,
            agent,
        }
    }
}

#[test]
fn the_data_of_the_page_are_those_of_status() {
    let scene = Scene::new("[http]\nsocket = true\n");
    let socket = scene.store.layout().http_socket();
    let mode = socket.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // What changes with each attempt is left out.
    let lasting = |mut status: Value| {
        for one in status["certificates"].as_array_mut().expect("a list") {
            for changing in ["failures", "last_attempt", "next_refresh", "last_error"] {
                one[changing] = Value::Null;
            }
        }
        status["mapped_by"] = Value::Null;
        status
    };
    let told = scene.store.staplegun(&["status", "--json"]);
    let told = lasting(serde_json::from_slice(&told.stdout).expect("JSON"));
    let mut stream = UnixStream::connect(&socket).expect("it listens");
    // Nobody comes to the socket by a name.
    let answer = ask(
        &mut stream,
        "GET /status.json HTTP/1.1\r\nHost: any.example\r\n\r\n",
    );
    assert_eq!(lasting(json_of(&answer)), told);
    assert!(answer.1.contains("/nowhere/at all.pem"), "{}", answer.1);

    // Any user may ask at the port.
    let answer = get(&scene.agent, "/status.json", "localhost");
    let at_port = json_of(&answer);
    let ours = scene.leaf.sha256_hex();
    let certificates = at_port["certificates"].as_array().expect("a list");
    assert_eq!(certificates.len(), 2);
    assert!(
        certificates
            .iter()
            .any(|one| one["sha256"] == ours.as_str())
    );
    for secret in [
        "/nowhere",
        "at all.pem",
        &scene.store.directory.path().display().to_string(),
    ] {
        assert!(!answer.1.contains(secret), "{secret} in {}", answer.1);
    }
}

#[test]
fn a_socket_that_an_agent_left_is_replaced_and_no_other_file() {
    let store = Store::new();
    let socket = store.layout().http_socket();
    let settings = format!("[http]\nsocket = true\n{PATIENT}");
    for _ in 0..2 {
        let agent = store.start(&settings);
        UnixStream::connect(&socket).expect("it listens");
        drop(agent);
        assert!(socket.exists());
    }
    std::fs::remove_file(&socket).expect("it is there");
    std::fs::write(&socket, "ours").expect("it can be written");
    let said = store.program(&settings).run();
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("is no socket: remove it"), "{said}");
    assert_eq!(
        std::fs::read_to_string(&socket).expect("it is there"),
        "ours"
    );
}

#[test]
fn only_who_asks_by_a_name_of_the_loopback_or_of_the_configuration_is_answered() {
    let store = Store::new();
    let agent = store.start(&format!("[http]\nhosts = ['page.example']\n{PATIENT}"));
    for path in ["/", "/status.json", "/metrics", "/other"] {
        let (head, body) = get(&agent, path, "evil.example");
        assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
        assert!(body.contains("hosts"), "{body}");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]", "page.example"] {
        let (head, _) = get(&agent, "/", host);
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{host}: {head}");
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
        assert!(
            head.contains("Content-Security-Policy: default-src 'none'"),
            "{head}"
        );
    }
    for (request, status) in [
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            "405",
        ),
        ("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let (head, _) = ask(&mut connect(&agent), request);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {head}"
        );
    }
}

#[test]
fn it_listens_at_the_address_of_the_configuration_and_at_no_other() {
    let addresses = [
        (Ipv6Addr::LOCALHOST.into(), "[::1]"),
        (IpAddr::from([127, 0, 0, 2]), "127.0.0.2"),
    ];
    for (address, host) in addresses {
        let store = Store::new();
        let agent = store.start(&format!("[http]\naddress = '{address}'\n{PATIENT}"));
        let port = agent.server.port();
        let mut there = TcpStream::connect((address, port)).expect("it listens there");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        let (head, _) = ask(&mut there, &request);
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{host}: {head}");
        let elsewhere = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        assert!(elsewhere.is_err(), "{host}: {elsewhere:?}");
    }
}

/// Looks at the page in a browser.
pub fn look(agent: &Agent, plan: &Value) {
    let pictures = Directory::new();
    let url = format!("http://127.0.0.1:{}/", agent.server.port());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/page.py");
    let said = Command::new("/usr/bin/python3")
        .args([script, &url])
        .arg(pictures.path())
        .arg(plan.to_string())
        .output()
        .expect("it runs");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn the_page_says_what_stops_being_stapled_next_and_why() {
    let scene = Scene::new("");
    // One stapled, and one whose file is gone.
    let next = [
        "Next to stop being stapled",
        "in 9 d 23 h",
        "no answer: Peer disconnected",
        "1 certificate needs you",
    ];
    look(
        &scene.agent,
        &json!({
            "certificates": 2, "stapled": 1, "need": 1, "next": next,
            "sentences": ["cannot look at"], "hostile": [],
            "responders": ["127.0.0.1:", "failing", "connection "],
            "find": ["n", "o", "w", "h", "e", "r", "e"], "found": 0,
        }),
    );
}

#[test]
fn what_others_chose_is_text_on_the_page() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let store = Store::new();
    let markup = "<img src=x onerror=document.title=1>";
    for name in [markup, "\u{202e}gnp.exe\u{7}", "مثال"] {
        store.list(&ca.issue(&Spec::server().common_name(name)), &[&ca]);
    }
    for number in 0..47 {
        let name = format!("host{number:02}");
        store.list(&ca.issue(&Spec::server().common_name(&name)), &[&ca]);
    }
    let agent = store.start(PATIENT);
    look(
        &agent,
        &json!({
            "certificates": 50, "stapled": 0, "need": 0, "next": ["Nothing is stapled."],
            "sentences": ["names no OCSP responder"], "responders": [], "hostile": [markup, "مثال"],
            "find": ["h", "o", "s", "t", "0", "7"], "found": 1,
        }),
    );
}

#[test]
fn of_thousands_a_page_shows_a_thousand_those_that_need_a_person_first() {
    let store = Store::new();
    let ca = Identity::self_signed(&Spec::ca("CA"));
    store.list(&ca.issue(&Spec::server().common_name("fine")), &[&ca]);
    let listed = store.directory.join("certificates");
    let mut known = std::fs::read_to_string(&listed).expect("it was written");
    known.extend((1..5_000).map(|number| format!("/nowhere/{number}.pem\n")));
    std::fs::write(&listed, known).expect("it can be written");
    let agent = store.start(PATIENT);
    look(
        &agent,
        &json!({
            "certificates": 5_000, "stapled": 0, "need": 4_999,
            "next": ["Nothing is stapled.", "4999 certificates need you"],
            "sentences": ["cannot look at"], "hostile": [], "responders": [],
            "find": ["f", "i", "n", "e"], "found": 1,
        }),
    );
}
