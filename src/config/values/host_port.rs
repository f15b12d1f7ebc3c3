//! A server to connect to: a host, and a port where one is written.
//!
//! Promises: `HOST`, `HOST:PORT`, an IPv4 address with or without a port, an IPv6 address, and
//! `[IPv6]` with or without a port are understood; anything else is refused.

use std::fmt;
use std::net::Ipv6Addr;

use super::{host, number};

/// A host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The port; none: another key says it.
    pub port: Option<u16>,
}

impl HostPort {
    pub(in crate::config) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST, HOST:PORT or [IPv6]:PORT");
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
            let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(parse_port(port).ok_or_else(wrong)?),
                None if port.is_empty() => None,
                None => return Err(wrong()),
            };
            let host = address.to_string();
            return Ok(Self { host, port });
        }
        if host(text).is_ok() {
            let host = text.to_owned();
            return Ok(Self { host, port: None });
        }
        let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = Some(parse_port(port).ok_or_else(wrong)?);
        match host(name) {
            // Without brackets nobody can tell where an IPv6 address ends.
            Ok(host) if !host.contains(':') => Ok(Self { host, port }),
            Ok(_) | Err(_) => Err(wrong()),
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let port = number(text).and_then(|number| u16::try_from(number).ok());
    port.filter(|port| *port != 0)
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_a_port_or_none_and_ipv6_addresses_have_brackets_before_one() {
        for (text, want) in [
            ("mail.example.org", Some(("mail.example.org", None))),
            ("mail.example.org:25", Some(("mail.example.org", Some(25)))),
            ("192.0.2.1", Some(("192.0.2.1", None))),
            ("192.0.2.1:65535", Some(("192.0.2.1", Some(65535)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("2001:db8::1:25", Some(("2001:db8::1:25", None))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:25", Some(("2001:db8::1", Some(25)))),
            ("mail.example.org:", None),
            ("mail.example.org:0", None),
            ("mail.example.org:65536", None),
            ("mail.example.org:smtp", None),
            ("[192.0.2.1]:25", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]25", None),
            ("[2001:db8::1]:", None),
            (":25", None),
            ("a b:25", None),
        ] {
            let got = HostPort::parse(text).ok();
            let got = got.as_ref().map(|one| (one.host.as_str(), one.port));
            assert_eq!(got, want, "{text}");
        }
        let port = HostPort::parse("[2001:db8::1]:25").unwrap();
        assert_eq!(port.to_string(), "[2001:db8::1]:25");
    }
}
