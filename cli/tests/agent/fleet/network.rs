//! Networks of agents' own, as containers and machines have them: each is joined to this machine
//! by a cable that can be pulled. It takes root.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace, and the link to it.
pub struct Network {
    name: String,
    /// This machine's address on it,
    pub here: Ipv4Addr,
    /// and the one of what is in it.
    pub there: Ipv4Addr,
}

impl Network {
    /// One more of this process.
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < 64, "there are no more addresses");
        let pid = std::process::id();
        // Others that run at the same time have other numbers.
        let (x, y) = (u8::try_from(pid % 256).expect("a byte"), number * 4);
        let network = Self {
            name: format!("sg{pid}-{number}"),
            here: Ipv4Addr::new(10, 77, x, y + 1),
            there: Ipv4Addr::new(10, 77, x, y + 2),
        };
        let (name, here) = (&network.name, &network.here.to_string());
        let there = format!("{}/30", network.there);
        run(&["ip", "netns", "add", name]);
        run(&[
            "ip", "link", "add", name, "type", "veth", "peer", "name", "out", "netns", name,
        ]);
        run(&["ip", "addr", "add", &format!("{here}/30"), "dev", name]);
        run(&["ip", "link", "set", name, "up"]);
        let inside = |words: &[&str]| run(&[&["ip", "-n", name], words].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["addr", "add", &there, "dev", "out"]);
        inside(&["link", "set", "out", "up"]);
        // Every address of this machine.
        inside(&["route", "add", "default", "via", here]);
        network
    }

    /// The words that let a program run in it.
    pub fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Does something in it.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/run/netns/{}", self.name)).expect("it is there");
        // A thread that ends: no other is where it is.
        let enter_and_act = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("the tests are root's");
            act()
        };
        std::thread::scope(|scope| {
            let acting = scope.spawn(enter_and_act);
            acting
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Packets go nowhere from now on, and nothing says so.
    pub fn cut(&self) {
        run(&["ip", "link", "set", &self.name, "down"]);
    }

    /// They go their way again.
    pub fn join(&self) {
        run(&["ip", "link", "set", &self.name, "up"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with it.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn run(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.expect("it runs").success(), "{words:?}");
}
