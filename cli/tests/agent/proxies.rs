//! Through a proxy: as curl would, and with a message that names it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use staplegun_testkit::responder::{Behaviour, FaultyResponder, Refused};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{Agent, PATIENT, QUICK, Store, answering};

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn start_behind(store: &Store, settings: &str, environment: &[(&str, &str)]) -> Agent {
    let program = store.program(settings);
    let variables = environment.iter();
    let program = variables.fold(program, |program, (name, value)| program.env(name, value));
    store.adopt(program.start())
}

/// A responder that has a good response for the one certificate of a store.
struct Scene {
    leaf: Identity,
    good: Vec<u8>,
    store: Store,
    _responder: FaultyResponder,
}

/// `host` is what the certificate calls the responder.
fn scene(host: &str) -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let url = format!("http://{host}:{}/ocsp", responder.port());
    let leaf = ca.issue(&Spec::server().ocsp_url(&url));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        leaf,
        good,
        store,
        _responder: responder,
    }
}

#[test]
fn a_proxy_for_http_is_asked_by_the_absolute_address() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://responder.invalid:8080/ocsp"));
    let good = Response::good(&leaf, &ca).der();
    let (port, lines) = answering(SocketAddr::from(ANY_PORT), good.clone());
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let proxy = format!("http://me:secret@127.0.0.1:{port}");
    let agent = start_behind(&store, PATIENT, &[("http_proxy", &proxy)]);
    agent.wait_until_served(&leaf, &good);
    let head = lines.recv().expect("it was asked");
    assert!(
        head.starts_with("GET http://responder.invalid:8080/ocsp/M"),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0"),
        "{head}"
    );
    assert!(
        head.to_lowercase().contains("host: responder.invalid:8080"),
        "{head}"
    );
}

#[test]
fn the_proxy_of_the_configuration_comes_before_that_of_the_environment() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://responder.invalid/ocsp"));
    let good = Response::good(&leaf, &ca).der();
    let (port, _asked) = answering(SocketAddr::from(ANY_PORT), good.clone());
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let settings = format!("{PATIENT}[proxy]\nhttp = 'http://127.0.0.1:{port}'\n");
    let refused = Refused::new().url();
    let agent = start_behind(&store, &settings, &[("http_proxy", &refused)]);
    agent.wait_until_served(&leaf, &good);
}

#[test]
fn who_is_excepted_is_asked_directly_by_domain_too_and_among_blanks() {
    for (host, except) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.0/8 127.0.0.0/8"),
        ("localhost", "example.com, localhost"),
        ("ocsp.localhost", "example.com localhost"),
    ] {
        let scene = scene(host);
        let (port, lines) = answering(SocketAddr::from(ANY_PORT), Vec::new());
        let hosts = scene
            .store
            .directory
            .write("hosts", "127.0.0.1 localhost ocsp.localhost\n");
        let script = format!(
            "mount --bind {} /etc/hosts\nexport http_proxy=http://127.0.0.1:{port} \
             no_proxy='{except}'",
            hosts.display()
        );
        let _agent = scene.store.start_apart(PATIENT, &script);
        staplegun_testkit::wait::until("the agent serves the response", || {
            assert!(lines.try_recv().is_err(), "{host}: {except}");
            (scene.store.served(&scene.leaf).as_ref() == Ok(&scene.good)).then_some(())
        });
    }
}

#[test]
fn the_proxy_for_https_is_not_asked_for_http() {
    let scene = scene("127.0.0.1");
    let refused = Refused::new().url();
    let environment = [("https_proxy", refused.as_str()), ("HTTP_PROXY", &refused)];
    let agent = start_behind(&scene.store, PATIENT, &environment);
    agent.wait_until_served(&scene.leaf, &scene.good);
}

/// A SOCKS5 proxy (RFC 1928) for one connection; the host that it was asked for comes
/// out, as a name or an address.
fn socks5() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(ANY_PORT).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("somebody asks");
        let mut take = |length: usize| {
            let mut bytes = vec![0; length];
            client.read_exact(&mut bytes).expect("it speaks SOCKS5");
            bytes
        };
        let methods = usize::from(take(2)[1]);
        take(methods);
        let mut answer = client.try_clone().expect("a socket");
        answer.write_all(&[5, 0]).expect("it reads");
        let mut take = |length: usize| {
            let mut bytes = vec![0; length];
            client.read_exact(&mut bytes).expect("it speaks SOCKS5");
            bytes
        };
        let host = match take(4)[3] {
            1 => {
                let four: [u8; 4] = take(4).try_into().expect("four bytes");
                Ipv4Addr::from(four).to_string()
            }
            _ => {
                let length = usize::from(take(1)[0]);
                String::from_utf8(take(length)).expect("a name")
            }
        };
        let port = u16::from_be_bytes(take(2).try_into().expect("two bytes"));
        sender.send(host).expect("the test waits");
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        answer
            .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .expect("it reads");
        let (mut from, mut to) = (client, server.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        // Whoever ends first, ends it.
        let _ = std::io::copy(&mut server, &mut answer);
    });
    (port, asked)
}

#[test]
fn a_socks5_proxy_is_asked_for_addresses_or_for_names() {
    for (scheme, host, wanted) in [
        ("socks5", "127.0.0.1", "127.0.0.1"),
        ("socks5h", "responder.invalid", "responder.invalid"),
    ] {
        let scene = scene(host);
        let (port, asked) = socks5();
        let proxy = format!("{scheme}://127.0.0.1:{port}");
        let agent = start_behind(&scene.store, PATIENT, &[("http_proxy", &proxy)]);
        agent.wait_until_served(&scene.leaf, &scene.good);
        assert_eq!(asked.recv().ok().as_deref(), Some(wanted));
    }
}

#[test]
fn a_proxy_that_is_to_blame_is_named_with_who_named_it_and_no_password() {
    let refused = Refused::new().url();
    let port = refused.trim_start_matches("http://127.0.0.1:");
    let port = port.trim_end_matches("/ocsp");
    let (closed, _lines) = answering(SocketAddr::from(ANY_PORT), Vec::new());
    for (proxy, cause, words) in [
        (
            format!("http://me:secret@127.0.0.1:{port}"),
            "connection",
            format!("http://127.0.0.1:{port}"),
        ),
        (
            "http://me:secret@proxy.invalid:1".to_owned(),
            "proxy",
            "http://proxy.invalid:1".to_owned(),
        ),
        (
            format!("http://me:secret@127.0.0.1:{closed}"),
            "empty",
            format!("http://127.0.0.1:{closed}"),
        ),
        (
            "http://me:secret@127.0.0.1:99999".to_owned(),
            "proxy",
            "99999".to_owned(),
        ),
    ] {
        let scene = scene("127.0.0.1");
        let agent = start_behind(&scene.store, QUICK, &[("http_proxy", &proxy)]);
        let notes = agent.wait_until_failed(&scene.leaf);
        let error = notes.last_error.unwrap_or_default();
        assert_eq!(notes.last_cause.as_deref(), Some(cause), "{error}");
        assert!(
            error.contains(&words) && error.contains("http_proxy"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}
