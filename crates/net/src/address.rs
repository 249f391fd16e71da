//! Which addresses may be connected to (OC-29).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Public addresses, and what the operator lists.
#[derive(Clone, Debug, Default)]
pub struct EgressRules {
    /// Private, loopback or other special networks that may be reached all the same.
    pub allow_private: Vec<IpNet>,
}

impl EgressRules {
    /// For a client that can reach one service only, which the operator named.
    pub(crate) fn anywhere() -> Self {
        let nets = [IpNet::V4(v4([0; 4], 0)), IpNet::V6(v6([0; 8], 0))];
        Self { allow_private: nets.into() }
    }

    /// Whether a connection may go to this very address. Names are nothing to go by: ask after
    /// resolving, and connect to what was asked about.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = destination(address);
        self.allow_private.iter().any(|net| net.contains(&address)) || is_public(address)
    }
}

/// Where the packets end up: an IPv4 address may come dressed as IPv6.
fn destination(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// IPv4-mapped addresses (RFC 4291 section 2.5.5.2) and NAT64's well-known prefix (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    address.to_ipv4_mapped().or_else(|| {
        NAT64.contains(&address).then(|| {
            let [.., a, b, c, d] = address.octets();
            Ipv4Addr::new(a, b, c, d)
        })
    })
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => {
            GLOBAL_UNICAST.contains(&v6) && !SPECIAL_V6.iter().any(|net| net.contains(&v6))
        }
    }
}

/// IANA's IPv4 Special-Purpose Address Registry (RFC 6890), without what it calls globally
/// reachable, and multicast.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),       // this network
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // carrier-grade NAT
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local, and clouds' metadata services
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 88, 99, 0], 24),  // 6to4 relays
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarks
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, and broadcast
];

/// All that IANA gives to hosts. Outside are loopback, unique-local, link-local, multicast,
/// IPv4-compatible and what nobody has defined yet.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), length)
}

const fn v6(segments: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str]) -> EgressRules {
        EgressRules { allow_private: allowed.iter().map(|net| net.parse().unwrap()).collect() }
    }

    fn permitted(rules: &EgressRules, address: &str) -> bool {
        rules.permits(address.parse().unwrap())
    }

    #[test]
    fn special_addresses_are_refused_in_every_dress() {
        let refused = [
            "0.0.0.0",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        let rules = EgressRules::default();
        for address in refused {
            assert!(!permitted(&rules, address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_reached_up_to_the_edges() {
        let reached = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
        ];
        let rules = EgressRules::default();
        for address in reached {
            assert!(permitted(&rules, address), "{address}");
        }
    }

    #[test]
    fn the_operator_opens_exactly_what_they_list() {
        let rules = rules(&["10.1.0.0/16", "::1/128"]);
        for address in ["10.1.0.1", "10.1.255.255", "::ffff:10.1.2.3", "::1"] {
            assert!(permitted(&rules, address), "{address}");
        }
        for address in ["10.0.255.255", "10.2.0.0", "127.0.0.1", "::2"] {
            assert!(!permitted(&rules, address), "{address}");
        }
    }
}
