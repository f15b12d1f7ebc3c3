//! Findings kept for a short while, so that a burst of sessions asks once.
//!
//! Promises: at most [`ENTRIES_MAX`] findings; none is given out past its time, which is counted by the
//! clock of the caller. Refuses to know: TTLs, which the system's resolver does not tell.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::pending::Key;
use crate::policy::facts::Finding;

/// Findings that are kept; past it the one that would go first goes early.
pub(super) const ENTRIES_MAX: usize = 1024;
/// How long an answer is kept, yes or no.
pub(super) const KEPT: Duration = Duration::from_secs(60);
/// How long a failure is kept: long enough for a burst, short enough for a client that comes back.
pub(super) const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// The findings by question.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    until: Instant,
}

impl Cache {
    /// The finding, if there is one that is still fresh.
    pub fn find(&self, key: &Key, now: Instant) -> Option<&Finding> {
        let entry = self.entries.get(key)?;
        (now < entry.until).then_some(&entry.finding)
    }

    /// Keeps a finding from `now` on.
    pub fn keep(&mut self, key: Key, finding: Finding, now: Instant) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let time = match finding {
            Finding::Failed => FAILURE_KEPT,
            Finding::HostNames(_) | Finding::Listed(_) | Finding::MailDomain(_) => KEPT,
        };
        let until = now + time;
        self.entries.insert(key, Entry { finding, until });
    }

    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| now < entry.until);
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        // A walk over the whole cache; each costs the peer who causes it a look-up of his own.
        let first = self.entries.iter().min_by_key(|(_, entry)| entry.until);
        if let Some(key) = first.map(|(key, _)| key.clone()) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::of_text(&format!("key {number}"))
    }

    #[test]
    fn findings_are_kept_for_their_time() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(key(1), Finding::MailDomain(false), now);
        cache.keep(key(2), Finding::Failed, now);
        let tick = Duration::from_nanos(1);
        let rows = [
            (1, now, Some(Finding::MailDomain(false))),
            (1, now + KEPT - tick, Some(Finding::MailDomain(false))),
            (1, now + KEPT, None),
            (2, now + FAILURE_KEPT - tick, Some(Finding::Failed)),
            (2, now + FAILURE_KEPT, None),
            (3, now, None),
        ];
        for (number, at, want) in rows {
            assert_eq!(cache.find(&key(number), at), want.as_ref(), "{number}");
        }
    }

    #[test]
    fn a_later_finding_takes_the_place_of_an_earlier_one() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(key(1), Finding::Failed, now);
        cache.keep(key(1), Finding::Listed(true), now);
        assert_eq!(cache.find(&key(1), now), Some(&Finding::Listed(true)));
    }

    #[test]
    fn a_full_cache_lets_go_what_is_over_and_then_the_oldest() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..ENTRIES_MAX {
            let at = now + Duration::from_millis(number as u64);
            cache.keep(key(number), Finding::Listed(false), at);
        }
        let later = now + Duration::from_secs(2);
        cache.keep(key(5000), Finding::Listed(true), later);
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert_eq!(cache.find(&key(0), later), None);
        assert!(cache.find(&key(1), later).is_some());
        // Long after, all of them are over and go at once.
        cache.keep(key(5001), Finding::Listed(true), later + KEPT);
        assert_eq!(cache.entries.len(), 1);
    }
}
