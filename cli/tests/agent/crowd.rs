//! What goes on without end, or is slow, takes neither the log nor the metrics' port, and
//! names make no fields in the log.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, QUICK, STAPLEGUN, Store};

/// Starts an agent that logs what it logs by itself.
fn start_terse(store: &Store) -> Agent {
    let config = store.directory.write("agent.toml", QUICK);
    let program = staplegun_testkit::program::Program::new(STAPLEGUN)
        .args(["agent", "--metrics-port", "0", "--config"])
        .arg(config)
        .arg("--directory")
        .arg(store.directory.path());
    store.adopt(program.start())
}

#[test]
fn a_failure_that_goes_on_is_not_logged_each_time_and_hides_no_other() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(500, &[]));
    let store = Store::new();
    // Several, since one is not asked for again at once.
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaves: Vec<Identity> = (0..20).map(|_| ca.issue(&spec)).collect();
    for leaf in &leaves {
        store.list(leaf, &[&ca]);
    }
    let agent = start_terse(&store);
    wait::until("it has failed 200 times", || {
        let notes = leaves.iter().filter_map(|leaf| store.notes(leaf));
        let failures: u32 = notes.map(|notes| notes.failures).sum();
        (failures >= 200).then_some(())
    });
    let lines = |cause: &str| {
        let cause = format!("cause=\"{cause}\"");
        let log = agent.server.stderr();
        log.lines().filter(|line| line.contains(&cause)).count()
    };
    // A hundred at once, and then one in ten seconds.
    assert!((100..=105).contains(&lines("http_status")));
    responder.set(Behaviour::html());
    wait::until("the other cause is told", || {
        (lines("html") > 0).then_some(())
    });
}

#[test]
fn a_subject_makes_no_fields_in_the_log() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let forged = "a cause=\"revoked\" key=\"0\"";
    let leaf = ca.issue(
        &Spec::server()
            .common_name(forged)
            .ocsp_url(&responder.url()),
    );
    responder.set(Behaviour::Http {
        status: 200,
        headers: vec![("Content-Type".into(), "x cause=\"expired\"".into())],
        body: b"certificate=forged".to_vec(),
    });
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(PATIENT);
    agent.wait_until_failed(&leaf);
    agent.wait_until_logged("no new response");
    let log = agent.server.stderr();
    for field in [
        "cause=\"revoked\"",
        "cause=\"expired\"",
        "certificate=forged",
    ] {
        let forged = format!(" {field}");
        assert!(!log.contains(&forged), "{field}: {log}");
    }
    assert!(
        log.contains(r#"certificate="a cause=\"revoked\" key=\"0\"""#),
        "{log}"
    );
}

#[test]
fn slow_clients_of_the_metrics_hold_up_no_other() {
    let store = Store::new();
    let agent = store.start(PATIENT);
    let connect = || {
        let address = (Ipv4Addr::LOCALHOST, agent.server.port());
        TcpStream::connect(address).expect("it listens")
    };
    // They say nothing, and there are more of them than are served at a time.
    let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let asked = Instant::now();
    assert!(agent.metrics().contains("staplegun_fetches_total"));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    drop(silent);
}

#[test]
fn a_client_of_the_metrics_that_drips_is_left_when_its_time_is_over() {
    let store = Store::new();
    let agent = store.start(PATIENT);
    let address = (Ipv4Addr::LOCALHOST, agent.server.port());
    let mut client = TcpStream::connect(address).expect("it listens");
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a time");
    let began = Instant::now();
    // One byte at a time, until the other side has closed.
    for _ in 0..400 {
        let mut byte = [0];
        let is_over = client.write_all(b"x").is_err()
            || match client.read(&mut byte) {
                Ok(count) => count == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
        if is_over {
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?}");
            return;
        }
    }
    panic!("it is still served after {:?}", began.elapsed());
}

#[test]
fn an_expired_revocation_is_asked_for_ever_more_seldom() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let expired = Response::good(&leaf, &ca)
        .revoked()
        .this_update(-3600)
        .next_update(-1800)
        .der();
    responder.set(Behaviour::Answer(expired));
    let usual = FaultyResponder::start(Behaviour::Close);
    let other = ca.issue(&Spec::server().ocsp_url(&usual.url()));
    usual.set(Behaviour::Answer(Response::good(&other, &ca).der()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    store.list(&other, &[&ca]);
    // Refreshes are due at once, retries are not.
    let settings = "[timing]\nlongest-refresh = 0.05\nlongest-retry = 3600\n";
    let _agent = store.start(settings);
    wait::until("the other was asked for often", || {
        (usual.requests().len() >= 20 && !responder.requests().is_empty()).then_some(())
    });
    let notes = store.notes(&leaf).expect("there are notes");
    assert!(notes.revoked_since.is_some(), "{notes:?}");
    let asked = responder.requests().len();
    assert!(asked <= 2, "{asked} times");
}
