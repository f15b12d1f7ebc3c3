//! The settings of one run as an immutable value, shared by `Arc`.
//!
//! Promises: a `Settings` has passed every check. A session keeps the one it began with.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::mail::Network;
use crate::mail::{ClientKey, Domain};
use crate::sys::stamp::Stamp;

use super::alarm::Alarm;
use super::effective::Effective;
use super::handlers::Handlers;
use super::lists::{HostPattern, MailPattern};
use super::local::Local;
use super::rules::{Blacklist, Dnsbl, Lines, Messages, Relay, Senders, ServerAccess, Site};
pub use super::smarthosts::{LoginSecret, Smarthost, SmarthostLogin, SmarthostTls};

/// Everything the operator can set, checked as a whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file this was read from, as the operator named it.
    pub file: PathBuf,
    /// The file as it was when these were read.
    pub stamp: Option<Stamp>,
    /// `[server] hostname`.
    pub hostname: Domain,
    /// `[server] local_domains`.
    pub local_domains: Vec<Domain>,
    /// `[server] spool`, made absolute.
    pub spool: PathBuf,
    /// `[server] user`.
    pub user: String,
    /// `[server] devices`: client addresses that are remembered; 0 = none.
    pub devices: usize,
    /// `[server] sandbox`.
    pub sandbox: bool,
    /// `[server] load_internet_sites`.
    pub load_internet_sites: bool,
    /// `[server_access]`.
    pub server_access: ServerAccess,
    /// `[site:*]`, in file order.
    pub sites: Vec<Site>,
    /// `[relay]`.
    pub relay: Relay,
    /// `[dnsbl]`.
    pub dnsbl: Dnsbl,
    /// `[blacklist]`.
    pub blacklist: Blacklist,
    /// `[whitelist] hosts`.
    pub whitelist: Vec<HostPattern>,
    /// `[senders]`.
    pub senders: Senders,
    /// Where each written key stands.
    pub lines: Lines,
    /// `[port:*]`: tcp, tls, then the further ones in file order.
    pub ports: Vec<Port>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[extensions]`.
    pub extensions: Extensions,
    /// `[auth]`.
    pub auth: Auth,
    /// `[recipients]`.
    pub recipients: Recipients,
    /// `[aliases] file`, made absolute.
    pub aliases: Option<PathBuf>,
    /// `[messages]`.
    pub messages: Messages,
    /// `[limits]`.
    pub limits: Limits,
    /// `[connections]`.
    pub connections: Connections,
    /// `[workers] threads`; 0 = chosen from the cores.
    pub worker_threads: usize,
    /// `[delivery] local`.
    pub local: Local,
    /// `[delivery] mail_root`, made absolute.
    pub mail_root: PathBuf,
    /// `[delivery] quota`: what a user may keep, octets; 0 = all.
    pub quota: u64,
    /// `[control]`.
    pub control: Control,
    /// `[smarthost]` where it has a `host`, then every `[smarthost:NAME]` in file order.
    pub smarthosts: Vec<Smarthost>,
    /// `[command:*]` and `[webhook:*]`.
    pub handlers: Handlers,
    /// `[queue]`.
    pub queue: Queue,
    /// `[alarm]`.
    pub alarm: Alarm,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// `[log]`.
    pub log: Log,
    /// What the file says, key by key, for comparing it with the next one.
    pub effective: Effective,
}

impl Settings {
    /// Where a key stands, for reasons: `FILE:LINE [SECTION] KEY`, or `[SECTION] KEY (default)`.
    pub fn place(&self, section: &str, key: &'static str) -> String {
        self.lines.place(&self.file, section, key)
    }

    /// Whether any outside mail can be sent.
    pub fn has_smarthost(&self) -> bool {
        !self.smarthosts.is_empty()
    }

    /// Whether `domain` is one of the local domains.
    pub fn is_local_domain(&self, domain: &Domain) -> bool {
        self.local_domains.contains(domain)
    }

    /// What the client at `address` counts as, for every limit.
    pub fn client_key(&self, address: IpAddr) -> ClientKey {
        ClientKey::of(address, &self.relay.internal)
    }

    /// The port of the section `[port:NAME]`.
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// `[port:tls] name_and_password`: it also decides AUTH after STARTTLS (DOMINO.md S-50).
    pub fn tls_name_and_password(&self) -> bool {
        self.port("tls").is_some_and(|port| port.name_and_password)
    }
}

/// How a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// Plain text first, STARTTLS where it is on.
    Tcp,
    /// TLS from the first octet.
    Tls,
}

/// One `[port:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// NAME: `tcp`, `tls`, or a further one.
    pub name: String,
    /// `kind`.
    pub kind: PortKind,
    /// `number`.
    pub number: u16,
    /// `status = enabled`.
    pub enabled: bool,
    /// `name_and_password`.
    pub name_and_password: bool,
    /// `anonymous`.
    pub anonymous: bool,
    /// `addresses`.
    pub addresses: Vec<IpAddr>,
    /// Whether `addresses` is the default: then an address family the machine lacks is skipped.
    pub addresses_are_default: bool,
    /// `proxy_from`: proxies, whose connections begin with a PROXY header.
    pub proxy_from: Vec<Network>,
}

impl Port {
    /// Whether a connection from this address has to begin with a PROXY header.
    pub fn expects_header_from(&self, peer: IpAddr) -> bool {
        self.proxy_from.iter().any(|network| network.contains(peer))
    }

    /// The sockets this port listens on.
    pub fn socket_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses
            .iter()
            .map(|address| SocketAddr::new(*address, self.number))
    }
}

/// `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `certificate`: PEM, full chain.
    pub certificate: Option<PathBuf>,
    /// `private_key`: PEM.
    pub private_key: Option<PathBuf>,
    /// `min_version`.
    pub min_version: TlsVersion,
    /// `watch`; none where it is 0.
    pub watch: Option<Duration>,
}

/// The lowest TLS version spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// `[extensions] starttls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    Disabled,
    /// Offered.
    Enabled,
    /// Nothing of use goes on before it (DOMINO.md S-55).
    Required,
}

/// `[extensions]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensions {
    /// STARTTLS (RFC 3207).
    pub starttls: StartTls,
    /// SIZE (RFC 1870).
    pub size: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// HELP.
    pub help: bool,
    /// VRFY.
    pub vrfy: bool,
    /// EXPN.
    pub expn: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
}

/// A SASL mechanism (RFC 4422) we serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS: bound to the TLS session (RFC 7677).
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (an old draft; what Domino and most devices speak).
    Login,
}

/// `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// `users`: the passwd-file, made absolute.
    pub users: PathBuf,
    /// `mechanisms`, in the order they are offered.
    pub mechanisms: Vec<Mechanism>,
    /// `iterations` of new passwords; none = as the others, or by the machine's speed.
    pub iterations: Option<NonZeroU32>,
    /// `plaintext_from`: who may log in without TLS.
    pub plaintext_from: Vec<Network>,
    /// `attempts_max`: failed logins a session may have.
    pub attempts_max: u32,
    /// `throttle`: failed logins slow the next ones down.
    pub throttle: bool,
    /// `throttle_exempt`: whose logins are neither slowed down nor counted.
    pub throttle_exempt: Vec<Network>,
}

/// `[recipients]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    /// `verify`: refuse unknown local recipients.
    pub verify: bool,
    /// `deny_ambiguous`: refuse a local-part that is both a user and an alias.
    pub deny_ambiguous: bool,
    /// `deny_groups`: refuse mail to an alias with several targets.
    pub deny_groups: bool,
    /// `subaddress`: the separator of `user+detail`.
    pub subaddress: Option<char>,
    /// `allow`; empty = all.
    pub allow: Vec<MailPattern>,
    /// `deny`; wins.
    pub deny: Vec<MailPattern>,
    /// `catch_all`: the user who gets what nobody else would.
    pub catch_all: Option<String>,
    /// `unknown_max`: unknown recipients of a client before it is slowed down; 0 = no limit.
    pub unknown_max: u32,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `message_size`, octets of content as the client sends it.
    pub message_size: u64,
    /// `recipients` per message.
    pub recipients: usize,
    /// `command_timeout`: a whole command line must come within it.
    pub command_timeout: Duration,
    /// `data_timeout`: the longest silence in mail data.
    pub data_timeout: Duration,
    /// `session_timeout`: a session's whole life.
    pub session_timeout: Duration,
    /// `free_space` kept in the spool's file system, octets.
    pub free_space: u64,
    /// `mail_memory`: mail data of all sessions held in memory, octets; past it they go to files.
    pub mail_memory: u64,
}

impl Limits {
    /// Whether `octets` more leave `free_space` where so many are free.
    pub fn leave_room(&self, free: u64, octets: u64) -> bool {
        self.free_space.saturating_add(octets) <= free
    }
}

/// `[connections]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// `sessions_max` in all.
    pub sessions_max: usize,
    /// `sessions_max_per_address`; 0 = none.
    pub sessions_max_per_address: usize,
    /// `verify_host_name`.
    pub verify_host_name: bool,
    /// `allow`; empty = all.
    pub allow: Vec<HostPattern>,
    /// `deny`; wins.
    pub deny: Vec<HostPattern>,
    /// `explain_to`: clients that hear why they are refused.
    pub explain_to: Vec<Network>,
    /// `error_limit`: 5yz replies before the session ends; 0 = none.
    pub error_limit: u32,
}

/// `[control]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `socket`, made absolute.
    pub socket: PathBuf,
    /// `update_interval`; none where it is 0.
    pub update_interval: Option<Duration>,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// `listen`.
    pub listen: Vec<SocketAddr>,
}

/// `[queue]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// `retry`: at least one; the last one repeats.
    pub retry: Vec<Duration>,
    /// `expire`.
    pub expire: Duration,
    /// `delay_notice`; none = never.
    pub delay_notice: Option<Duration>,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// The local syslog socket.
    Syslog,
    /// systemd's journal, by its own socket.
    Journal,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value`.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `level`.
    pub level: log::LevelFilter,
    /// `debug_for`; empty: everybody.
    pub debug_for: Vec<Network>,
    /// `target`.
    pub target: LogTarget,
    /// `format`.
    pub format: LogFormat,
}

impl Log {
    /// Whether the dialogue with this client is told.
    pub fn tells_dialogue_with(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let mut named = self.debug_for.iter();
        self.level >= log::LevelFilter::Debug
            && (self.debug_for.is_empty() || named.any(|network| network.contains(client)))
    }
}
