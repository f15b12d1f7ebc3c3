//! Which message has its sender told next, and how many notifications there may be. Pure: time is an
//! argument.
//!
//! Promises: a message that has to wait is not forgotten; within any window of [`WINDOW`] there are at
//! most [`NOTICES_MAX`] notifications, [`NOTICES_MAX_OF_STRANGERS`] of them about mail of strangers, and
//! [`NOTICES_MAX_PER_SENDER`] to one address. Those beyond wait, and who is known goes before strangers.
//! Whose a message is shows once it is read: until then it has the turn of those who are known.
//! Limits: some hundred octets for each message that waits; its reasons stay in the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::mail::{MessageId, Reason};

/// What the limits are counted in.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Notifications in a window.
pub const NOTICES_MAX: u32 = 60;
/// Notifications in a window about mail that strangers sent: so a flood of theirs keeps nobody else waiting.
pub const NOTICES_MAX_OF_STRANGERS: u32 = 30;
/// Notifications in a window to one address.
pub const NOTICES_MAX_PER_SENDER: u32 = 10;

/// The recipients of a message that are late, by their places, and why.
pub type Late = BTreeMap<usize, Reason>;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// A client that had logged in or is internal, a local program, or we ourselves.
    Known,
    /// Anybody else.
    Stranger,
}

/// In whose turn a message is, and when.
type Turn = (Whose, Instant);

/// Messages whose senders have to be told.
#[derive(Debug, Default)]
pub(super) struct NoticeQueue {
    known: BTreeMap<MessageId, (Turn, Late)>,
    waiting: BTreeSet<(Turn, MessageId)>,
    window: Option<Instant>,
    total: u32,
    of_strangers: u32,
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
        self.put_off(id, late, (Whose::Known, now));
    }

    /// It waits until then.
    pub(super) fn put_off(&mut self, id: MessageId, late: Late, until: Turn) {
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
        let is_due = |((whose, at), _): &&(Turn, MessageId)| *at <= now && !self.is_full(*whose);
        let known = self.first(Whose::Known).filter(is_due);
        let next = known.or_else(|| self.first(Whose::Stranger).filter(is_due));
        let (at, id) = *next?;
        self.waiting.remove(&(at, id));
        let (_, late) = self.known.remove(&id)?;
        Some((id, late))
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let looks = [Whose::Known, Whose::Stranger].into_iter();
        let looks = looks.filter_map(|whose| {
            let ((_, first), _) = self.first(whose)?;
            match self.window {
                Some(window) if self.is_full(whose) => Some((window + WINDOW).max(*first)),
                Some(_) | None => Some(*first),
            }
        });
        looks.min()
    }

    /// The one of these that has waited longest.
    fn first(&self, whose: Whose) -> Option<&(Turn, MessageId)> {
        match whose {
            Whose::Known => self.waiting.first().filter(|((of, _), _)| *of == whose),
            Whose::Stranger => self.waiting.iter().find(|((of, _), _)| *of == whose),
        }
    }

    /// Whether there may be no more notifications of these in this window.
    fn is_full(&self, whose: Whose) -> bool {
        let is_over = self.total >= NOTICES_MAX;
        match whose {
            Whose::Known => is_over,
            Whose::Stranger => is_over || self.of_strangers >= NOTICES_MAX_OF_STRANGERS,
        }
    }

    /// Counts a notification to `sender`; if there were too many, when there may be the next one.
    pub(super) fn admit(
        &mut self,
        sender: &str,
        whose: Whose,
        now: Instant,
    ) -> Result<(), Instant> {
        self.roll(now);
        let end = self.window.unwrap_or(now) + WINDOW;
        let count = self.by_sender.get(sender).copied().unwrap_or(0);
        if self.is_full(whose) || count >= NOTICES_MAX_PER_SENDER {
            self.held_back += 1;
            return Err(end);
        }
        self.window.get_or_insert(now);
        self.total += 1;
        self.of_strangers += u32::from(whose == Whose::Stranger);
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
            (self.window, self.total, self.of_strangers) = (None, 0, 0);
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
        queue.put_off(id(1), reasons, (Whose::Known, now + WINDOW));
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
            assert_eq!(queue.admit("a", Whose::Known, now), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(queue.admit("a", Whose::Known, now), Err(now + WINDOW));
        }
        assert_eq!(queue.held_back(now), None);
        for number in NOTICES_MAX_PER_SENDER..NOTICES_MAX {
            assert_eq!(queue.admit(&number.to_string(), Whose::Known, now), Ok(()));
        }
        queue.add(id(1), Late::new(), now);
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        assert_eq!(queue.held_back(now + WINDOW), Some(3));
        assert_eq!(queue.held_back(now + WINDOW), None);
        assert!(queue.take(now + WINDOW).is_some());
        assert_eq!(queue.admit("a", Whose::Known, now + WINDOW), Ok(()));
    }

    #[test]
    fn a_flood_of_strangers_keeps_nobody_else_waiting() {
        let now = Instant::now();
        let mut queue = NoticeQueue::default();
        let flood = NOTICES_MAX_OF_STRANGERS + 100;
        for number in 0..flood {
            queue.add(id(number), Late::new(), now);
        }
        for number in 0..flood {
            let (id, late) = queue.take(now).unwrap();
            let sender = number.to_string();
            if let Err(at) = queue.admit(&sender, Whose::Stranger, now) {
                assert!(number >= NOTICES_MAX_OF_STRANGERS);
                queue.put_off(id, late, (Whose::Stranger, at));
            }
        }
        // Whoever we know is behind them all, and told at once.
        queue.add(id(flood), Late::new(), now);
        assert_eq!(queue.next_look(), Some(now));
        assert_eq!(queue.take(now).unwrap().0, id(flood));
        assert_eq!(queue.admit("known", Whose::Known, now), Ok(()));
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        // In the next minute, too, strangers come last.
        queue.put_off(id(flood), Late::new(), (Whose::Known, now + WINDOW));
        assert_eq!(queue.take(now + WINDOW).unwrap().0, id(flood));
        assert!(queue.take(now + WINDOW).is_some());
    }
}
