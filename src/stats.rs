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
    /// Messages answered 250.
    pub messages_accepted: Counter,
    /// Octets of content in them.
    pub octets_accepted: Counter,
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
