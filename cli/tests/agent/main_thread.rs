//! The agent's main thread, which alone staples and withdraws, leaves to others what takes
//! long: measured by the processor's time, which a busy machine does not lengthen.

use std::path::PathBuf;
use std::time::Duration;

use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, Store};

/// The processor's time that the thread of that name took so far.
fn spent(agent: &Agent, thread: &str) -> Duration {
    let tasks = PathBuf::from(format!("/proc/{}/task", agent.server.pid()));
    let tasks = std::fs::read_dir(tasks).expect("it runs").flatten();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let of_that_name = tasks.filter(|task| read(task.path().join("comm")).trim_end() == thread);
    let nanos = of_that_name.filter_map(|task| {
        let told = read(task.path().join("schedstat"));
        told.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

const MAIN: &str = "staplegun";

#[test]
fn responses_that_are_brought_are_verified_by_another_thread() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(500, &[]));
    let spec = Spec::server().serial(&[7]).ocsp_url(&responder.url());
    let leaves: Vec<Identity> = (0..60).map(|_| ca.issue(&spec)).collect();
    // As long as a response may be.
    let names = (0..900).map(|number| format!("{number:050}.example"));
    let delegate = names.fold(Spec::responder(), |spec, name| spec.dns_name(&name));
    let delegate = ca.issue(&delegate);
    // Were it taken into use, the main thread would copy it.
    let wrong = Response::good(&leaves[0], &ca).delegate(&delegate);
    let wrong = wrong.corrupt_signature().der();
    let store = Store::new();
    for leaf in &leaves {
        store.list(leaf, &[&ca]);
    }
    // Nobody is asked again meanwhile.
    let agent = store.start("threads = 16\n[timing]\nsweep = 0.2\n");
    for leaf in &leaves {
        agent.wait_until_failed(leaf);
    }
    let before = (spent(&agent, MAIN), spent(&agent, "staples"));
    for leaf in &leaves {
        store.bring(leaf, &wrong);
    }
    wait::until("all are refused", || {
        let log = agent.server.stderr();
        let refused = log.matches("refused the response in staples/").count();
        (refused == leaves.len()).then_some(())
    });
    let main = spent(&agent, MAIN).saturating_sub(before.0);
    let other = spent(&agent, "staples").saturating_sub(before.1);
    println!("main thread {main:?}, the other {other:?}");
    assert!(main < other, "main thread {main:?}, the other {other:?}");
}

#[test]
fn trusted_issuers_are_read_again_by_another_thread() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let store = Store::new();
    let many = ca.pem().repeat(2_000);
    let trusted = store.directory.write("trusted.pem", many);
    let settings = format!("trusted-issuers = ['{}']\n{PATIENT}", trusted.display());
    let agent = store.start(&settings);
    agent.metrics();
    let before = (spent(&agent, MAIN), spent(&agent, "spool"));
    agent.server.hang_up();
    agent.wait_until_logged("read the configuration again");
    let main = spent(&agent, MAIN).saturating_sub(before.0);
    let other = spent(&agent, "spool").saturating_sub(before.1);
    println!("main thread {main:?}, the other {other:?}");
    assert!(
        main < other / 2,
        "main thread {main:?}, the other {other:?}"
    );
}
