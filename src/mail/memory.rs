//! The memory that all sessions together may use for what clients send: envelopes and content.
//!
//! Promises: a [`Share`] counts what it was given until it is dropped; all shares together stay within the
//! budget. Refuses to know: what the memory holds. Nobody waits for it: who gets none goes another way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory that all may use, octets.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
}

impl Budget {
    /// A budget of this many octets.
    pub fn new(limit: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
        }
    }

    /// Sets another limit; what is over it now is given back in its own time.
    pub fn set_limit(&self, octets: u64) {
        self.limit.store(octets, Ordering::Relaxed);
    }

    /// Octets in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, octets: u64) -> bool {
        let used = self.used.fetch_add(octets, Ordering::Relaxed) + octets;
        if used > self.limit.load(Ordering::Relaxed) {
            self.give_back(octets);
            return false;
        }
        true
    }

    fn give_back(&self, octets: u64) {
        self.used.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// What one holder has of the budget.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    octets: u64,
}

impl Share {
    /// Nothing yet.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            octets: 0,
        }
    }

    /// Grows to `octets`, where the budget has them; a share never shrinks.
    pub fn grow_to(&mut self, octets: u64) -> bool {
        let more = octets.saturating_sub(self.octets);
        if more > 0 && !self.budget.take(more) {
            return false;
        }
        self.octets += more;
        true
    }

    /// Where it comes from.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_budget_and_give_back_what_they_had() {
        let budget = Arc::new(Budget::new(100));
        let mut one = Share::new(&budget);
        let mut other = Share::new(&budget);
        assert!(one.grow_to(60));
        assert!(!other.grow_to(41));
        assert!(other.grow_to(40));
        assert!(one.grow_to(10), "it has more already");
        assert_eq!(budget.used(), 100);
        drop(one);
        assert_eq!(budget.used(), 40);
        budget.set_limit(30);
        assert!(!other.grow_to(41));
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
