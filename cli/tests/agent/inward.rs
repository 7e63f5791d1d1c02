//! A redirect must not make the agent ask what only the agent can reach, nor repeat what
//! that says. Public addresses are those of a network of the test's own, where nothing
//! leads out.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{PATIENT, QUICK, Store, answering};

/// Runs `test` in a network that has nothing but a loopback with these addresses.
fn apart(addresses: &[&str], test: impl FnOnce() + Send) {
    let run = || {
        // SAFETY: it changes the network of this thread, and of what it starts, alone.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(done, 0, "the test runs as root");
        let ip = |words: &[&str]| {
            let status = Command::new("ip").args(words).status();
            assert!(status.is_ok_and(|status| status.success()), "{words:?}");
        };
        ip(&["link", "set", "lo", "up"]);
        for address in addresses {
            let bits = if address.contains(':') { 128 } else { 32 };
            ip(&["addr", "add", &format!("{address}/{bits}"), "dev", "lo"]);
        }
        test();
    };
    std::thread::scope(|scope| {
        let done = scope.spawn(run).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Says that to whoever connects to `address`, after the head of his request. Returns
/// its port, and how many came.
fn saying(address: &str, what: String) -> (u16, Arc<AtomicUsize>) {
    let address: SocketAddr = address.parse().expect("an address");
    let listener = TcpListener::bind(address).expect("it is ours");
    let port = listener.local_addr().expect("it is bound").port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        // It ends with the test's process.
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let lines = BufReader::new(&stream).lines();
            let head = lines.map_while(Result::ok);
            let _ = head.take_while(|line| !line.is_empty()).count();
            let _ = stream.write_all(what.as_bytes());
        }
    });
    (port, came)
}

/// Two addresses that no network keeps for itself. Nobody is asked there: they are the
/// loopback's, in a network namespace of its own.
const PUBLIC: &str = "9.9.9.9";
const OTHER: &str = "8.8.8.8";

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[test]
fn a_redirect_from_a_public_address_to_an_inner_one_opens_no_connection() {
    let inner = [
        "127.0.0.1",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[64:ff9b::a01:203]",
        "[::ffff:10.1.2.3]",
    ];
    let addresses = [
        PUBLIC,
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "fd00::1",
        "64:ff9b::a01:203",
    ];
    apart(&addresses, || {
        let secret = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsecret".to_owned();
        let (inner_port, came) = saying("[::]:0", secret);
        for host in inner {
            let (port, _) = saying(
                &format!("{PUBLIC}:0"),
                redirect(&format!("http://{host}:{inner_port}/")),
            );
            let ca = Identity::self_signed(&Spec::ca("CA"));
            let url = format!("http://{PUBLIC}:{port}/");
            let leaf = ca.issue(&Spec::server().ocsp_url(&url));
            // Nor where the issuer is said to be.
            let orphan = ca.issue(&Spec::server().ocsp_url(&url).ca_issuers_url(&url));
            let store = Store::new();
            store.list(&leaf, &[&ca]);
            store.list(&orphan, &[]);
            let agent = store.start(QUICK);
            let notes = agent.wait_until_failed(&leaf);
            assert_eq!(notes.last_cause.as_deref(), Some("redirect"), "{notes:?}");
            agent.wait_until_failed(&orphan);
            assert_eq!(came.load(Ordering::SeqCst), 0, "{host}");
        }
    });
}

#[test]
fn a_redirect_from_one_public_address_to_another_is_followed() {
    apart(&[PUBLIC, OTHER], || {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        // The address of the redirecting one must be known before what it leads to.
        let serial = [7];
        let leaf = |url: &str| ca.issue(&Spec::server().serial(&serial).ocsp_url(url));
        let good = Response::good(&leaf("http://unused.invalid/"), &ca).der();
        let (port, _asked) = answering(SocketAddr::from(([8, 8, 8, 8], 0)), good.clone());
        let (port, _) = saying(
            &format!("{PUBLIC}:0"),
            redirect(&format!("http://{OTHER}:{port}/")),
        );
        let leaf = leaf(&format!("http://{PUBLIC}:{port}/"));
        let store = Store::new();
        store.list(&leaf, &[&ca]);
        store.start(PATIENT).wait_until_served(&leaf, &good);
    });
}

#[test]
fn what_was_redirected_to_is_not_repeated() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let inner = FaultyResponder::start(Behaviour::Http {
        status: 200,
        headers: vec![("Content-Type".into(), "text/hush".into())],
        body: b"the password is hush".to_vec(),
    });
    let url = inner.url();
    let outer = FaultyResponder::start(Behaviour::status(302, &[("Location", &url)]));
    let leaf = ca.issue(&Spec::server().ocsp_url(&outer.url()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    let notes = agent.wait_until_failed(&leaf);
    assert!(!inner.requests().is_empty());
    let told = format!("{notes:?}\n{}", agent.server.stderr());
    assert!(!told.contains("hush"), "{told}");
}

#[test]
fn a_redirect_to_another_host_through_a_proxy_is_followed_only_where_that_is_allowed() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://one.invalid/ocsp"));
    let good = Response::good(&leaf, &ca).der();
    // To the agent it is a proxy: it looks at the absolute address that it is asked for.
    let proxy = FaultyResponder::start(Behaviour::Close);
    let answer = good.clone();
    proxy.set(Behaviour::Call(Arc::new(move |request| {
        if request.target.starts_with("http://one.invalid/") {
            Behaviour::status(302, &[("Location", "http://two.invalid/ocsp")])
        } else {
            Behaviour::Answer(answer.clone())
        }
    })));
    let settings = format!("[proxy]\nhttp = 'http://127.0.0.1:{}'\n", proxy.port());
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(&format!("{QUICK}{settings}"));
    let notes = agent.wait_until_failed(&leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("redirect"), "{notes:?}");
    let to_two = |request: &staplegun_testkit::responder::Request| {
        request.target.starts_with("http://two.invalid")
    };
    assert!(!proxy.requests().iter().any(to_two));
    drop(agent);
    let agent = store.start(&format!("{QUICK}{settings}redirects = true\n"));
    agent.wait_until_served(&leaf, &good);
}
