//! From the counters of some moments to what happens in a second: since the last look, and in a minute.
//!
//! Limits: moments of the last minute are kept, [`KEPT_MAX`] of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::snapshot::Snapshot;

/// What is counted: how it is called, and its counter.
pub(super) const COUNTED: [(&str, &str); 5] = [
    ("sessions/s", "sessions"),
    ("messages/s", "messages_accepted"),
    ("octets/s", "octets_accepted"),
    ("logins/s", "logins"),
    ("failed logins/s", "logins_failed"),
];
const MINUTE: Duration = Duration::from_secs(60);
const KEPT_MAX: usize = 64;

/// The counters of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Of which run of the service they are.
    run: String,
    seen: VecDeque<(Instant, [u64; COUNTED.len()])>,
}

/// What happens in a second, by counter.
pub(super) struct Rate {
    /// Since the last look; none at the first.
    pub(super) now: Option<f64>,
    /// In the last minute, or since we look.
    pub(super) minute: Option<f64>,
}

impl Rates {
    /// A moment was seen.
    pub(super) fn note(&mut self, at: Instant, snapshot: &Snapshot) {
        let run = snapshot.text("service", "pid");
        if run != self.run {
            run.clone_into(&mut self.run);
            self.seen.clear();
        }
        let counters = COUNTED.map(|(_, key)| snapshot.number("counters", key).unwrap_or(0));
        self.seen.push_back((at, counters));
        let is_old = |(then, _): &(Instant, _)| at.saturating_duration_since(*then) > MINUTE;
        // One that is older stays, so that the minute is whole.
        while self.seen.len() > KEPT_MAX || self.seen.get(1).is_some_and(is_old) {
            self.seen.pop_front();
        }
    }

    /// The rates of the counter at this place of [`COUNTED`].
    pub(super) fn of(&self, place: usize) -> Rate {
        let last = self.seen.len().checked_sub(1);
        let before = last.and_then(|last| last.checked_sub(1));
        Rate {
            now: before.and_then(|before| self.since(before, place)),
            minute: before.and_then(|_| self.since(0, place)),
        }
    }

    fn since(&self, first: usize, place: usize) -> Option<f64> {
        let (from, before) = self.seen.get(first)?;
        let (to, after) = self.seen.back()?;
        let seconds = to.saturating_duration_since(*from).as_secs_f64();
        let count = after.get(place)?.saturating_sub(*before.get(place)?);
        // Beyond what a float holds exactly nobody sees a difference.
        #[allow(clippy::cast_precision_loss)]
        let count = count as f64;
        (seconds > 0.0).then(|| count / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_look_and_of_the_last_minute() {
        let (mut rates, began) = (Rates::default(), Instant::now());
        let snapshot = |pid: u32, messages: u64| {
            let text = format!("service pid={pid}\ncounters messages_accepted={messages}\n");
            Snapshot::parse(&text, "")
        };
        assert!(rates.of(1).now.is_none());
        for second in 0..120_u64 {
            let messages = if second < 60 { 0 } else { (second - 60) * 10 };
            rates.note(began + Duration::from_secs(second), &snapshot(1, messages));
            assert!(rates.seen.len() <= KEPT_MAX);
        }
        let rate = rates.of(1);
        assert_eq!(rate.now, Some(10.0));
        assert_eq!(rate.minute.map(|rate| rate.round()), Some(10.0));
        // Another run counts from nothing.
        rates.note(began + Duration::from_secs(120), &snapshot(2, 5));
        assert!(rates.of(1).now.is_none() && rates.of(1).minute.is_none());
        rates.note(began + Duration::from_secs(121), &snapshot(2, 6));
        assert_eq!(
            (rates.of(1).now, rates.of(1).minute),
            (Some(1.0), Some(1.0))
        );
        assert!(rates.of(99).now.is_none());
    }
}
