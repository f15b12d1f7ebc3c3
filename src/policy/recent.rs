//! A bounded map that forgets: what the throttle and the count of unknown recipients remember.
//!
//! Promises: never more entries than it was made for, the one that was touched longest ago goes first; an
//! entry is forgotten once it was not touched for its time. Refuses to know: clocks (the time is an argument).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Counts by key.
#[derive(Debug)]
pub(super) struct Recent<K> {
    pub(super) entries: HashMap<K, Entry>,
    /// By turn: the first was touched longest ago.
    pub(super) order: BTreeMap<u64, K>,
    next_turn: u64,
    pub(super) entries_max: usize,
    memory: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) count: u32,
    pub(super) touched: Instant,
    pub(super) turn: u64,
}

impl<K: Copy + Eq + Hash> Recent<K> {
    /// An empty one of at most `entries_max`, each remembered for `memory`.
    pub(super) fn new(entries_max: usize, memory: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next_turn: 0,
            entries_max,
            memory,
        }
    }

    pub(super) fn holds(&self, key: K) -> bool {
        self.entries.contains_key(&key)
    }

    pub(super) fn count(&self, key: K) -> u32 {
        self.entries.get(&key).map_or(0, |entry| entry.count)
    }

    /// One more, from now on remembered for the whole time again.
    pub(super) fn add(&mut self, key: K, now: Instant) {
        let count = self.count(key).saturating_add(1);
        self.set(key, count, now);
    }

    /// One more, forgotten when the first of them is.
    pub(super) fn add_to_window(&mut self, key: K, now: Instant) {
        match self.entries.get_mut(&key) {
            Some(entry) => entry.count = entry.count.saturating_add(1),
            None => self.set(key, 1, now),
        }
    }

    /// Touches it without counting.
    pub(super) fn touch(&mut self, key: K, now: Instant) {
        self.set(key, 0, now);
    }

    fn set(&mut self, key: K, count: u32, now: Instant) {
        self.remove(key);
        if self.entries.len() >= self.entries_max {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.entries.remove(&oldest);
            }
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key);
        let entry = Entry {
            count,
            touched: now,
            turn,
        };
        self.entries.insert(key, entry);
    }

    /// So many are forgiven; the entry is not touched by it.
    pub(super) fn subtract(&mut self, key: K, count: u32) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.count = entry.count.saturating_sub(count);
        if entry.count == 0 {
            self.remove(key);
        }
    }

    /// Forgets one; whether it was there.
    pub(super) fn remove(&mut self, key: K) -> bool {
        match self.entries.remove(&key) {
            Some(entry) => self.order.remove(&entry.turn).is_some(),
            None => false,
        }
    }

    /// The keys that are meant, the one touched longest ago first. Looks at every entry.
    pub(super) fn matching(&self, is_meant: impl Fn(&K) -> bool) -> Vec<K> {
        let keys = self.order.values().copied();
        keys.filter(|key| is_meant(key)).collect()
    }

    /// Lets go what was not touched for its time.
    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some(first) = self.order.first_entry() {
            let entry = self.entries.get(first.get());
            let age = |entry: &Entry| now.saturating_duration_since(entry.touched);
            if entry.is_some_and(|entry| age(entry) < self.memory) {
                return;
            }
            let key = first.remove();
            self.entries.remove(&key);
        }
    }
}
