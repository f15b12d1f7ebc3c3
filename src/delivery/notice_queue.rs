//! Which message has its sender told next, and how many notifications there may be. Pure: time is an
//! argument.
//!
//! Promises: a message that has to wait is not forgotten; within any window of [`WINDOW`] there are at
//! most [`NOTICES_MAX`] notifications, [`NOTICES_MAX_OF_STRANGERS`] of them about mail of strangers, and
//! [`NOTICES_MAX_PER_SENDER`] to one address. Those beyond wait, and who is known goes before strangers. Those that
//! were held back for one address come together, for one notification.
//! Whose a message is shows once it is read: until then it has the turn of those who are known.
//! Limits: some hundred octets for each message that waits; its reasons stay in the spool. [`TAKEN_MAX`] at once.

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
/// Messages that one notification tells of.
pub const TAKEN_MAX: usize = 1000;

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
pub(super) type Turn = (Whose, Instant);

/// Whom a message that was held back is told to, and in whose turn.
pub(super) type Address = (Whose, String);

/// A message that waits.
#[derive(Debug)]
struct Waiting {
    turn: Turn,
    late: Late,
    /// None where it was not held back.
    address: Option<Address>,
}

/// Messages whose senders have to be told.
#[derive(Debug, Default)]
pub(super) struct NoticeQueue {
    known: BTreeMap<MessageId, Waiting>,
    waiting: BTreeSet<(Turn, MessageId)>,
    /// Those that were held back.
    held: BTreeMap<Address, BTreeSet<MessageId>>,
    window: Option<Instant>,
    total: u32,
    of_strangers: u32,
    by_sender: BTreeMap<String, u32>,
    held_back: u64,
}

impl NoticeQueue {
    /// The sender of a message has to be told. One that is known already keeps its time.
    pub(super) fn add(&mut self, id: MessageId, late: Late, now: Instant) {
        if let Some(known) = self.known.get_mut(&id) {
            known.late.extend(late);
            return;
        }
        self.put_off(id, late, (Whose::Known, now), None);
    }

    /// It waits until then, with the others of its address where it was held back.
    pub(super) fn put_off(
        &mut self,
        id: MessageId,
        late: Late,
        until: Turn,
        address: Option<Address>,
    ) {
        let mut late = late;
        // It may have come in anew while it was in hand.
        late.extend(self.remove(id).unwrap_or_default());
        if let Some(address) = &address {
            self.held.entry(address.clone()).or_default().insert(id);
        }
        let waiting = Waiting {
            turn: until,
            late,
            address,
        };
        self.known.insert(id, waiting);
        self.waiting.insert((until, id));
    }

    fn remove(&mut self, id: MessageId) -> Option<Late> {
        let known = self.known.remove(&id)?;
        self.waiting.remove(&(known.turn, id));
        if let Some(address) = known.address {
            if let Some(held) = self.held.get_mut(&address) {
                held.remove(&id);
                if held.is_empty() {
                    self.held.remove(&address);
                }
            }
        }
        Some(known.late)
    }

    /// The next one, if there may be another notification now; one that was held back with the others of its address.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(MessageId, Late)> {
        self.roll(now);
        let is_due = |((whose, at), _): &&(Turn, MessageId)| *at <= now && !self.is_full(*whose);
        let known = self.first(Whose::Known).filter(is_due);
        let Some((_, id)) = known.or_else(|| self.first(Whose::Stranger).filter(is_due)) else {
            return Vec::new();
        };
        let address = self.known.get(id).and_then(|one| one.address.as_ref());
        let held = address.and_then(|address| self.held.get(address));
        let ids = match held {
            Some(held) => held.iter().take(TAKEN_MAX).copied().collect(),
            None => vec![*id],
        };
        let taken = ids.into_iter();
        taken
            .filter_map(|id| Some((id, self.remove(id)?)))
            .collect()
    }

    /// How many messages wait that were held back.
    pub(super) fn held_now(&self) -> usize {
        self.held.values().map(BTreeSet::len).sum()
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
        let (first, reasons) = queue.take(now).remove(0);
        assert_eq!((first, reasons.len()), (id(1), 2));
        queue.put_off(id(1), reasons, (Whose::Known, now + WINDOW), None);
        assert_eq!(queue.take(now), [(id(2), Late::new())]);
        assert_eq!(queue.take(now), []);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        assert_eq!(queue.take(now + WINDOW)[0].1.len(), 2);
    }

    #[test]
    fn those_of_one_address_that_were_held_back_come_together() {
        let now = Instant::now();
        let mut queue = NoticeQueue::default();
        let end = now + WINDOW;
        let count = TAKEN_MAX as u32 + 5;
        for number in 0..count {
            let address = (Whose::Known, "a".to_owned());
            queue.put_off(id(number), Late::new(), (Whose::Known, end), Some(address));
        }
        for (number, whose, to) in [(0, Whose::Stranger, "a"), (1, Whose::Known, "b")] {
            let address = Some((whose, to.to_owned()));
            queue.put_off(id(count + number), Late::new(), (whose, end), address);
        }
        queue.add(id(count + 2), Late::new(), now);
        assert_eq!(queue.held_now(), count as usize + 2);
        assert_eq!(queue.take(now), [(id(count + 2), Late::new())]);
        assert_eq!(queue.take(now), []);
        // One that comes in anew is with them still, and only once.
        queue.add(id(7), Late::from([(0, Reason::own("4.0.0", "x"))]), now);
        let sizes: Vec<_> = (0..5).map(|_| queue.take(end)).collect();
        assert_eq!(sizes[0].len(), TAKEN_MAX);
        assert_eq!(sizes[0][7].1.len(), 1);
        assert_eq!(sizes[1].len(), 5);
        assert_eq!(sizes[2], [(id(count + 1), Late::new())]);
        assert_eq!(sizes[3], [(id(count), Late::new())]);
        assert_eq!((sizes[4].len(), queue.held_now()), (0, 0));
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
        assert_eq!(queue.take(now), []);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        assert_eq!(queue.held_back(now + WINDOW), Some(3));
        assert_eq!(queue.held_back(now + WINDOW), None);
        assert_eq!(queue.take(now + WINDOW).len(), 1);
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
            let (id, late) = queue.take(now).remove(0);
            let sender = number.to_string();
            if let Err(at) = queue.admit(&sender, Whose::Stranger, now) {
                assert!(number >= NOTICES_MAX_OF_STRANGERS);
                let address = Some((Whose::Stranger, sender));
                queue.put_off(id, late, (Whose::Stranger, at), address);
            }
        }
        // Whoever we know is behind them all, and told at once.
        queue.add(id(flood), Late::new(), now);
        assert_eq!(queue.next_look(), Some(now));
        assert_eq!(queue.take(now)[0].0, id(flood));
        assert_eq!(queue.admit("known", Whose::Known, now), Ok(()));
        assert_eq!(queue.take(now), []);
        assert_eq!(queue.next_look(), Some(now + WINDOW));
        // In the next minute, too, strangers come last.
        let next = now + WINDOW;
        queue.put_off(id(flood), Late::new(), (Whose::Known, next), None);
        assert_eq!(queue.take(next)[0].0, id(flood));
        assert_eq!(queue.take(next).len(), 1);
    }
}
