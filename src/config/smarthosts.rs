//! The servers that mail for elsewhere is handed to, and which of them a message goes to.
//!
//! | the reverse-path | goes to |
//! | --- | --- |
//! | its domain is named in a `[smarthost:NAME]` | that one; `@domain` wins, then the longest entry |
//! | any other domain, and the null reverse-path | `[smarthost]`; without it, nowhere |
//!
//! Refuses to know: the relay rules, whether a server can be reached.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::lists::RelayPattern;
use super::settings::{Mechanism, Settings};
pub use super::values::HostPort;
use crate::mail::{Domain, Mailbox, ReversePath};

/// `[smarthost]`, or a `[smarthost:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smarthost {
    /// The section's NAME; none: `[smarthost]`.
    pub name: Option<String>,
    /// `sender_domains`; none of `[smarthost]`.
    pub sender_domains: Vec<RelayPattern>,
    /// `host`: a host name or an IP address.
    pub host: String,
    /// `port`.
    pub port: u16,
    /// `fallback`, in the order they are tried.
    pub fallback: Vec<HostPort>,
    /// `tls`.
    pub tls: SmarthostTls,
    /// `username` and `password_file` or `token_file`.
    pub login: Option<SmarthostLogin>,
    /// `plaintext_login`: a login may be made without verified TLS.
    pub plaintext_login: bool,
    /// `convert_8bit`: eight-bit content is encoded for a server without 8BITMIME.
    pub convert_8bit: bool,
    /// `ca_file`, made absolute; none = the system's bundle.
    pub ca_file: Option<PathBuf>,
    /// `envelope_sender`; none: each message's own reverse-path.
    pub envelope_sender: Option<Mailbox>,
}

impl Smarthost {
    /// `[smarthost]` with defaults; no login.
    pub fn new(host: impl Into<String>, port: u16, tls: SmarthostTls) -> Self {
        Self {
            name: None,
            sender_domains: Vec::new(),
            host: host.into(),
            port,
            fallback: Vec::new(),
            tls,
            login: None,
            plaintext_login: false,
            convert_8bit: false,
            ca_file: None,
            envelope_sender: None,
        }
    }

    /// The section, without brackets.
    pub fn section(&self) -> Cow<'static, str> {
        match &self.name {
            None => "smarthost".into(),
            Some(name) => format!("smarthost:{name}").into(),
        }
    }

    /// Whether it is this host with a login as this user.
    pub fn is_login(&self, host: &str, user: &str) -> bool {
        let login = self.login.as_ref();
        self.host == host && login.is_some_and(|login| login.username == user)
    }

    /// Its hosts with their ports, in the order they are tried.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, u16)> {
        let further = self.fallback.iter();
        let further = further.map(|one| (one.host.as_str(), one.port.unwrap_or(self.port)));
        std::iter::once((self.host.as_str(), self.port)).chain(further)
    }

    /// The reverse-path it is told.
    pub fn told<'a>(&'a self, reverse_path: &'a ReversePath) -> Cow<'a, ReversePath> {
        match (reverse_path, &self.envelope_sender) {
            (ReversePath::Mailbox(_), Some(address)) => {
                Cow::Owned(ReversePath::Mailbox(address.clone()))
            }
            (ReversePath::Mailbox(_), None) | (ReversePath::Null, _) => Cow::Borrowed(reverse_path),
        }
    }

    /// The entry of `sender_domains` that names a reverse-path's domain best.
    pub fn entry_for(&self, reverse_path: &ReversePath) -> Option<&RelayPattern> {
        match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => {
                let named = self.naming(mailbox.domain());
                named.map(|(entry, _)| entry)
            }
        }
    }

    /// The entry that names a domain best, and how well.
    fn naming(&self, domain: &Domain) -> Option<(&RelayPattern, (bool, usize))> {
        let entries = self.sender_domains.iter();
        let entries = entries.filter(|entry| entry.matches(domain));
        let rated = entries.map(|entry| (entry, rating(entry)));
        rated.max_by_key(|(_, rating)| *rating)
    }
}

/// `@domain` before domains, long ones before short ones.
fn rating(entry: &RelayPattern) -> (bool, usize) {
    match entry {
        RelayPattern::Any => (false, 0),
        RelayPattern::Exact(domain) => (true, domain.as_str().len()),
        RelayPattern::Domain(domain) => (false, domain.as_str().len()),
    }
}

/// The smarthost of a reverse-path among these.
pub fn smarthost_for<'a>(
    smarthosts: &'a [Smarthost],
    reverse_path: &ReversePath,
) -> Option<&'a Smarthost> {
    let named = match reverse_path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => {
            let domain = mailbox.domain();
            let rated = smarthosts
                .iter()
                .filter_map(|one| Some((one, one.naming(domain)?)));
            rated.max_by_key(|(_, (_, rating))| *rating)
        }
    };
    match named {
        Some((smarthost, _)) => Some(smarthost),
        None => smarthosts.iter().find(|one| one.name.is_none()),
    }
}

impl Settings {
    /// The smarthost that mail with this reverse-path goes to; none: it cannot be sent.
    pub fn smarthost_for(&self, reverse_path: &ReversePath) -> Option<&Smarthost> {
        smarthost_for(&self.smarthosts, reverse_path)
    }
}

/// `tls` of a smarthost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmarthostTls {
    /// STARTTLS, and a certificate that is verified.
    Required,
    /// TLS from the first octet, and a certificate that is verified.
    Implicit,
    /// STARTTLS where it works, whatever the certificate.
    Opportunistic,
    /// Plain text.
    None,
}

impl SmarthostTls {
    /// Whether the server has to prove who it is, so that it may hear a password.
    pub fn is_verified(self) -> bool {
        match self {
            Self::Required | Self::Implicit => true,
            Self::Opportunistic | Self::None => false,
        }
    }
}

/// How to log in at a smarthost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmarthostLogin {
    /// `username`.
    pub username: String,
    /// What proves it.
    pub secret: LoginSecret,
    /// `mechanisms`.
    pub mechanisms: Vec<Mechanism>,
}

/// The file that holds what proves a login; made absolute, and read at each login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSecret {
    /// `password_file`.
    Password(PathBuf),
    /// `token_file`: an OAuth 2.0 access token.
    Token(PathBuf),
}

impl LoginSecret {
    /// The file.
    pub fn file(&self) -> &Path {
        match self {
            Self::Password(file) | Self::Token(file) => file,
        }
    }

    /// The key that names it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Password(_) => "password_file",
            Self::Token(_) => "token_file",
        }
    }

    /// What it is, in a word.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::Token(_) => "token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smarthost(name: Option<&str>, domains: &[&str]) -> Smarthost {
        let pattern = |text: &&str| RelayPattern::parse(text).unwrap();
        Smarthost {
            name: name.map(str::to_owned),
            sender_domains: domains.iter().map(pattern).collect(),
            ..Smarthost::new("mx.example", 25, SmarthostTls::None)
        }
    }

    fn path(text: &str) -> ReversePath {
        ReversePath::parse_prefix(text).unwrap().0
    }

    #[test]
    fn the_senders_domain_chooses_and_the_best_entry_wins() {
        let all = [
            smarthost(Some("a"), &["example.org", "[192.0.2.1]"]),
            smarthost(None, &[]),
            smarthost(Some("b"), &["x.example.net", "@mail.example.org"]),
            smarthost(Some("c"), &["mail.example.org", "org"]),
        ];
        for (from, want) in [
            ("<joe@example.org>", Some("a")),
            ("<joe@EXAMPLE.org>", Some("a")),
            ("<joe@badexample.org>", Some("c")),
            ("<joe@www.example.org>", Some("a")),
            ("<joe@mail.example.org>", Some("b")),
            ("<joe@a.mail.example.org>", Some("c")),
            ("<joe@[192.0.2.1]>", Some("a")),
            ("<joe@example.net>", None),
            ("<joe@y.x.example.net>", Some("b")),
            ("<>", None),
        ] {
            let found = smarthost_for(&all, &path(from));
            let found = found.expect("there is one for all else");
            assert_eq!(found.name.as_deref(), want, "{from}");
        }
        let only = &all[..1];
        assert!(smarthost_for(only, &path("<>")).is_none());
        assert!(smarthost_for(only, &path("<joe@example.net>")).is_none());
        assert!(smarthost_for(&[], &path("<joe@example.org>")).is_none());
    }

    #[test]
    fn another_reverse_path_is_told_but_for_the_null_one() {
        let mut one = smarthost(None, &[]);
        let from = path("<joe@example.org>");
        assert_eq!(*one.told(&from), from);
        one.envelope_sender = Mailbox::parse("box@example.com").ok();
        assert_eq!(one.told(&from).to_string(), "box@example.com");
        assert_eq!(*one.told(&ReversePath::Null), ReversePath::Null);
    }

    #[test]
    fn further_hosts_have_the_port_of_the_first_where_they_name_none() {
        let mut one = smarthost(None, &[]);
        one.fallback = vec![
            HostPort {
                host: "b.example".to_owned(),
                port: None,
            },
            HostPort {
                host: "::1".to_owned(),
                port: Some(26),
            },
        ];
        let hosts: Vec<_> = one.hosts().collect();
        assert_eq!(hosts, [("mx.example", 25), ("b.example", 25), ("::1", 26)]);
    }
}
