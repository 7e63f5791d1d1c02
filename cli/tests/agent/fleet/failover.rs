//! Sentinel names another master while agents share.

use staplegun_testkit::program::Program;
use staplegun_testkit::{Directory, Response};

use super::redis::{Redis, client, response_of, server};
use super::{Scene, wait_until_connected, with_fleet};
use crate::support::PATIENT;

#[test]
#[ignore = "long: make check-fleet"]
fn when_sentinel_names_another_master_they_go_on_sharing_there() {
    let scene = Scene::new(2);
    let (first, second) = (&scene.leaves[0], &scene.leaves[1]);
    scene.answer(first, Response::good(first, &scene.ca).der());
    let mut master = Redis::start(&[]);
    let port = master.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let directory = Directory::new();
    let sentinel = Program::start_on_free_port(|sentinel| {
        let file = directory.write(
            "sentinel.conf",
            format!(
                "port {sentinel}\nbind 127.0.0.1\ndir {}\nsentinel monitor mine 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds mine 500\nsentinel failover-timeout mine 3000\n",
                directory.path().display()
            ),
        );
        Program::new(server()).arg(file).arg("--sentinel")
    });
    replica.wait_until("the replica follows", &["INFO", "replication"], |info| {
        info.contains("master_link_status:up")
    });
    let url = format!(
        "url = 'redis+sentinel://127.0.0.1:1,127.0.0.1:{}/mine'",
        sentinel.port()
    );
    let settings = with_fleet(PATIENT, &url);
    let machines = [scene.machine(), scene.machine()];
    let agents = machines.each_ref().map(|machine| machine.start(&settings));
    agents.iter().for_each(wait_until_connected);
    agents
        .iter()
        .for_each(|agent| agent.wait_until_served(first, &scene.answer_of(first)));
    replica.wait_until("it is replicated", &["EXISTS", &response_of(first)], |it| {
        it == "1"
    });
    // The sentinel has to know of the replica before it may need it.
    let ask = |words: &[&str]| {
        let port = sentinel.port().to_string();
        let output = Program::new(client()).args(["-p", &port]).args(words).run();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    staplegun_testkit::wait::until("the sentinel knows the replica", || {
        ask(&["SENTINEL", "REPLICAS", "mine"])
            .contains("slave")
            .then_some(())
    });
    master.kill();
    let new = replica.port().to_string();
    staplegun_testkit::wait::until("it names the other", || {
        ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine"])
            .contains(&new)
            .then_some(())
    });
    agents.iter().for_each(|agent| {
        agent.wait_until_logged("the fleet's store cannot be used");
        wait_until_connected(agent);
    });
    // One brings what is new: the other has it by the new master.
    let newer = Response::good(second, &scene.ca).this_update(-9).der();
    let file = machines[0].file("staples", second, "der");
    std::fs::write(file, &newer).expect("it can be written");
    agents
        .iter()
        .for_each(|agent| agent.wait_until_served(second, &newer));
    replica.wait_until("it lies there", &["EXISTS", &response_of(second)], |it| {
        it == "1"
    });
}
