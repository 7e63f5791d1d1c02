//! Which addresses are anybody's to reach. A responder that anybody can reach must not
//! send the agent to where only it can go: to the machine itself, or into the network
//! behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not global: the registry of RFC 6890, and what is kept for
/// multicast or never was given out.
const NOT_GLOBAL_4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Shared by a provider's customers (RFC 6598).
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// Blocks within 2000::/3 that are not global. Outside of it nothing is, unless it holds
/// an address of IPv4.
const NOT_GLOBAL_6: [(u128, u32); 3] = [
    // Special purposes, Teredo among them (RFC 2928).
    (0x2001 << 112, 23),
    // Documentation (RFC 3849, RFC 9637).
    (0x2001_0db8 << 96, 32),
    (0x3fff << 112, 20),
];

/// Whether an address can be reached by anybody.
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_global_4(address),
            None => is_global_6(address),
        },
    }
}

fn is_global_4(address: Ipv4Addr) -> bool {
    !NOT_GLOBAL_4.iter().any(|(block, bits)| {
        let differ = address.to_bits() ^ Ipv4Addr::from(*block).to_bits();
        differ >> (32 - bits) == 0
    })
}

fn is_global_6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let within = |block: u128, length: u32| (bits ^ block) >> (128 - length) == 0;
    within(0x2000 << 112, 3)
        && !NOT_GLOBAL_6
            .iter()
            .any(|(block, bits)| within(*block, *bits))
}

/// The address of IPv4 that an address of IPv6 stands for: mapped (RFC 4291, 2.5.5), by
/// NAT64 (RFC 6052, 2.1) or by 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        | [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_some_can_reach_is_not_global_however_it_is_written() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a01:203::1",
            "3fff:fff::1",
            "4000::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "2606:4700::1",
            "2a00:1450::1",
        ] {
            assert!(is_global(address.parse().unwrap()), "{address}");
        }
    }
}
