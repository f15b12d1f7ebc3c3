//! Which message of a lane goes next, and when. Pure: time is an argument.
//!
//! | a message is | and goes on when |
//! | --- | --- |
//! | due | a thread is free and the host does not rest |
//! | put off by itself (the server refused it, the connection broke under it) | its own time has come |
//! | put off by the host (no connection, no TLS, no login) | its own time has come, or the host works again |
//! | in hand | its thread says what became of it |
//!
//! After a failure of the host it *rests*: nobody connects, whatever is due. Then one thread tries with
//! one message, and only when that connection stands do the others follow. So a dead server costs one
//! attempt per rest, not one per message. A rest is over when the first message is due whose own time it would pass, and
//! at the latest after the first retry of one that comes meanwhile: so each is tried when it was said. A connection that stands goes on meanwhile. What expires during
//! a rest is given out all the same: not to be tried, but to be given up.
//!
//! Limits: some hundred octets for each message that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::mail::MessageId;

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing speaks against it.
    Due,
    /// An attempt at itself failed.
    Itself,
    /// The server could not be used.
    Host,
}

/// Where a message is, for an operator who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A thread has it.
    InHand,
    /// It is not tried before.
    Until(Instant),
}

#[derive(Debug, Clone, Copy)]
enum Place {
    InHand,
    Waiting(Instant, Why),
}

/// All messages with recipients for a lane that are not done.
#[derive(Debug, Default)]
pub(super) struct LaneQueue {
    places: BTreeMap<MessageId, Place>,
    waiting: BTreeSet<(Instant, MessageId)>,
    /// When each expires, as far as that is known.
    ends: BTreeMap<MessageId, Instant>,
    by_end: BTreeSet<(Instant, MessageId)>,
    /// Those in hand that an operator wants tried again at once, and when that was asked.
    hurried: BTreeMap<MessageId, Instant>,
    /// While the host fails: when it may be tried again.
    rest_until: Option<Instant>,
    /// When it failed last.
    failed_at: Option<Instant>,
    /// How often the host failed in a row.
    failures: u32,
    /// Whether a thread is trying whether the host works again.
    is_probed: bool,
}

impl LaneQueue {
    /// A message is due, unless it is known already; and when it expires. Where the host rests, it does so no
    /// longer than `retry`, as if this message had failed.
    pub(super) fn add(
        &mut self,
        id: MessageId,
        now: Instant,
        end: Option<Instant>,
        retry: Duration,
    ) {
        if self.places.contains_key(&id) {
            return;
        }
        self.rest_until = self.rest_until.map(|until| until.min(now + retry));
        self.wait(id, now, Why::Due);
        if let Some(end) = end {
            self.ends.insert(id, end);
            self.by_end.insert((end, id));
        }
    }

    /// While the host rests: a message that has expired by now.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<MessageId> {
        self.rest_until?;
        let is_past = |(end, _): &&(Instant, MessageId)| *end <= now;
        let mut past = self.by_end.iter().take_while(is_past);
        let id = past.find_map(|(_, id)| match self.places.get(id)? {
            Place::Waiting(at, _) => Some((*at, *id)),
            Place::InHand => None,
        });
        let (at, id) = id?;
        self.waiting.remove(&(at, id));
        self.places.insert(id, Place::InHand);
        self.forget_end(id);
        Some(id)
    }

    fn forget_end(&mut self, id: MessageId) {
        if let Some(end) = self.ends.remove(&id) {
            self.by_end.remove(&(end, id));
        }
    }

    /// The next message for a thread without a connection.
    pub(super) fn take(&mut self, now: Instant) -> Option<MessageId> {
        if let Some(until) = self.rest_until {
            if self.is_probed || now < until {
                return None;
            }
            let id = self.take_more(now)?;
            self.is_probed = true;
            return Some(id);
        }
        self.take_more(now)
    }

    /// The next message for a thread whose connection stands.
    pub(super) fn take_more(&mut self, now: Instant) -> Option<MessageId> {
        let (at, id) = *self.waiting.first().filter(|(at, _)| *at <= now)?;
        self.waiting.remove(&(at, id));
        self.places.insert(id, Place::InHand);
        Some(id)
    }

    /// Where a message is, if it is known.
    pub(super) fn look(&self, id: MessageId) -> Option<Look> {
        Some(match *self.places.get(&id)? {
            Place::InHand => Look::InHand,
            Place::Waiting(at, _) => Look::Until(self.rest_until.map_or(at, |rest| rest.max(at))),
        })
    }

    /// Every message that is known.
    pub(super) fn messages(&self) -> Vec<MessageId> {
        self.places.keys().copied().collect()
    }

    /// How many of them a thread has.
    pub(super) fn in_hand(&self) -> usize {
        self.places.len().saturating_sub(self.waiting.len())
    }

    /// A message that waits is due, because an operator asked then; one in hand will be, if it is put off.
    /// Where there is one, the host's rest is over, unless the host has failed since: whoever hurries many messages has it tried once.
    pub(super) fn hurry(&mut self, id: MessageId, asked: Instant) {
        match self.places.get(&id).copied() {
            Some(Place::Waiting(at, _)) => {
                self.waiting.remove(&(at, id));
                self.wait(id, asked, Why::Due);
            }
            Some(Place::InHand) => {
                self.hurried.insert(id, asked);
            }
            None => return,
        }
        if self.failed_at.is_none_or(|at| at <= asked) {
            (self.rest_until, self.is_probed) = (None, false);
        }
    }

    /// A message that waits is known no more; whether it is in nobody's hand.
    pub(super) fn withdraw(&mut self, id: MessageId) -> bool {
        match self.places.get(&id).copied() {
            Some(Place::InHand) => return false,
            Some(Place::Waiting(at, _)) => {
                self.waiting.remove(&(at, id));
                self.places.remove(&id);
                self.forget_end(id);
            }
            None => {}
        }
        true
    }

    /// When to look again, if nothing happens before.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let (first, _) = self.waiting.first()?;
        let end = self.by_end.first().map(|(end, _)| *end);
        match self.rest_until {
            // Whoever tries will tell.
            Some(_) if self.is_probed => end,
            Some(until) => {
                let next = until.max(*first);
                Some(end.map_or(next, |end| end.min(next)))
            }
            None => Some(*first),
        }
    }

    /// Nothing is left to do for a message in hand.
    pub(super) fn finish(&mut self, id: MessageId) {
        self.places.remove(&id);
        self.hurried.remove(&id);
        self.forget_end(id);
        self.is_probed = false;
    }

    /// The same for one that was given out by [`LaneQueue::take_expired`]: it says nothing of the host.
    pub(super) fn finish_expired(&mut self, id: MessageId) {
        self.places.remove(&id);
        self.hurried.remove(&id);
    }

    /// A message in hand waits until then.
    pub(super) fn put_off(&mut self, id: MessageId, until: Instant, why: Why) {
        self.is_probed = false;
        match self.hurried.remove(&id) {
            Some(asked) => self.wait(id, asked, Why::Due),
            None => self.wait(id, until, why),
        }
    }

    /// How many messages are known, and how many of them threads have.
    pub(super) fn depth(&self) -> (usize, usize) {
        let known = self.places.len();
        (known, known - self.waiting.len())
    }

    /// Whether the host rests.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rest_until.is_some_and(|until| until > now)
    }

    /// How often the host failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// No connection could be set up: the host rests, but for no message past the time that it was given.
    pub(super) fn host_failed(&mut self, now: Instant, rest_until: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        let later = (now + Duration::from_nanos(1), MessageId::new(0, 0));
        let next = self.waiting.range(later..).next().map(|(at, _)| *at);
        self.rest_until = Some(next.map_or(rest_until, |next| next.min(rest_until)));
        self.is_probed = false;
    }

    /// A connection stands: whoever waited for that is due. Whether the host takes mail is not known yet.
    pub(super) fn host_answers(&mut self, now: Instant) {
        self.is_probed = false;
        if self.rest_until.take().is_none() {
            return;
        }
        self.make_due(now, |why| why == Why::Host);
    }

    /// What the host failed for may be mended: it is tried at once, with one message.
    pub(super) fn host_may_work(&mut self, now: Instant) {
        if let Some(until) = &mut self.rest_until {
            *until = now.min(*until);
            self.make_due(now, |why| why == Why::Host);
        }
    }

    /// The host has taken up a transaction: what failed before counts no more.
    pub(super) fn host_works(&mut self) {
        self.failures = 0;
    }

    /// The host is another one: everything is due.
    pub(super) fn host_changed(&mut self, now: Instant) {
        (self.rest_until, self.is_probed, self.failures) = (None, false, 0);
        self.make_due(now, |_| true);
    }

    fn make_due(&mut self, now: Instant, which: impl Fn(Why) -> bool) {
        let mut later = Vec::new();
        for (id, place) in &self.places {
            match place {
                Place::Waiting(at, why) if *at > now && which(*why) => later.push((*at, *id)),
                Place::Waiting(..) | Place::InHand => {}
            }
        }
        for (at, id) in later {
            self.waiting.remove(&(at, id));
            self.wait(id, now, Why::Due);
        }
    }

    fn wait(&mut self, id: MessageId, until: Instant, why: Why) {
        self.places.insert(id, Place::Waiting(until, why));
        self.waiting.insert((until, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(3600);

    fn id(number: u32) -> MessageId {
        MessageId::new(1, number)
    }

    #[test]
    fn messages_go_in_order_and_each_to_one_thread() {
        let now = Instant::now();
        let mut queue = LaneQueue::default();
        assert_eq!(queue.next_look(), None);
        queue.add(id(1), now, None, RETRY);
        queue.add(id(2), now, None, RETRY);
        queue.add(id(1), now, None, RETRY);
        assert_eq!(queue.next_look(), Some(now));
        assert_eq!(queue.take(now), Some(id(1)));
        // Known, though in hand: a deliverer that sees it again changes nothing.
        queue.add(id(1), now, None, RETRY);
        assert_eq!(queue.take_more(now), Some(id(2)));
        assert_eq!(queue.take(now), None);
        queue.finish(id(1));
        queue.add(id(1), now, None, RETRY);
        assert_eq!(queue.take(now), Some(id(1)));
    }

    #[test]
    fn a_message_put_off_waits_for_its_own_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut queue = LaneQueue::default();
        queue.add(id(1), now, None, RETRY);
        queue.take(now);
        queue.put_off(id(1), later, Why::Itself);
        assert_eq!((queue.take(now), queue.next_look()), (None, Some(later)));
        queue.host_answers(now);
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.take(later), Some(id(1)));
    }

    #[test]
    fn a_failing_host_is_tried_by_one_thread_after_each_rest() {
        let now = Instant::now();
        let rest = now + Duration::from_secs(60);
        let hour = now + Duration::from_secs(3600);
        let mut queue = LaneQueue::default();
        (1..=3).for_each(|number| queue.add(id(number), now, None, RETRY));
        queue.take(now);
        queue.put_off(id(1), hour, Why::Host);
        queue.host_failed(now, rest);
        assert_eq!((queue.take(now), queue.next_look()), (None, Some(rest)));
        // A connection that stands goes on.
        assert_eq!(queue.take_more(now), Some(id(2)));
        queue.put_off(id(2), hour, Why::Itself);
        assert_eq!(queue.take(rest), Some(id(3)));
        queue.add(id(4), rest, None, RETRY);
        assert_eq!((queue.take(rest), queue.next_look()), (None, None));
        queue.host_answers(rest);
        assert_eq!(queue.take(rest), Some(id(1)));
        assert_eq!(queue.take(rest), Some(id(4)));
        assert_eq!(queue.take(rest), None);
        queue.host_changed(rest);
        assert_eq!(queue.take(rest), Some(id(2)));
    }

    #[test]
    fn a_host_that_answers_and_takes_nothing_goes_on_failing() {
        let now = Instant::now();
        let mut queue = LaneQueue::default();
        for failures in 1..=3 {
            queue.host_answers(now);
            queue.host_failed(now, now);
            assert_eq!(queue.failures(), failures);
        }
        queue.host_answers(now);
        queue.host_works();
        assert_eq!(queue.failures(), 0);
    }

    #[test]
    fn a_host_that_may_work_is_tried_at_once_by_one_thread() {
        let now = Instant::now();
        let (hour, rest) = (
            now + Duration::from_secs(3600),
            now + Duration::from_secs(60),
        );
        let mut queue = LaneQueue::default();
        queue.host_may_work(now);
        (1..=3).for_each(|number| queue.add(id(number), now, None, RETRY));
        queue.take(now);
        queue.take(now);
        queue.put_off(id(1), hour, Why::Host);
        queue.put_off(id(2), hour, Why::Itself);
        queue.host_failed(now, rest);
        assert_eq!(queue.take(now), None);
        queue.host_may_work(now);
        assert_eq!((queue.failures(), queue.take(now)), (1, Some(id(1))));
        assert_eq!(queue.take(now), None);
        // One that is being tried is not tried beside that.
        queue.host_may_work(now);
        assert_eq!(queue.take(now), None);
        queue.put_off(id(1), hour, Why::Host);
        queue.host_failed(now, rest);
        assert_eq!(queue.take(now), None);
    }

    #[test]
    fn a_probe_that_comes_to_nothing_is_over() {
        let now = Instant::now();
        let mut queue = LaneQueue::default();
        (1..=3).for_each(|number| queue.add(id(number), now, None, RETRY));
        queue.take(now);
        queue.host_failed(now, now);
        assert_eq!(queue.take(now), Some(id(2)));
        queue.finish(id(2));
        assert_eq!(queue.take(now), Some(id(3)));
    }

    #[test]
    fn an_operator_sees_hurries_and_withdraws_what_waits() {
        let now = Instant::now();
        let (soon, rest) = (now + Duration::from_secs(5), now + Duration::from_secs(60));
        let mut queue = LaneQueue::default();
        (1..=2).for_each(|number| queue.add(id(number), now, Some(rest), RETRY));
        assert_eq!(queue.take(now), Some(id(1)));
        assert_eq!(
            (queue.look(id(1)), queue.look(id(3))),
            (Some(Look::InHand), None)
        );
        assert!(!queue.withdraw(id(1)));
        queue.put_off(id(1), soon, Why::Host);
        queue.host_failed(now, rest);
        // The rest does not pass its own time.
        assert_eq!(queue.look(id(1)), Some(Look::Until(soon)));
        queue.hurry(id(1), now);
        assert_eq!(queue.look(id(1)), Some(Look::Until(now)));
        assert_eq!(queue.take(now), Some(id(1)));
        // What is in hand goes on, and is due at once if it is put off.
        queue.hurry(id(1), now);
        assert_eq!(queue.look(id(1)), Some(Look::InHand));
        queue.put_off(id(1), rest, Why::Itself);
        assert_eq!(queue.take(now), Some(id(1)));
        queue.put_off(id(1), rest, Why::Itself);
        assert_eq!(queue.look(id(1)), Some(Look::Until(rest)));
        assert!(queue.withdraw(id(2)) && queue.withdraw(id(3)));
        assert_eq!((queue.look(id(2)), queue.take(now)), (None, None));
    }

    #[test]
    fn whoever_hurries_many_messages_has_a_failing_host_tried_once() {
        let asked = Instant::now();
        let [later, rest] = [1, 60].map(|seconds| asked + Duration::from_secs(seconds));
        let mut queue = LaneQueue::default();
        (1..=3).for_each(|number| queue.add(id(number), asked, None, RETRY));
        queue.host_failed(asked, rest);
        queue.hurry(id(1), asked);
        assert_eq!(queue.take(later), Some(id(1)));
        queue.put_off(id(1), rest, Why::Host);
        queue.host_failed(later, rest);
        for number in 1..=3 {
            queue.hurry(id(number), asked);
        }
        assert_eq!((queue.take(later), queue.next_look()), (None, Some(rest)));
        // Asked once more, it is tried once more.
        queue.hurry(id(2), later);
        assert_eq!(queue.take(later), Some(id(1)));
    }

    #[test]
    fn what_expires_while_the_host_rests_is_given_out_without_a_probe() {
        let now = Instant::now();
        let (end, rest) = (now + Duration::from_secs(5), now + Duration::from_secs(60));
        let mut queue = LaneQueue::default();
        (1..=3).for_each(|number| queue.add(id(number), now, Some(end), RETRY));
        queue.take(now);
        queue.put_off(id(1), rest, Why::Host);
        assert_eq!(queue.take_expired(end), None);
        queue.host_failed(now, rest);
        assert_eq!(
            (queue.take_expired(now), queue.next_look()),
            (None, Some(end))
        );
        for number in 1..=3 {
            assert_eq!(queue.take_expired(end), Some(id(number)));
            queue.finish_expired(id(number));
        }
        assert_eq!((queue.take_expired(end), queue.next_look()), (None, None));
    }

    #[test]
    fn a_rest_ends_when_a_message_is_due_by_its_own_time() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut queue = LaneQueue::default();
        queue.add(id(1), now, None, RETRY);
        queue.add(id(2), now, None, RETRY);
        // The first was told that it is tried again after 30 s; the second fails after 10.
        assert_eq!(queue.take(now), Some(id(1)));
        queue.host_failed(now, after(10));
        queue.put_off(id(1), after(30), Why::Host);
        assert_eq!(queue.take(after(10)), Some(id(2)));
        queue.host_failed(after(10), after(310));
        queue.put_off(id(2), after(310), Why::Host);
        assert_eq!(queue.next_look(), Some(after(30)));
        assert_eq!(queue.look(id(1)), Some(Look::Until(after(30))));
        assert_eq!(queue.take(after(29)), None);
        assert_eq!(queue.take(after(30)), Some(id(1)));
        queue.host_failed(after(30), after(330));
        queue.put_off(id(1), after(330), Why::Host);
        // One that comes meanwhile waits as long as if it had failed.
        queue.add(id(3), after(40), None, Duration::from_secs(60));
        assert_eq!(queue.next_look(), Some(after(100)));
        assert_eq!(queue.take(after(99)), None);
        assert_eq!(queue.take(after(100)), Some(id(3)));
    }
}
