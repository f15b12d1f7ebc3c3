//! Log events: one function per event, the only place log lines are made.
//!
//! Promises: one event is one line `event=NAME key=value …` with fixed keys; a value is escaped so
//! that it cannot forge a key or a line, and is cut to 128 octets; what peers cause is limited per event
//! and client ([`limit`]), then summed up, but for sessions and failed logins, which have limits of
//! their own. Refuses to know: where lines go (the logger does). Never
//! pass passwords, AUTH payloads or content.
//!
//! Levels: error = the operator must act; warning = may have to; info = session, message, attempt;
//! debug = protocol detail.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use log::Level;

use crate::mail::{MessageId, Network, TlsFacts};
use crate::sys::clock;
use limit::{Limiter, Suppressed};
use line::Line;

pub mod alarm;
pub mod aliases;
pub mod client;
pub mod content;
pub mod control;
pub mod devices;
pub mod dialogue;
pub mod dns;
pub mod handlers;
pub mod limit;
pub mod line;
pub mod lmtp;
pub mod mailbox;
pub mod manager;
pub mod outcome;
pub mod pickup;
pub mod proxy;
pub mod queue;
pub mod sandbox;
pub mod smarthost;
pub mod users;

static LIMITER: Limiter = Limiter::new();

/// A line that a peer can cause: limited per event and client.
fn limited(event: &'static str, client: IpAddr) -> Line {
    limited_at(Level::Info, event, client)
}

/// The same for one at the level debug.
fn debug_limited(event: &'static str, client: IpAddr) -> Line {
    limited_at(Level::Debug, event, client)
}

fn limited_at(level: Level, event: &'static str, client: IpAddr) -> Line {
    if !log::log_enabled!(target: "gatepost", level) {
        return Line::limited();
    }
    let (written, summary) = LIMITER.admit(event, client, clock::monotonic());
    if let Some(summary) = summary {
        suppressed(summary);
    }
    if written {
        Line::new(event)
    } else {
        Line::limited()
    }
}

/// The hosts in these networks count singly from now on; see [`ClientKey`](crate::mail::ClientKey).
pub fn count_singly(internal: &[Network]) {
    LIMITER.set_internal(internal);
}

/// Writes the summaries that are due. Call it about once a minute.
pub fn sum_up() {
    sum_up_at(clock::monotonic());
}

/// Writes all summaries, for the service ends.
pub fn sum_up_all() {
    sum_up_at(clock::monotonic() + limit::WINDOW);
}

fn sum_up_at(now: Instant) {
    LIMITER.sweep(now).into_iter().for_each(suppressed);
}

fn suppressed(summary: Suppressed) {
    Line::new("suppressed")
        .text("of", summary.event)
        .text("client", summary.client)
        .text("lines", summary.lines)
        .emit(Level::Warn);
}

/// The service is about to greet.
pub fn started(version: &str, workers: usize) {
    Line::new("started")
        .text("version", version)
        .text("workers", workers)
        .emit(Level::Info);
}

/// A port listens.
pub fn listening(port: &str, address: SocketAddr) {
    Line::new("listening")
        .text("port", port)
        .text("address", address)
        .emit(Level::Info);
}

/// A default address whose family this machine lacks.
pub fn address_skipped(port: &str, address: SocketAddr, reason: impl fmt::Display) {
    Line::new("address_skipped")
        .text("port", port)
        .text("address", address)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// No port is enabled.
pub fn no_port_enabled() {
    Line::new("no_port")
        .text("reason", "no SMTP port is enabled")
        .emit(Level::Warn);
}

/// A warning of the configuration check, as `check` prints it.
pub fn configuration_warning(problem: impl fmt::Display) {
    Line::new("configuration_warning")
        .words("problem", problem)
        .emit(Level::Warn);
}

/// The service was told to end.
pub fn stopping(sessions: usize) {
    Line::new("stopping")
        .text("sessions", sessions)
        .emit(Level::Info);
}

/// The service has ended.
pub fn stopped() {
    Line::new("stopped").emit(Level::Info);
}

/// The helper process has ended, and the service ends with it.
pub fn helper_lost(how: impl fmt::Display) {
    Line::new("helper_lost").text("end", how).emit(Level::Error);
}

/// `accept` failed; the listeners rest for a moment.
pub fn accept_failed(port: &str, error: impl fmt::Display) {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    limited("accept_failed", nobody)
        .text("port", port)
        .text("reason", error)
        .emit(Level::Error);
}

/// A connection was turned away before it became a session.
pub fn connection_refused(port: &str, client: SocketAddr, reason: &str) {
    limited("connection_refused", client.ip())
        .text("client", client)
        .text("port", port)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// A session began.
pub fn session_opened(sid: &str, client: SocketAddr, port: &str) {
    Line::new("session_opened")
        .text("sid", sid)
        .text("client", client)
        .text("port", port)
        .emit(Level::Debug);
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client said QUIT.
    Quit,
    /// A time limit.
    Timeout,
    /// The connection ended without QUIT.
    Dropped,
    /// We ended it: too many errors or failed logins, a peer of another protocol, going down.
    Refused,
    /// TLS failed.
    Tls,
    /// The operator ended it.
    Killed,
    /// We were wrong.
    Bug,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quit => "quit",
            Self::Timeout => "timeout",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Killed => "killed",
            Self::Bug => "bug",
        })
    }
}

/// What a session did, for its last line.
#[derive(Debug)]
pub struct SessionSummary<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// The client.
    pub client: SocketAddr,
    /// The proxy it came through.
    pub proxy: Option<IpAddr>,
    /// Whether it was a proxy's look whether somebody is here, and nothing came of it.
    pub is_check: bool,
    /// The port's name.
    pub port: &'a str,
    /// Why it ended.
    pub reason: EndReason,
    /// The name the client gave at EHLO or HELO.
    pub helo: Option<&'a str>,
    /// The user it had logged in as.
    pub login: Option<&'a str>,
    /// Its TLS.
    pub tls: Option<TlsFacts>,
    /// Messages accepted.
    pub messages: u64,
    /// 5yz replies.
    pub errors: u32,
    /// Its life, seconds.
    pub seconds: u64,
}

/// A session ended: the one last line of each. Only sessions that brought no message are limited per client;
/// a proxy looks every few seconds for years, so its looks are for whoever wants details.
pub fn session_ended(session: &SessionSummary<'_>) {
    let level = match session.is_check {
        true => Level::Debug,
        false => Level::Info,
    };
    let line = match session.messages > 0 || session.is_check {
        true => Line::new("session_ended"),
        false => limited("session_ended", session.client.ip()),
    };
    line.text("sid", session.sid)
        .text("client", session.client)
        .maybe("proxy", session.proxy)
        .text("port", session.port)
        .text("reason", session.reason)
        .maybe("helo", session.helo)
        .maybe("user", session.login)
        .maybe("tls", session.tls.map(|tls| tls.version))
        .maybe("cipher", session.tls.map(|tls| tls.cipher))
        .text("messages", session.messages)
        .text("errors", session.errors)
        .text("seconds", session.seconds)
        .emit(level);
}

/// A message is durable and was answered 250.
pub fn accepted(
    sid: &str,
    qid: MessageId,
    from: impl fmt::Display,
    recipients: usize,
    octets: u64,
) {
    Line::new("accepted")
        .text("sid", sid)
        .text("qid", qid)
        .text("from", from)
        .text("recipients", recipients)
        .text("octets", octets)
        .emit(Level::Info);
}

/// TLS with a client failed.
pub fn tls_failed(sid: &str, client: SocketAddr, port: &str, reason: impl fmt::Display) {
    limited("tls_failed", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("port", port)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// Octets in plain text behind STARTTLS were thrown away (RFC 3207 section 4.2).
pub fn plaintext_discarded(sid: &str, client: SocketAddr, octets: usize) {
    limited("plaintext_discarded", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("octets", octets)
        .emit(Level::Warn);
}

/// A session tripped over a fault of ours; it alone ended.
pub fn bug(sid: &str, client: SocketAddr, reason: &str) {
    limited("bug", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("reason", reason)
        .emit(Level::Error);
}

/// The spool could not do something; the peer heard 4yz.
pub fn spool_failed(error: impl fmt::Display) {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    limited("spool_failed", nobody)
        .text("reason", error)
        .emit(Level::Error);
}

/// A file of an uncommitted draft was removed at start.
pub fn spool_orphan_removed(name: &str) {
    Line::new("spool_orphan_removed")
        .text("file", name)
        .emit(Level::Info);
}

/// At a start: a segment of the spool's log is shorter than it was made.
pub fn spool_segment_truncated(file: impl fmt::Display, octets: usize, missing: u64) {
    Line::new("spool_segment_truncated")
        .text("file", file)
        .text("octets", octets)
        .text("missing", missing)
        .emit(Level::Error);
}

/// Octets of the log that do not check out were copied to `bad/`.
pub fn spool_damage_set_aside(
    path: impl fmt::Display,
    offset: u64,
    octets: u64,
    error: Option<std::io::Error>,
) {
    Line::new("spool_damage_set_aside")
        .text("file", path)
        .text("offset", offset)
        .text("octets", octets)
        .maybe("reason", error)
        .emit(Level::Error);
}

/// A message that cannot be read was moved to `bad/`.
pub fn spool_message_set_aside(
    path: impl fmt::Display,
    reason: &str,
    error: Option<std::io::Error>,
) {
    Line::new("spool_message_set_aside")
        .text("file", path)
        .text("reason", reason)
        .maybe("error", error)
        .emit(Level::Error);
}

/// Messages of an earlier run are to be delivered.
pub fn recovered(messages: usize) {
    Line::new("recovered")
        .text("messages", messages)
        .emit(Level::Info);
}

/// A recipient's copy is in its mailbox.
pub fn delivered(qid: MessageId, to: impl fmt::Display, mailbox: &str) {
    Line::new("delivered")
        .text("qid", qid)
        .text("to", to)
        .text("mailbox", mailbox)
        .emit(Level::Info);
}

/// A recipient's copy could not be delivered yet.
pub fn deferred(qid: MessageId, to: impl fmt::Display, reason: impl fmt::Display, seconds: u64) {
    Line::new("deferred")
        .text("qid", qid)
        .text("to", to)
        .text("reason", reason)
        .text("again_in_seconds", seconds)
        .emit(Level::Warn);
}

/// A connection to the smarthost is ready.
pub fn relay_connected(host: &str, address: SocketAddr, tls: Option<TlsFacts>) {
    Line::new("relay_connected")
        .text("smarthost", host)
        .text("address", address)
        .maybe("tls", tls.as_ref().map(|tls| tls.version))
        .maybe("cipher", tls.as_ref().map(|tls| tls.cipher))
        .emit(Level::Debug);
}

/// TLS with the smarthost failed where it is opportunistic: mail goes there in plain text.
pub fn relay_without_tls(host: &str, address: SocketAddr, reason: impl fmt::Display) {
    Line::new("relay_without_tls")
        .text("smarthost", host)
        .text("address", address)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// The smarthost has a recipient's copy.
pub fn relayed(qid: MessageId, to: impl fmt::Display, host: &str, reply: impl fmt::Display) {
    Line::new("relayed")
        .text("qid", qid)
        .text("to", to)
        .text("smarthost", host)
        .text("reply", reply)
        .emit(Level::Info);
}

/// The smarthost could not be used; this message was in hand.
pub fn relay_failed(qid: MessageId, reason: impl fmt::Display, seconds: u64) {
    Line::new("relay_failed")
        .text("qid", qid)
        .text("reason", reason)
        .text("again_in_seconds", seconds)
        .emit(Level::Warn);
}

/// A lane has no thread: its messages wait for the next one, or the next start.
pub fn lane_not_started(lane: impl fmt::Display, error: impl fmt::Display) {
    Line::new("lane_not_started")
        .text("lane", lane)
        .text("reason", error)
        .emit(Level::Error);
}

/// A lane tripped over a fault of ours; the message is tried again.
pub fn relay_bug(qid: MessageId, seconds: u64) {
    Line::new("relay_bug")
        .text("qid", qid)
        .text("again_in_seconds", seconds)
        .emit(Level::Error);
}

/// A batch of deliveries could not be made durable; it is tried again.
pub fn checkpoint_failed(error: impl fmt::Display) {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    limited("checkpoint_failed", nobody)
        .text("reason", error)
        .emit(Level::Error);
}

/// What a session noted.
pub fn login_succeeded(sid: &str, client: SocketAddr, user: &str) {
    Line::new("login")
        .text("sid", sid)
        .text("client", client)
        .text("user", user)
        .emit(Level::Info);
}

/// A login failed: one stable line per failure, which intrusion prevention counts (packaging/fail2ban).
/// None is left out, so its limits are elsewhere: `attempts_max` a session, the throttle, and what a
/// password check costs.
pub fn login_failed(sid: &str, client: SocketAddr, user: &str, failed: u32, reason: &str) {
    Line::new("login_failed")
        .text("sid", sid)
        .text("client", client)
        .text("user", user)
        .text("failed", failed)
        .text("reason", reason)
        .emit(Level::Warn);
}

/// A login waits because others failed before it.
pub fn login_delayed(sid: &str, client: SocketAddr, user: &str, seconds: u64) {
    limited("login_delayed", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("user", user)
        .text("seconds", seconds)
        .emit(Level::Info);
}

/// A recipient waits because its client has named many that nobody has.
pub fn recipient_delayed(sid: &str, client: SocketAddr, unknown: u32, seconds: u64) {
    limited("recipient_delayed", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("unknown", unknown)
        .text("seconds", seconds)
        .emit(Level::Info);
}

/// A login was not looked at because too many from its address have failed.
pub fn login_turned_away(sid: &str, client: SocketAddr, user: &str) {
    limited("login_turned_away", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("user", user)
        .text("reply", 454)
        .text("reason", "too many failed logins from this address")
        .emit(Level::Warn);
}

/// A client, sender, recipient, message or command was refused; `cause` is the setting that made it so.
pub fn refused(
    event: &'static str,
    sid: &str,
    client: SocketAddr,
    who: (&'static str, &str),
    reply: u16,
    (reason, cause): (&str, Option<&str>),
) {
    limited(event, client.ip())
        .text("sid", sid)
        .text("client", client)
        .text(who.0, who.1)
        .text("reply", reply)
        .text("reason", reason)
        .maybe("cause", cause)
        .emit(Level::Info);
}

/// A blacklist or DNS list names a client that was let in all the same.
pub fn client_listed(sid: &str, client: SocketAddr, cause: &str) {
    limited("client_listed", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("cause", cause)
        .emit(Level::Info);
}

/// A client does what no SMTP client should.
pub fn client_misbehaves(sid: &str, client: SocketAddr, reason: &str) {
    limited("client_misbehaves", client.ip())
        .text("sid", sid)
        .text("client", client)
        .text("reason", reason)
        .emit(Level::Warn);
}
