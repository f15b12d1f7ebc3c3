//! What was probably meant by an entry that is refused, or that can match nothing.
//!
//! Promises: a suggestion is itself an entry that the same list takes. Refuses to know: users and aliases; the
//! rules over settings do (`check/entries`).

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mail::{Domain, Mailbox};

use super::keys::Kind;
use super::lists::HostPattern;
use super::values;

/// The end of a reason that says what to write; nothing where that is not known.
pub(super) fn write(meant: Option<impl Display>) -> String {
    meant.map_or_else(String::new, |meant| format!("; write {meant}"))
}

/// The network or address that a shortened, starred, masked or bracketed one means.
pub(super) fn network(text: &str) -> Option<String> {
    if text == "*" {
        return Some("0.0.0.0/0, ::/0".to_owned());
    }
    if let Some(address) = bracketed(text) {
        return Some(address.to_string());
    }
    if let Some((address, mask)) = text.split_once('/') {
        return masked(address, mask);
    }
    let labels: Vec<&str> = text.split('.').collect();
    let is_star = |label: &&str| ["*", "x", "X", ""].contains(label);
    let known = labels.iter().take_while(|label| !is_star(label)).count();
    let rest = labels.get(known..)?;
    if !(1..=3).contains(&known) || labels.len() > 4 || !rest.iter().all(is_star) {
        return None;
    }
    let mut octets = [0; 4];
    for (octet, label) in octets.iter_mut().zip(labels.iter().take(known)) {
        *octet = label.parse().ok()?;
    }
    Some(format!("{}/{}", Ipv4Addr::from(octets), known * 8))
}

/// `10.0.0.0/255.255.255.0`.
fn masked(address: &str, mask: &str) -> Option<String> {
    let address: Ipv4Addr = address.parse().ok()?;
    let mask = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    let prefix = mask.leading_ones();
    let network = Ipv4Addr::from_bits(address.to_bits() & mask);
    (prefix == mask.count_ones()).then(|| format!("{network}/{prefix}"))
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`, `[2001:db8::1]`.
pub(super) fn bracketed(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let literal = Domain::parse(text).ok();
    let literal = literal.and_then(|literal| literal.literal_address());
    literal.or_else(|| inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

/// The domain of `*.example.org` and `.example.org`, which holds those below it.
pub(super) fn domain(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('*').unwrap_or(text).strip_prefix('.')?;
    let domain = Domain::parse(rest).ok()?;
    (!domain.is_literal()).then_some(rest)
}

/// The address of one in brackets; the host and the port of `mx.example.org:587`.
pub(super) fn host(text: &str) -> Option<String> {
    if let Some(address) = bracketed(text) {
        return Some(address.to_string());
    }
    let parsed = values::HostPort::parse(text).ok()?;
    let port = parsed.port?;
    Some(format!("host = {}, and port = {port}", parsed.host))
}

/// Words that say yes or no elsewhere.
pub(super) fn yes_no(text: &str) -> Option<&'static str> {
    one_of(text, "yes", "no")
}

/// `enabled` or `disabled`, where a key knows both.
pub(super) fn enabled(text: &str, words: &[&str]) -> Option<&'static str> {
    let meant = one_of(text, "enabled", "disabled")?;
    words.contains(&meant).then_some(meant)
}

fn one_of(text: &str, on: &'static str, off: &'static str) -> Option<&'static str> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if is(&["enabled", "enable", "true", "on", "1", "yes", "y"]) => Some(on),
        () if is(&["disabled", "disable", "false", "off", "0", "no", "n"]) => Some(off),
        () => None,
    }
}

/// Why an entry of a list, which the list takes, can match nothing, with what to write.
pub(super) fn matches_nothing(kind: &Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Mails => {
            let address = Mailbox::parse(text).ok()?;
            let stars = address.local_part().contains('*');
            stars.then(|| {
                let domain = address.domain();
                format!("{text:?} matches nobody: a * stands for nothing here; write @{domain}")
            })
        }
        // No host's name ends in a number or, behind numbers, in a lone letter.
        Kind::Hosts => {
            if !matches!(HostPattern::parse(text), Ok(HostPattern::Name(_))) {
                return None;
            }
            let last = text.rsplit('.').next().unwrap_or_default();
            let has_letter = last.bytes().any(|octet| octet.is_ascii_alphabetic());
            let meant = network(text);
            if meant.is_none() && (has_letter || !last.is_ascii()) {
                return None;
            }
            let meant = meant.unwrap_or_else(|| "networks such as 192.0.2.0/24".to_owned());
            Some(format!("{text:?} matches no host; write {meant}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_are_meant_are_told() {
        for (text, want) in [
            ("10.*", Some("10.0.0.0/8")),
            ("10.*.*.*", Some("10.0.0.0/8")),
            ("10.0.0.*", Some("10.0.0.0/24")),
            ("192.168.1.x", Some("192.168.1.0/24")),
            ("192.0.2", Some("192.0.2.0/24")),
            ("192.168.", Some("192.168.0.0/16")),
            ("10.0.0.7/255.255.255.0", Some("10.0.0.0/24")),
            ("10.0.0.0/255.0.255.0", None),
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("[IPv6:2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("*", Some("0.0.0.0/0, ::/0")),
            ("10.*.0.1", None),
            ("10.0.0.0.*", None),
            ("300.*", None),
            ("*.example.org", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(network(text).as_deref(), want, "{text}");
            for entry in network(text).iter().flat_map(|text| text.split(", ")) {
                assert!(values::parse_network(entry).unwrap().is_ok(), "{entry}");
            }
        }
    }

    #[test]
    fn words_and_hosts_that_are_meant_are_told() {
        for (text, want) in [
            ("Enabled", Some("yes")),
            ("on", Some("yes")),
            ("off", Some("no")),
            ("disabled", Some("no")),
            ("maybe", None),
        ] {
            assert_eq!(yes_no(text), want, "{text}");
        }
        let words = &["disabled", "enabled", "required"];
        assert_eq!(enabled("yes", words), Some("enabled"));
        assert_eq!(enabled("No", words), Some("disabled"));
        assert_eq!(enabled("yes", &["external", "all"]), None);
        for (text, want) in [
            (
                "mx.example.org:587",
                Some("host = mx.example.org, and port = 587"),
            ),
            (
                "[2001:db8::1]:25",
                Some("host = 2001:db8::1, and port = 25"),
            ),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("mx.example.org", None),
            ("mx.example.org:smtp", None),
        ] {
            assert_eq!(host(text).as_deref(), want, "{text}");
        }
        for (text, want) in [
            ("*.example.org", Some("example.org")),
            (".example.org", Some("example.org")),
            ("*", None),
            ("*.", None),
            ("example.org", None),
        ] {
            assert_eq!(domain(text), want, "{text}");
        }
    }

    #[test]
    fn entries_that_match_nothing_are_told_from_those_that_do() {
        for (kind, text, want) in [
            (Kind::Mails, "*@spam.example", Some("; write @spam.example")),
            (
                Kind::Mails,
                "joe*@spam.example",
                Some("; write @spam.example"),
            ),
            (Kind::Mails, "joe@spam.example", None),
            (Kind::Mails, "lan", None),
            (Kind::Mails, "[192.0.2.1]", None),
            (Kind::Hosts, "192.168.1.x", Some("; write 192.168.1.0/24")),
            (
                Kind::Hosts,
                "10.0.0.1-20",
                Some("; write networks such as 192.0.2.0/24"),
            ),
            (Kind::Hosts, "localhost", None),
            (Kind::Hosts, "lan", None),
            (Kind::Hosts, "x", None),
            (Kind::Hosts, "mx1.example.org", None),
            (Kind::Hosts, "xn--e1afmkfd.xn--p1ai", None),
            (Kind::Hosts, "192.0.2.1", None),
            (Kind::Hosts, "2001:db8::/32", None),
        ] {
            let why = matches_nothing(&kind, text);
            let end = want.map(|want| why.as_ref().is_some_and(|why| why.ends_with(want)));
            assert_eq!(end, want.map(|_| true), "{text}: {why:?}");
            assert_eq!(why.is_some(), want.is_some(), "{text}: {why:?}");
        }
    }
}
