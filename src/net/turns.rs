//! The queue of jobs that are due, in which clients take turns.
//!
//! Promises: whoever comes first of a client is served after at most one job of each other client, however many
//! jobs those have; the jobs of one client go in the order in which they came. A client that has one job at a
//! time costs no allocation. Refuses to know: jobs, and what a client is. Limits: the caller's.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items that wait, each of a client.
pub(super) struct Turns<K, T> {
    /// The next item of each client.
    next: VecDeque<(K, T)>,
    /// What each of these clients has behind it.
    behind: HashMap<K, VecDeque<T>>,
    len: usize,
}

impl<K: Eq + Hash + Clone, T> Turns<K, T> {
    pub(super) fn new() -> Self {
        Self {
            next: VecDeque::new(),
            behind: HashMap::new(),
            len: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, client: K, item: T) {
        self.len += 1;
        if let Some(behind) = self.behind.get_mut(&client) {
            behind.push_back(item);
            return;
        }
        self.behind.insert(client.clone(), VecDeque::new());
        self.next.push_back((client, item));
    }

    /// The next item; its client's next turn comes after those of all others.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (client, item) = self.next.pop_front()?;
        self.len -= 1;
        match self.behind.get_mut(&client).and_then(VecDeque::pop_front) {
            Some(next) => self.next.push_back((client, next)),
            None => {
                self.behind.remove(&client);
            }
        }
        Some(item)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(turns: &mut Turns<char, u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn clients_take_turns_and_each_ones_jobs_keep_their_order() {
        let mut turns = Turns::new();
        for number in 0..4 {
            turns.push('a', number);
        }
        turns.push('b', 10);
        turns.push('c', 20);
        turns.push('b', 11);
        assert_eq!(turns.len(), 7);
        assert_eq!(drain(&mut turns), [0, 10, 20, 1, 11, 2, 3]);
        assert_eq!(turns.len(), 0);
        assert!(turns.behind.is_empty(), "nothing is left behind");
    }

    #[test]
    fn who_comes_back_at_once_waits_for_the_others() {
        let mut turns = Turns::new();
        turns.push('a', 0);
        turns.push('a', 1);
        turns.push('b', 10);
        let first = turns.pop().unwrap();
        turns.push('a', first);
        assert_eq!(drain(&mut turns), [10, 1, 0]);
    }
}
