//! Which message has its sender told next, and how many notifications there may be. Pure: time is an
//! argument.
//!
//! Promises: a message that has to wait is not forgotten; within any window of [`WINDOW`] there are at
//! most [`NOTICES_MAX`] notifications, and [`NOTICES_MAX_PER_SENDER`] to one address. Those beyond wait.
//! Limits: some hundred octets for each message that waits; its reasons stay in the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::mail::{MessageId, Reason};

/// What the limits are counted in.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Notifications in a window.
pub const NOTICES_MAX: u32 = 60;
/// Notifications in a window to one address.
pub const NOTICES_MAX_PER_SENDER: u32 = 10;

/// The recipients of a message that are late, by their places, and why.
pub type Late = BTreeMap<usize, Reason>;

/// Messages whose senders have to be told.
#[derive(Debug, Default)]
pub(super) struct NoticeQueue {
    known: BTreeMap<MessageId, (Instant, Late)>,
    waiting: BTreeSet<(Instant, MessageId)>,
    window: Option<Instant>,
    total: u32,
    by_sender: BTreeMap<String, u32>,
    held_back: u64,
}

impl NoticeQueue {
    /// The sender of a message has to be told. One that is known already keeps its time.
    pub(super) fn add(&mut self, id: MessageId, late: Late, now: Instant) {
        if let Some((_, known)) = self.known.get_mut(&id) {
            known.extend(late);
            return;
        }
        self.put_off(id, late, now);
    }

    /// It waits until then.
    pub(super) fn put_off(&mut self, id: MessageId, late: Late, until: Instant) {
        let mut late = late;
        if let Some((at, newer)) = self.known.remove(&id) {
            // It came in anew while it was in hand.
            self.waiting.remove(&(at, id));
            late.extend(newer);
        }
        self.known.insert(id, (until, late));
        self.waiting.insert((until, id));
    }

    /// The next one, if there may be another notification now.
    pub(super) fn take(&mut self, now: Instant) -> Option<(MessageId, Late)> {
        self.roll(now);
        let (at, id) = *self.waiting.first().filter(|(at, _)| *at <= now)?;
        if self.total >= NOTICES_MAX {
            return None;
        }
        self.waiting.remove(&(at, id));
        let (_, late) = self.known.remove(&id)?;
        Some((id, late))
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let (first, _) = self.waiting.first()?;
        match self.window {
            Some(window) if self.total >= NOTICES_MAX => Some((window + WINDOW).max(*first)),
            _ => Some(*first),
        }
    }

    /// Counts a notification to `sender`; if there were too many, when there may be the next one.
    pub(super) fn admit(&mut self, sender: &str, now: Instant) -> Result<(), Instant> {
        self.roll(now);
        let end = self.window.unwrap_or(now) + WINDOW;
        let count = self.by_sender.get(sender).copied().unwrap_or(0);
        if self.total >= NOTICES_MAX || count >= NOTICES_MAX_PER_SENDER {
            self.held_back += 1;
            return Err(end);
        }
        self.window.get_or_insert(now);
        self.total += 1;
        self.by_sender.insert(sender.to_owned(), count + 1);
        Ok(())
    }

    /// How many were held back since this was asked last, once their window is over.
    pub(super) fn held_back(&mut self, now: Instant) -> Option<u64> {
        let is_over = self.window.is_none_or(|window| now >= window + WINDOW);
        let count = std::mem::take(if is_over {
            &mut self.held_back
        } else {
            return None;
        });
        (count > 0).then_some(count)
    }

    fn roll(&mut self, now: Instant) {
        if self.window.is_some_and(|window| now >= window + WINDOW) {
            (self.window, self.total) = (None, 0);
            self.by_sender.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> MessageId {
        MessageId::new(1, number)
    }

    #[test]
    fn messages_come_in_turn_and_once() {
        let now = Instant::now();
        let mut queue = NoticeQueue::default();
        let late = |place| Late::from([(place, Reason::own("4.0.0", "x"))]);
        queue.add(id(1), late(0), now);
        queue.add(id(2), Late::new(), now);
        queue.add(id(1), late(3), now);
        let (first, reasons) = queue.take(now).unwrap();
        assert_eq!((first, reasons.len()), (id(1), 2));
        queue.put_off(id(1), reasons, now + WINDOW);
        assert_eq!(queue.take(now).unwrap().0, id(2));
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        assert_eq!(queue.take(now + WINDOW).unwrap().1.len(), 2);
    }

    #[test]
    fn too_many_wait_for_the_next_minute_and_are_summed_up_once() {
        let now = Instant::now();
        let mut queue = NoticeQueue::default();
        for _ in 0..NOTICES_MAX_PER_SENDER {
            assert_eq!(queue.admit("a", now), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(queue.admit("a", now), Err(now + WINDOW));
        }
        assert_eq!(queue.held_back(now), None);
        for number in NOTICES_MAX_PER_SENDER..NOTICES_MAX {
            assert_eq!(queue.admit(&number.to_string(), now), Ok(()));
        }
        queue.add(id(1), Late::new(), now);
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        assert_eq!(queue.held_back(now + WINDOW), Some(3));
        assert_eq!(queue.held_back(now + WINDOW), None);
        assert!(queue.take(now + WINDOW).is_some());
        assert_eq!(queue.admit("a", now + WINDOW), Ok(()));
    }
}
