//! What the deliverer tries again, and when. Pure: time is an argument.
//!
//! Promises: each message stands here once, with the time that was given last; so one that is tried sooner,
//! because the operator wants it, is not tried twice from then on. Limits: some hundred octets for each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::mail::MessageId;

/// Messages by their times.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    times: BTreeMap<MessageId, Instant>,
    by_time: BTreeSet<(Instant, MessageId)>,
}

impl Deferred {
    /// A message is due at this time, whatever was said before.
    pub(super) fn put(&mut self, id: MessageId, at: Instant) {
        if let Some(before) = self.times.insert(id, at) {
            self.by_time.remove(&(before, id));
        }
        self.by_time.insert((at, id));
    }

    /// A message is tried by other means.
    pub(super) fn remove(&mut self, id: MessageId) {
        if let Some(at) = self.times.remove(&id) {
            self.by_time.remove(&(at, id));
        }
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes those that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<MessageId> {
        let mut due = Vec::new();
        while let Some((_, id)) = self.by_time.first().filter(|(at, _)| *at <= now) {
            due.push(*id);
            self.times.remove(id);
            self.by_time.pop_first();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_message_is_due_once_at_the_time_given_last() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let [one, two] = [1, 2].map(|number| MessageId::new(1, number));
        let mut deferred = Deferred::default();
        deferred.put(one, now);
        deferred.put(two, now);
        deferred.put(one, later);
        assert_eq!(deferred.take_due(now), [two]);
        assert_eq!(deferred.first(), Some(later));
        assert_eq!(deferred.take_due(later), [one]);
        deferred.put(two, later);
        deferred.remove(two);
        assert_eq!((deferred.first(), deferred.take_due(later)), (None, vec![]));
    }
}
