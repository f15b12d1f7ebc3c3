//! Networks, and who counts as one client.
//!
//! | address of the client | counts as |
//! | --- | --- |
//! | IPv4, also written as an IPv6 one | itself |
//! | IPv6 | its /64: a household has one, and each of its machines changes address at will |
//! | IPv6, link-local or in `[relay] internal` | itself: the devices of a LAN are not one client |
//!
//! Promises: [`ClientKey::of`] is the only place where this is decided; every limit counts by what it gives.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR form, or one address. IPv4-mapped IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address, host bits zero.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Network {
    /// Whether `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |a: IpAddr| match a {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, false),
            IpAddr::V6(v6) => (v6.to_bits(), true),
        };
        let (own, own_is_six) = bits(self.address.to_canonical());
        let (other, other_is_six) = bits(address.to_canonical());
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.prefix))
            .unwrap_or(0);
        own_is_six == other_is_six && own & mask == other & mask
    }
}

/// What counts as one client, for every limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(Network);

impl ClientKey {
    /// Stands for many clients, or for none.
    pub const NOBODY: Self = Self(Network {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: 32,
    });

    /// What the client at `address` counts as, where the hosts in `internal` count singly.
    pub fn of(address: IpAddr, internal: &[Network]) -> Self {
        let address = address.to_canonical();
        let whole = |prefix| Self(Network { address, prefix });
        match address {
            IpAddr::V4(_) => whole(32),
            IpAddr::V6(six) if six.is_unicast_link_local() => whole(128),
            IpAddr::V6(_) if internal.iter().any(|network| network.contains(address)) => whole(128),
            IpAddr::V6(six) => Self(Network {
                address: Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
                prefix: 64,
            }),
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix {
            64 => self.0.fmt(f),
            _ => self.0.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').unwrap();
        Network {
            address: address.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_an_ipv6_network() {
        let internal = [network("fd00:1::/48"), network("2001:db8:5::7/128")];
        let rows = [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
            (
                "2001:db8:1:2::1",
                "2001:db8:1:2:ffff:ffff:ffff:ffff",
                "2001:db8:1:2::/64",
            ),
            ("fd00:2::1", "fd00:2::2", "fd00:2::/64"),
        ];
        for (one, other, words) in rows {
            let key = |address: &str| ClientKey::of(address.parse().unwrap(), &internal);
            assert_eq!(key(one), key(other), "{one} {other}");
            assert_eq!(key(one).to_string(), words);
        }
        let apart = [
            ("192.0.2.1", "192.0.2.0"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            ("fe80::1", "fe80::2"),
            ("fd00:1::1", "fd00:1::2"),
            ("2001:db8:5::7", "2001:db8:5::8"),
        ];
        for (one, other) in apart {
            let key = |address: &str| ClientKey::of(address.parse().unwrap(), &internal);
            assert_ne!(key(one), key(other), "{one} {other}");
        }
        let single = ClientKey::of("fe80::1".parse().unwrap(), &[]);
        assert_eq!(single.to_string(), "fe80::1");
    }
}
