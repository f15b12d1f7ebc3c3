//! The settings that decide who may connect, log in, send and relay.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::mail::Domain;

use super::lists::{AccessName, HostPattern, MailPattern, RelayPattern};
use super::settings::Network;

/// `[server_access]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAccess {
    /// `enforce`.
    pub enforce: bool,
    /// `allow`; empty = everyone.
    pub allow: Vec<AccessName>,
    /// `deny`; wins.
    pub deny: Vec<AccessName>,
}

/// One `[site:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// NAME.
    pub name: String,
    /// `addresses`; empty = every address that no other site lists.
    pub addresses: Vec<IpAddr>,
    /// `tcp_name_and_password`.
    pub tcp_name_and_password: bool,
    /// `tcp_anonymous`.
    pub tcp_anonymous: bool,
    /// `tls_name_and_password`.
    pub tls_name_and_password: bool,
    /// `tls_anonymous`.
    pub tls_anonymous: bool,
    /// `certificate`; none = that of `[tls]`.
    pub certificate: Option<PathBuf>,
    /// `private_key`; none = that of `[tls]`.
    pub private_key: Option<PathBuf>,
}

impl Site {
    /// The section's name.
    pub fn section(&self) -> String {
        format!("site:{}", self.name)
    }
}

/// `[relay] enforce_for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforceFor {
    /// Hosts outside `internal`.
    External,
    /// Every host.
    All,
    /// No host.
    None,
}

/// `[relay]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// `allow_domains`.
    pub allow_domains: Vec<RelayPattern>,
    /// `deny_domains`.
    pub deny_domains: Vec<RelayPattern>,
    /// `allow_hosts`.
    pub allow_hosts: Vec<HostPattern>,
    /// `deny_hosts`.
    pub deny_hosts: Vec<HostPattern>,
    /// `enforce_for`.
    pub enforce_for: EnforceFor,
    /// `internal`.
    pub internal: Vec<Network>,
    /// `exclude_hosts`.
    pub exclude_hosts: Vec<HostPattern>,
    /// `authenticated_users = exempt`.
    pub authenticated_users_exempt: bool,
}

/// What is done with a listed host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A log line.
    Log,
    /// A log line, and a header field in each message.
    Tag,
    /// A log line, and the connection is refused.
    Reject,
}

/// `[dnsbl]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnsbl {
    /// `zones`, in the order they are asked.
    pub zones: Vec<Domain>,
    /// `action`.
    pub action: Action,
    /// `reply`.
    pub reply: String,
}

/// `[blacklist]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blacklist {
    /// `hosts`.
    pub hosts: Vec<HostPattern>,
    /// `action`.
    pub action: Action,
    /// `reply`.
    pub reply: String,
}

/// `[senders]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders {
    /// `verify_domain`.
    pub verify_domain: bool,
    /// `allow`; empty = all.
    pub allow: Vec<MailPattern>,
    /// `deny`; wins.
    pub deny: Vec<MailPattern>,
    /// `must_match_login`.
    pub must_match_login: bool,
}

/// `[messages]`; the texts behind the codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// `greeting`, still with its placeholders.
    pub greeting: String,
    /// `site_not_enabled`.
    pub site_not_enabled: String,
    /// `relay_denied`.
    pub relay_denied: String,
    /// `authentication_required`.
    pub authentication_required: String,
    /// `access_denied`.
    pub access_denied: String,
    /// `too_many_errors`.
    pub too_many_errors: String,
}

/// Where each written key stands, to name the line that decided something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<(String, &'static str), usize>);

impl Lines {
    pub(super) fn new(written: impl Iterator<Item = (String, &'static str, usize)>) -> Self {
        let entries = written.map(|(section, key, line)| ((section, key), line));
        Self(entries.collect())
    }

    /// Whether a key is written.
    pub fn has(&self, section: &str, key: &'static str) -> bool {
        self.0.contains_key(&(section.to_owned(), key))
    }

    /// `FILE:LINE [SECTION] KEY`, or `[SECTION] KEY (default)` where it is not written.
    pub fn place(&self, file: &Path, section: &str, key: &'static str) -> String {
        match self.0.get(&(section.to_owned(), key)) {
            Some(line) => format!("{}:{line} [{section}] {key}", file.display()),
            None => format!("[{section}] {key} (default)"),
        }
    }
}
