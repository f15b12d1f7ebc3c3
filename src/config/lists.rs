//! Entries of lists that name hosts, addresses, domains and users.
//!
//! Promises: a name matches on label boundaries (`example.org` matches `mx.example.org`, never
//! `badexample.org`) and without regard to case; what is written is either understood or refused.
//! Refuses to know: where a list stands and what a match leads to.

use std::fmt;
use std::net::IpAddr;

use crate::mail::{Domain, Mailbox};

use super::meant;
use super::settings::Network;
use super::values;

/// A connecting host: by network, or by a name that its address confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Addresses of this network.
    Network(Network),
    /// Hosts with this name, or one below it.
    Name(Domain),
}

/// An address of mail, or the addresses of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailPattern {
    /// This address, in upper or lower case.
    Address(Mailbox),
    /// `@domain`: addresses of this domain, not of those below it.
    Exact(Domain),
    /// Addresses of this domain and those below it.
    Domain(Domain),
}

/// The domain of an outside recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayPattern {
    /// `*`: every domain.
    Any,
    /// `@domain`: this domain, not those below it.
    Exact(Domain),
    /// This domain and those below it.
    Domain(Domain),
}

/// Who may use the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessName {
    /// `*`: every user.
    Everyone,
    /// `@group`: the users an alias leads to.
    Group(String),
    /// A user, as `name` or `name@domain`.
    User {
        /// The name in lower case.
        name: String,
        /// The domain, where one is written.
        domain: Option<Domain>,
    },
}

impl HostPattern {
    /// Whether a host of this address and these confirmed names is meant.
    pub fn matches(&self, address: IpAddr, names: &[Domain]) -> bool {
        match self {
            Self::Network(network) => network.contains(address),
            Self::Name(pattern) => names.iter().any(|name| is_within(name, pattern)),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(network) = values::parse_network(text) {
            return network.map(Self::Network);
        }
        // `192.0.2` or `192.0.2.0/33` is a slip in a network, not a name.
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_name = !text.contains([':', '/']) && !last.bytes().all(|o| o.is_ascii_digit());
        match Domain::parse(text) {
            Ok(name) if is_name && !name.is_literal() => Ok(Self::Name(name)),
            _ => {
                let meant = meant::network(text);
                let meant = meant.or_else(|| meant::domain(text).map(str::to_owned));
                Err(format!(
                    "{text:?} is not a network, such as 192.0.2.0/24 or 2001:db8::/32, or a host name{}",
                    meant::write(meant)
                ))
            }
        }
    }
}

impl MailPattern {
    /// Whether this address is meant.
    pub fn matches(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Address(address) => {
                address.domain() == mailbox.domain()
                    && address.local_part().to_lowercase() == mailbox.local_part().to_lowercase()
            }
            Self::Exact(domain) => domain == mailbox.domain(),
            Self::Domain(domain) => is_within(mailbox.domain(), domain),
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// It is none, in plain words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let meant = meant::write(meant::domain(text));
            format!("{text:?} is not an address, a domain or @domain{meant}")
        };
        if let Some(domain) = text.strip_prefix('@') {
            return any_domain(domain).map(Self::Exact).ok_or_else(wrong);
        }
        if text.contains('@') {
            return Mailbox::parse(text).map(Self::Address).map_err(|_| wrong());
        }
        any_domain(text).map(Self::Domain).ok_or_else(wrong)
    }
}

impl RelayPattern {
    /// Whether this domain is meant.
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == domain,
            Self::Domain(pattern) => is_within(domain, pattern),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let meant = meant::write(meant::domain(text));
            format!("{text:?} is not a domain, @domain or *{meant}")
        };
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix('@') {
            Some(domain) => any_domain(domain).map(Self::Exact),
            None => any_domain(text).map(Self::Domain),
        }
        .ok_or_else(wrong)
    }
}

impl AccessName {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |reason| format!("{text:?} is not a user, @group or *: {reason}");
        if text == "*" {
            return Ok(Self::Everyone);
        }
        if let Some(group) = text.strip_prefix('@') {
            let group = values::user_name(group).map_err(wrong)?;
            return Ok(Self::Group(group));
        }
        let (name, domain) = match text.rsplit_once('@') {
            Some((name, domain)) => {
                let domain = any_domain(domain).ok_or_else(|| wrong("its domain is none"))?;
                (name, Some(domain))
            }
            None => (text, None),
        };
        let name = values::user_name(name).map_err(wrong)?;
        Ok(Self::User { name, domain })
    }
}

/// A domain or an address-literal; not a bare address, which would never match one.
fn any_domain(text: &str) -> Option<Domain> {
    let domain = Domain::parse(text).ok()?;
    text.parse::<IpAddr>().is_err().then_some(domain)
}

/// Whether `domain` is `pattern` or lies below it.
pub fn is_within(domain: &Domain, pattern: &Domain) -> bool {
    if domain == pattern {
        return true;
    }
    let (domain, pattern) = (domain.as_str().as_bytes(), pattern.as_str().as_bytes());
    let Some(cut) = domain.len().checked_sub(pattern.len()) else {
        return false;
    };
    let (head, tail) = domain.split_at(cut);
    head.ends_with(b".") && tail.eq_ignore_ascii_case(pattern)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for MailPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Exact(domain) => write!(f, "@{domain}"),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

impl fmt::Display for RelayPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(domain) => write!(f, "@{domain}"),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

impl fmt::Display for AccessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("*"),
            Self::Group(group) => write!(f, "@{group}"),
            Self::User { name, domain: None } => f.write_str(name),
            Self::User {
                name,
                domain: Some(domain),
            } => write!(f, "{name}@{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn names_match_on_label_boundaries() {
        for (name, pattern, want) in [
            ("example.org", "example.org", true),
            ("MX.Example.ORG", "example.org", true),
            ("badexample.org", "example.org", false),
            ("org", "example.org", false),
            ("example.org", "mx.example.org", false),
            ("a.b.example.org", "b.example.org", true),
            ("[192.0.2.1]", "[192.0.2.1]", true),
        ] {
            assert_eq!(
                is_within(&domain(name), &domain(pattern)),
                want,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn hosts_are_networks_or_names_and_nothing_between() {
        for (text, good) in [
            ("192.0.2.0/24", true),
            ("192.0.2.1", true),
            ("2001:db8::/32", true),
            ("::1", true),
            ("mx.example.org", true),
            ("localhost", true),
            ("xn--e1afmkfd.example", true),
            ("192.0.2", false),
            ("192.0.2.1/24", false),
            ("192.0.2.0/33", false),
            ("2001:db8::/129", false),
            ("[192.0.2.1]", false),
            ("*.example.org", false),
            (".example.org", false),
            ("*", false),
        ] {
            let parsed = HostPattern::parse(text);
            assert_eq!(parsed.is_ok(), good, "{text}: {parsed:?}");
        }
        let name = HostPattern::parse("example.org").unwrap();
        let address = "192.0.2.1".parse().unwrap();
        assert!(name.matches(address, &[domain("mx.example.org")]));
        assert!(!name.matches(address, &[domain("mx.example.net")]));
        assert!(!name.matches(address, &[]));
        let network = HostPattern::parse("::ffff:192.0.2.0/120").unwrap();
        assert!(network.matches(address, &[]));
    }

    #[test]
    fn mail_patterns_are_addresses_domains_and_exact_domains() {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        for (pattern, address, want) in [
            ("joe@example.org", "JOE@Example.Org", true),
            ("joe@example.org", "joe@mx.example.org", false),
            ("ÉVA@example.org", "éva@example.org", true),
            ("example.org", "joe@mx.example.org", true),
            ("example.org", "joe@badexample.org", false),
            ("@example.org", "joe@example.org", true),
            ("@example.org", "joe@mx.example.org", false),
            ("[192.0.2.1]", "joe@[192.0.2.1]", true),
            ("org", "joe@example.org", true),
        ] {
            let parsed = MailPattern::parse(pattern).unwrap();
            assert_eq!(
                parsed.matches(&mailbox(address)),
                want,
                "{pattern} {address}"
            );
            assert_eq!(MailPattern::parse(&parsed.to_string()), Ok(parsed));
        }
        for text in [
            "*",
            "joe@",
            "@",
            "a b@example.org",
            "192.0.2.1",
            "joe@@example.org",
        ] {
            assert!(MailPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn relay_patterns_and_access_names_are_read_and_printed() {
        for text in ["*", "@example.org", "example.org"] {
            assert_eq!(RelayPattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["joe@example.org", "*.example.org", "", "10.0.0.1", "**"] {
            assert!(RelayPattern::parse(text).is_err(), "{text}");
        }
        for (text, want) in [
            ("*", "*"),
            ("Alice", "alice"),
            ("@Staff", "@staff"),
            ("Alice@Here.example", "alice@Here.example"),
        ] {
            assert_eq!(AccessName::parse(text).unwrap().to_string(), want);
        }
        for text in ["@", "a/b", "alice@", "@a b", ".a"] {
            assert!(AccessName::parse(text).is_err(), "{text}");
        }
    }
}
