//! Mailboxes that take no copy, each by its user: one that fails says nothing of the others.
//!
//! A record begins with a copy that could not be written. It ends with a copy that is written, or once nothing
//! waits for the mailbox any more; the reader of the record sees to that, because the spool knows. Limits:
//! [`MAILBOXES_MAX`] mailboxes at a time, further ones are not noted; one message is remembered for each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use super::{Troubles, cut};
use crate::mail::MessageId;

/// Mailboxes that are noted.
pub const MAILBOXES_MAX: usize = 16;

/// A mailbox that takes no copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// Where and why, the last time.
    pub words: String,
    /// A message that waits for it.
    pub waiting: MessageId,
}

/// All that are noted, by user.
#[derive(Debug, Default)]
pub(super) struct Mailboxes(BTreeMap<String, Unwritable>);

impl Mailboxes {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Troubles {
    /// A copy of a message could not be written into the mailbox of `user`.
    pub fn mailbox_failed(&self, user: &str, waiting: MessageId, words: impl fmt::Display) {
        let words = cut(words.to_string());
        let mut state = self.state.lock();
        let known = &mut state.mailboxes.0;
        if known.len() < MAILBOXES_MAX || known.contains_key(user) {
            known.insert(user.to_owned(), Unwritable { words, waiting });
            self.wake(state);
        }
    }

    /// The mailbox of `user` takes copies.
    pub fn mailbox_works(&self, user: &str) {
        if self.unwritable.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state.lock();
        if state.mailboxes.0.remove(user).is_some() {
            self.wake(state);
        }
    }

    /// Where the mailbox has not failed since it did with `before`: `next` is a message that waits for it now;
    /// none = nothing does, and the record ends.
    pub fn mailbox_waits(&self, user: &str, before: MessageId, next: Option<MessageId>) {
        let mut state = self.state.lock();
        let known = state.mailboxes.0.get_mut(user);
        let Some(known) = known.filter(|known| known.waiting == before) else {
            return;
        };
        match next {
            Some(next) => known.waiting = next,
            None => {
                state.mailboxes.0.remove(user);
                self.wake(state);
            }
        }
    }

    /// Every mailbox that takes no copy, by user.
    pub fn mailboxes(&self) -> BTreeMap<String, Unwritable> {
        match self.unwritable.load(Ordering::Relaxed) {
            0 => BTreeMap::new(),
            _ => self.state.lock().mailboxes.0.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(troubles: &Troubles) -> Vec<String> {
        troubles.mailboxes().into_keys().collect()
    }

    #[test]
    fn a_mailbox_is_noted_until_it_works_or_nothing_waits_for_it() {
        let troubles = Troubles::default();
        let [first, second] = [1, 2].map(|number| MessageId::new(7, number));
        troubles.mailbox_works("alice");
        troubles.mailbox_failed("alice", first, "denied\n");
        troubles.mailbox_failed("bob", first, "no folder");
        assert_eq!(users(&troubles), ["alice", "bob"]);
        let alice = troubles.mailboxes().remove("alice").unwrap();
        assert_eq!((alice.words.as_str(), alice.waiting), ("denied ", first));
        troubles.mailbox_works("alice");
        assert_eq!(users(&troubles), ["bob"]);
        troubles.mailbox_waits("bob", first, Some(second));
        // It has failed anew since somebody looked.
        troubles.mailbox_waits("bob", first, None);
        assert_eq!(users(&troubles), ["bob"]);
        troubles.mailbox_waits("bob", second, None);
        assert!(users(&troubles).is_empty());
    }

    #[test]
    fn so_many_are_noted_and_one_that_ends_makes_room() {
        let troubles = Troubles::default();
        let id = MessageId::new(7, 1);
        for number in 0..2 * MAILBOXES_MAX {
            troubles.mailbox_failed(&number.to_string(), id, "x");
        }
        assert_eq!(users(&troubles).len(), MAILBOXES_MAX);
        troubles.mailbox_works("3");
        troubles.mailbox_failed("alice", id, "x");
        assert_eq!(users(&troubles).len(), MAILBOXES_MAX);
        assert!(users(&troubles).contains(&"alice".to_owned()));
    }
}
