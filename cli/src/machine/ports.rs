//! Which process listens on which TCP port of this machine, and by which address it is
//! reached from here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use procfs::net::TcpState;
use procfs::process::FDTarget;

/// A TCP port that is listened on in this network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// By which address it is reached from here: the loopback for one of all addresses.
    pub address: SocketAddr,
    /// The processes that have its socket, as far as this user may see, by number.
    pub pids: BTreeSet<u32>,
}

/// The ports that are listened on, by number, each once for every address that may show
/// something else.
///
/// # Errors
///
/// If the kernel's tables cannot be read.
pub fn listening() -> Result<Vec<Port>> {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    let mut sockets = HashMap::new();
    for (number, table) in tables.into_iter().enumerate() {
        let entries = match table {
            Ok(entries) => entries,
            // A kernel without IPv6.
            Err(procfs::ProcError::NotFound(_)) if number == 1 => continue,
            Err(error) => return Err(error).context("cannot list the ports"),
        };
        let listening = entries
            .into_iter()
            .filter(|entry| entry.state == TcpState::Listen);
        sockets.extend(listening.map(|entry| (entry.inode, entry.local_address)));
    }
    let mut holders: HashMap<u64, BTreeSet<u32>> = HashMap::new();
    let processes = procfs::process::all_processes().context("cannot list the processes")?;
    for process in processes.filter_map(Result::ok) {
        // Not to be looked into, or it has ended.
        let Ok(descriptors) = process.fd() else {
            continue;
        };
        for descriptor in descriptors.filter_map(Result::ok) {
            if let FDTarget::Socket(inode) = descriptor.target
                && sockets.contains_key(&inode)
            {
                let pid = process.pid().cast_unsigned();
                holders.entry(inode).or_default().insert(pid);
            }
        }
    }
    let sockets = sockets
        .into_iter()
        .map(|(inode, address)| (address, holders.remove(&inode).unwrap_or_default()));
    Ok(reachable(sockets))
}

/// One for each address to connect to, by port: what listens on all addresses, or on both
/// loopbacks, is one.
fn reachable(sockets: impl Iterator<Item = (SocketAddr, BTreeSet<u32>)>) -> Vec<Port> {
    let mut found: BTreeMap<(u16, IpAddr), BTreeSet<u32>> = BTreeMap::new();
    for (address, pids) in sockets {
        let key = (address.port(), from_here(address.ip()));
        found.entry(key).or_default().extend(pids);
    }
    let four = IpAddr::from(Ipv4Addr::LOCALHOST);
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    let doubles: Vec<(u16, IpAddr)> = found
        .iter()
        .filter(|((port, ip), pids)| *ip == six && found.get(&(*port, four)) == Some(*pids))
        .map(|(key, _)| *key)
        .collect();
    found.retain(|key, _| !doubles.contains(key));
    let ports = found.into_iter().map(|((port, ip), pids)| Port {
        address: SocketAddr::new(ip, port),
        pids,
    });
    ports.collect()
}

/// The address to connect to for one that is listened on.
fn from_here(listened_on: IpAddr) -> IpAddr {
    match listened_on.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn all_addresses_and_both_loopbacks_are_one_and_others_are_others() {
        let sockets = [
            ("0.0.0.0:443", 1),
            ("[::]:443", 1),
            ("192.0.2.1:443", 1),
            ("127.0.0.1:6379", 2),
            ("[::1]:6379", 2),
            ("127.0.0.1:80", 3),
            ("[::1]:80", 4),
            ("[::ffff:127.0.0.1]:8080", 5),
        ];
        let sockets = sockets
            .map(|(address, pid)| (address.parse().expect("an address"), BTreeSet::from([pid])));
        let ports = reachable(sockets.into_iter());
        let shown: Vec<String> = ports.iter().map(|port| port.address.to_string()).collect();
        assert_eq!(
            shown,
            [
                "127.0.0.1:80",
                "[::1]:80",
                "127.0.0.1:443",
                "192.0.2.1:443",
                "127.0.0.1:6379",
                "127.0.0.1:8080"
            ]
        );
    }

    #[test]
    fn a_port_of_ours_is_seen_with_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let ports = listening().expect("there is a /proc");
        let ours = ports.iter().find(|port| port.address == address);
        let ours = ours.expect("it is listened on");
        assert!(ours.pids.contains(&std::process::id()), "{ours:?}");
    }
}
