//! Counters of what the service has done since its start.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the service has done since its start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sessions begun.
    pub sessions: Counter,
    /// Connections turned away before they became sessions.
    pub connections_refused: Counter,
    /// Sessions whose first line was a refusal.
    pub clients_refused: Counter,
    /// Clients the private blacklist named, refused or not.
    pub blacklist_hits: Counter,
    /// Clients a DNS list named, refused or not.
    pub dnsbl_hits: Counter,
    /// Logins that succeeded.
    pub logins: Counter,
    /// Logins that failed.
    pub logins_failed: Counter,
    /// Logins that were not looked at, because too many had failed.
    pub logins_turned_away: Counter,
    /// MAIL commands refused, for now or for good.
    pub senders_refused: Counter,
    /// RCPT commands refused, but for relaying.
    pub recipients_refused: Counter,
    /// RCPT commands refused because they ask to relay.
    pub relay_refused: Counter,
    /// Messages refused after their content.
    pub messages_refused: Counter,
    /// Messages answered 250.
    pub messages_accepted: Counter,
    /// Octets of content in them.
    pub octets_accepted: Counter,
    /// Recipients who do not get a message that was accepted.
    pub recipients_failed: Counter,
    /// Those of them who were tried for too long.
    pub recipients_expired: Counter,
    /// Notifications made.
    pub notifications: Counter,
    /// Octets in plain text behind STARTTLS that were thrown away.
    pub plaintext_discarded: Counter,
    /// TLS sessions that failed.
    pub tls_failures: Counter,
    /// Sessions ended by a fault of ours.
    pub bugs: Counter,
    /// Questions to DNS.
    pub dns_questions: Counter,
    /// Those of them whose answer was known.
    pub dns_cache_hits: Counter,
    /// Those of them that failed, for whatever reason.
    pub dns_failures: Counter,
    /// Those of them that failed because the answer took too long.
    pub dns_timeouts: Counter,
}
