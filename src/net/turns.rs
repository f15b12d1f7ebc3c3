//! The queue of jobs that are due, in which clients take turns.
//!
//! Promises: a client has at most as many jobs at a time with workers, or next to be taken, as it is told when one
//! comes; whoever comes is served after so many jobs of each other client, however many those have. A client that
//! has one job at a time costs no allocation. Refuses to know: jobs, and what a client is. Limits: the caller's.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items that wait, each of a client.
pub(super) struct Turns<K, T> {
    /// What workers take, in this order.
    next: VecDeque<T>,
    clients: HashMap<K, Client<T>>,
    waiting: usize,
}

struct Client<T> {
    /// Its items in `next`, and those that are taken and not over.
    active: usize,
    /// What comes after them.
    waiting: VecDeque<T>,
}

impl<K: Eq + Hash, T> Turns<K, T> {
    pub(super) fn new() -> Self {
        Self {
            next: VecDeque::new(),
            clients: HashMap::new(),
            waiting: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.next.len() + self.waiting
    }

    /// An item of a client that may have `most` at a time. Whether it can be taken now.
    pub(super) fn push(&mut self, client: K, item: T, most: usize) -> bool {
        let client = self.clients.entry(client).or_insert_with(|| Client {
            active: 0,
            waiting: VecDeque::new(),
        });
        if client.active >= most {
            client.waiting.push_back(item);
            self.waiting += 1;
            return false;
        }
        client.active += 1;
        self.next.push_back(item);
        true
    }

    /// The next item; [`Self::over`] is due for it.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.next.pop_front()
    }

    /// An item of this client that was taken is over: its next one comes after those that wait.
    pub(super) fn over(&mut self, client: &K) {
        let Some(found) = self.clients.get_mut(client) else {
            return;
        };
        if let Some(item) = found.waiting.pop_front() {
            self.waiting -= 1;
            self.next.push_back(item);
            return;
        }
        found.active -= 1;
        if found.active == 0 {
            self.clients.remove(client);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes and ends all, as one worker would.
    fn drain(turns: &mut Turns<u32, u32>) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(item) = turns.pop() {
            taken.push(item);
            turns.over(&(item / 10));
        }
        taken
    }

    #[test]
    fn clients_take_turns_and_each_ones_jobs_keep_their_order() {
        let mut turns = Turns::new();
        let items = [0, 1, 2, 3, 10, 20, 11];
        let can_be_taken = items.map(|item| turns.push(item / 10, item, 1));
        assert_eq!(can_be_taken, [true, false, false, false, true, true, false]);
        assert_eq!(turns.len(), 7);
        assert_eq!(drain(&mut turns), [0, 10, 20, 1, 11, 2, 3]);
        assert_eq!(turns.len(), 0);
        assert!(turns.clients.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_client_never_has_more_than_its_share_of_workers() {
        let mut turns = Turns::new();
        for item in 0..6 {
            turns.push(0, item, 2);
        }
        turns.push(1, 10, 2);
        let taken = std::iter::from_fn(|| turns.pop());
        assert_eq!(Vec::from_iter(taken), [0, 1, 10]);
        turns.over(&1);
        assert_eq!(turns.pop(), None);
        turns.over(&0);
        assert_eq!(turns.pop(), Some(2));
        assert_eq!(turns.len(), 3);
        turns.over(&0);
        turns.over(&0);
        assert_eq!(drain(&mut turns), [3, 4, 5]);
        assert!(turns.clients.is_empty());
    }
}
