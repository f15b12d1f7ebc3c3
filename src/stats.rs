//! Counters of what the service has done since its start.
//!
//! Promises: counting is one atomic addition and never waits; each counter's name, what it means and how it is
//! called for Prometheus stand once, in the table below, and [`Stats::counters`] gives every one of them. Refuses
//! to know: who reads them, and in which format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// A counter as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its name in the status: that of the field.
    pub name: &'static str,
    /// Its name for Prometheus.
    pub metric: &'static str,
    /// What it counts, in a sentence.
    pub meaning: &'static str,
    /// The number now.
    pub value: u64,
}

/// One row for each counter: its meaning, its name, its name for Prometheus.
macro_rules! counters {
    ($($(#[doc = $meaning:literal])+ $name:ident: $metric:literal,)+) => {
        /// What the service has done since its start.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[doc = $meaning])+ pub $name: Counter,)+
            /// How long commits of messages took.
            pub commit_times: Times,
        }

        impl Stats {
            /// Every counter, in the order of the table.
            pub fn counters(&self) -> impl Iterator<Item = Counted> {
                [$(Counted {
                    name: stringify!($name),
                    metric: $metric,
                    meaning: concat!($($meaning),+).trim_ascii(),
                    value: self.$name.value(),
                }),+]
                .into_iter()
            }
        }
    };
}

counters! {
    /// Sessions begun.
    sessions: "gatepost_sessions_total",
    /// Connections turned away before they became sessions.
    connections_refused: "gatepost_connections_refused_total",
    /// Messages answered 250.
    messages_accepted: "gatepost_messages_accepted_total",
    /// Octets of content in messages answered 250.
    octets_accepted: "gatepost_messages_accepted_bytes_total",
    /// Sessions whose first line was a refusal.
    clients_refused: "gatepost_clients_refused_total",
    /// Clients the private blacklist named, refused or not.
    blacklist_hits: "gatepost_blacklist_hits_total",
    /// Clients a DNS list named, refused or not.
    dnsbl_hits: "gatepost_dnsbl_hits_total",
    /// Logins that succeeded.
    logins: "gatepost_logins_total",
    /// Logins that failed.
    logins_failed: "gatepost_logins_failed_total",
    /// Logins that were not looked at, because too many had failed.
    logins_turned_away: "gatepost_logins_turned_away_total",
    /// MAIL commands refused, for now or for good.
    senders_refused: "gatepost_senders_refused_total",
    /// RCPT commands refused, but for relaying.
    recipients_refused: "gatepost_recipients_refused_total",
    /// RCPT commands refused because they ask to relay.
    relay_refused: "gatepost_relay_refused_total",
    /// Messages refused after their content.
    messages_refused: "gatepost_messages_refused_total",
    /// Messages the spool did not take: no space, or the disk failed.
    messages_not_stored: "gatepost_messages_not_stored_total",
    /// Recipients whose copy was delivered, or taken by the next server.
    recipients_delivered: "gatepost_recipients_delivered_total",
    /// Attempts at a recipient that put it off until later.
    recipients_deferred: "gatepost_recipients_deferred_total",
    /// Recipients who do not get a message that was accepted.
    recipients_failed: "gatepost_recipients_failed_total",
    /// Recipients who do not get it because they were tried for too long.
    recipients_expired: "gatepost_recipients_expired_total",
    /// Notifications made.
    notifications: "gatepost_notifications_total",
    /// Octets in plain text behind STARTTLS that were thrown away.
    plaintext_discarded: "gatepost_plaintext_discarded_bytes_total",
    /// TLS sessions that failed.
    tls_failures: "gatepost_tls_failures_total",
    /// Questions to DNS.
    dns_questions: "gatepost_dns_questions_total",
    /// Questions to DNS whose answer was known.
    dns_cache_hits: "gatepost_dns_cache_hits_total",
    /// Questions to DNS that failed, for whatever reason.
    dns_failures: "gatepost_dns_failures_total",
    /// Questions to DNS that failed because the answer took too long.
    dns_timeouts: "gatepost_dns_timeouts_total",
    /// Sessions ended by a fault of ours.
    bugs: "gatepost_bugs_total",
}

/// How long something took, each time it was done.
#[derive(Debug, Default)]
pub struct Times {
    /// How often it took as long as each bound, and longer than the one before; the last is beyond all.
    within: [Counter; BOUNDS.len() + 1],
    microseconds: Counter,
}

/// The bounds of [`Times`], milliseconds: from an SSD to an SD card that is wearing out.
pub const BOUNDS: [u64; 10] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000];

impl Times {
    /// It was done once more, and took so long.
    pub fn took(&self, time: Duration) {
        let is_within = |bound: &u64| time <= Duration::from_millis(*bound);
        let place = BOUNDS.iter().position(is_within).unwrap_or(BOUNDS.len());
        if let Some(counter) = self.within.get(place) {
            counter.count();
        }
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.add(microseconds);
    }

    /// How often it took at most as long as each of [`BOUNDS`], and how often it was done in all.
    pub fn cumulated(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        [(); BOUNDS.len() + 1].map({
            let mut counters = self.within.iter();
            move |()| {
                sum += counters.next().map_or(0, Counter::value);
                sum
            }
        })
    }

    /// How often it was done.
    pub fn count(&self) -> u64 {
        self.within.iter().map(Counter::value).sum()
    }

    /// How long it took in all.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name_of_its_own_and_says_what_it_counts() {
        let stats = Stats::default();
        stats.sessions.add(7);
        let counters: Vec<Counted> = stats.counters().collect();
        // The size of the whole tells of a field that is not in the table.
        let octets = counters.len() * size_of::<Counter>() + size_of::<Times>();
        assert_eq!(octets, size_of::<Stats>());
        for (at, one) in counters.iter().enumerate() {
            assert!(one.metric.starts_with("gatepost_"), "{one:?}");
            assert!(one.metric.ends_with("_total"), "{one:?}");
            assert!(one.meaning.ends_with('.'), "{one:?}");
            let rest = counters.iter().skip(at + 1);
            let is_same = |other: &&Counted| other.name == one.name || other.metric == one.metric;
            assert_eq!(rest.clone().find(is_same), None);
        }
        let first = counters.first().map(|one| (one.name, one.value));
        assert_eq!(first, Some(("sessions", 7)));
    }

    #[test]
    fn times_are_counted_within_their_bounds_and_beyond() {
        let times = Times::default();
        for micros in [0, 1000, 1001, 5000, 250_000, 5_000_000, 5_000_001] {
            times.took(Duration::from_micros(micros));
        }
        assert_eq!(times.cumulated(), [2, 4, 4, 4, 4, 4, 5, 5, 5, 6, 7]);
        assert_eq!(times.count(), 7);
        assert_eq!(times.sum(), Duration::from_micros(10_257_002));
    }
}
