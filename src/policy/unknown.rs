//! How many recipients a client has named that nobody has here (`[recipients] unknown_max`).
//!
//! | unknown recipients of a client in [`WINDOW`] | its next name |
//! | --- | --- |
//! | fewer than `unknown_max` | at once |
//! | `unknown_max` and more | waits [`WAIT`], known or not |
//! | twice as many and more | is not looked at, and the session ends |
//!
//! So nobody learns from this machine who has a mailbox by trying names. The window begins with the first
//! unknown recipient: a server that passes on a little junk all day never comes near.
//!
//! Not for sessions that have logged in, nor for hosts in `[relay] internal` and `exclude_hosts`, in `[whitelist]` and in
//! `[auth] throttle_exempt` ([`asked_of`]). Promises: at most [`CLIENTS_MAX`] entries, the oldest window goes first.
//! Refuses to know: clocks (the time is an argument), who is exempt.

use std::time::{Duration, Instant};

use super::facts::{Host, Match, Question};
use super::recent::Recent;
use crate::config::settings::Settings;
use crate::mail::ClientKey;

/// The time in which unknown recipients are counted.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// How long a name waits.
pub const WAIT: Duration = Duration::from_secs(5);
/// Clients that are counted.
pub const CLIENTS_MAX: usize = 4096;

/// How many unknown recipients a client has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Fewer than are slowed down.
    Few,
    /// So many that the next name waits.
    Many,
    /// So many that no name is looked at.
    TooMany,
}

/// Whether the limit is for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It cannot be told before this is known.
    Unclear(Question),
}

/// Whether the limit is for a session from `host`, logged in or not.
pub fn asked_of(settings: &Settings, host: &Host, login: Option<&str>) -> Asked {
    let networks = [&settings.relay.internal, &settings.auth.throttle_exempt];
    let mut networks = networks.into_iter();
    let is_off = settings.recipients.unknown_max == 0;
    if is_off || login.is_some() || networks.any(|list| host.is_favoured_by(list)) {
        return Asked::No;
    }
    let mut unclear = None;
    for list in [&settings.whitelist, &settings.relay.exclude_hosts] {
        match host.find_favour_in(list) {
            Match::Yes(_) => return Asked::No,
            Match::Asks(question) => unclear = Some(question),
            Match::No | Match::Failed => {}
        }
    }
    unclear.map_or(Asked::Yes, Asked::Unclear)
}

/// The unknown recipients of the last quarter of an hour.
#[derive(Debug)]
pub struct Unknowns {
    clients: Recent<ClientKey>,
}

impl Default for Unknowns {
    fn default() -> Self {
        Self {
            clients: Recent::new(CLIENTS_MAX, WINDOW),
        }
    }
}

impl Unknowns {
    /// How many a client has named, where `most` are not slowed down.
    pub fn of(&mut self, client: ClientKey, most: u32, now: Instant) -> (Unknown, u32) {
        self.clients.forget_old(now);
        let count = self.clients.count(client);
        let level = match count {
            _ if count < most => Unknown::Few,
            _ if count < most.saturating_mul(2) => Unknown::Many,
            _ => Unknown::TooMany,
        };
        (level, count)
    }

    /// A client has named one more.
    pub fn one_more(&mut self, client: ClientKey, now: Instant) {
        self.clients.forget_old(now);
        self.clients.add_to_window(client, now);
    }

    /// Forgets those of a client; whether there were any.
    pub fn forget(&mut self, client: ClientKey, now: Instant) -> bool {
        self.clients.forget_old(now);
        self.clients.remove(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::Ipv4Addr::from_bits(number).into(), &[])
    }

    #[test]
    fn a_client_is_slowed_down_and_then_turned_away_until_the_window_is_over() {
        let (mut unknowns, now) = (Unknowns::default(), Instant::now());
        let second = Duration::from_secs(1);
        for count in 0..8 {
            let want = match count {
                0..=2 => Unknown::Few,
                3..=5 => Unknown::Many,
                _ => Unknown::TooMany,
            };
            // What is added later does not prolong the window.
            let at = now + second * count;
            assert_eq!(unknowns.of(client(1), 3, at), (want, count));
            assert_eq!(unknowns.of(client(2), 3, at).0, Unknown::Few);
            unknowns.one_more(client(1), at);
        }
        let last = now + WINDOW - second;
        assert_eq!(unknowns.of(client(1), 3, last).0, Unknown::TooMany);
        assert_eq!(unknowns.of(client(1), 3, now + WINDOW), (Unknown::Few, 0));
        unknowns.one_more(client(1), now + WINDOW);
        assert!(unknowns.forget(client(1), now + WINDOW));
        assert!(!unknowns.forget(client(1), now + WINDOW));
    }

    #[test]
    fn clients_are_bounded_and_the_oldest_goes_first() {
        let (mut unknowns, now) = (Unknowns::default(), Instant::now());
        for number in 0..10_000 {
            unknowns.one_more(client(number), now);
        }
        assert_eq!(unknowns.clients.entries.len(), CLIENTS_MAX);
        assert_eq!(unknowns.of(client(9_999), 1, now).0, Unknown::Many);
        assert_eq!(unknowns.of(client(0), 1, now).0, Unknown::Few);
    }
}
