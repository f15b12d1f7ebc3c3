//! How failed logins slow the next ones down, by client address and by account.
//!
//! | failures | the next login of this address | of this account |
//! | --- | --- | --- |
//! | up to 2 | at once | at once |
//! | 3, 4, 5, … | waits 1 s, 2 s, 4 s, … up to 32 s | from the 5th on 1 s, 2 s, 4 s, then 8 s |
//! | 10 and more | is not looked at | waits 8 s |
//!
//! An address is what counts as one client ([`ClientKey`]); an account is a user's name, whether there is such a
//! user or not. A failure is forgotten [`MEMORY`] after the last one of its address or account; what was
//! turned away unseen is no failure, so that time ends. A good login clears its account and halves the
//! failures of its address: cleared, one account of his own would let a guesser start anew at will; left
//! alone, one phone with an old password would shut out a whole office behind one address.
//!
//! An account never refuses and never waits long, or a stranger could lock its user out. It does not make
//! an address wait that has logged in as this account before.
//!
//! Promises: at most [`ADDRESSES_MAX`], [`ACCOUNTS_MAX`] and [`FRIENDS_MAX`] entries, the longest untouched
//! goes first; a question costs a few comparisons. Refuses to know: clocks (the time is an argument), who
//! is exempt, whether an account exists.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::mail::ClientKey;

#[cfg(test)]
mod tests;

/// How long after the last failure it still counts.
pub const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Addresses that are remembered.
pub const ADDRESSES_MAX: usize = 4096;
/// Accounts that are remembered.
pub const ACCOUNTS_MAX: usize = 4096;
/// Good pairs of address and account that are remembered.
pub const FRIENDS_MAX: usize = 4096;
/// Failures of an address from which on its logins are not looked at.
pub const ADDRESS_REFUSED_FROM: u32 = 10;
/// What of an account's name counts, octets.
pub const ACCOUNT_MAX_OCTETS: usize = 128;

/// Failures from which on the next login waits, and the longest wait in seconds.
const ADDRESS_STEPS: (u32, u64) = (3, 32);
const ACCOUNT_STEPS: (u32, u64) = (5, 8);

/// When a login may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Now,
    /// After this time.
    After(Duration),
    /// Not before the failures of its address are forgotten.
    Never,
}

/// The failed logins of the last quarter of an hour.
#[derive(Debug)]
pub struct Throttle {
    addresses: Recent<ClientKey>,
    accounts: Recent<String>,
    /// Who has logged in as whom; without a count and not forgotten by time.
    friends: Recent<(ClientKey, String)>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            addresses: Recent::new(ADDRESSES_MAX),
            accounts: Recent::new(ACCOUNTS_MAX),
            friends: Recent::new(FRIENDS_MAX),
        }
    }
}

impl Throttle {
    /// When a login from `client` as `account` may be looked at. `account` is in lower case.
    pub fn pace(&mut self, client: ClientKey, account: &str, now: Instant) -> Pace {
        self.forget_old(now);
        let account = name(account);
        let failures = self.addresses.count(&client);
        if failures >= ADDRESS_REFUSED_FROM {
            return Pace::Never;
        }
        let mut wait = delay(failures, ADDRESS_STEPS);
        let failures = self.accounts.count(&account);
        if failures > 0 && !self.friends.holds(&(client, account)) {
            wait = wait.max(delay(failures, ACCOUNT_STEPS));
        }
        match wait.is_zero() {
            true => Pace::Now,
            false => Pace::After(wait),
        }
    }

    /// Whether the logins of `client` are not looked at now, whatever the account.
    pub fn refuses(&mut self, client: ClientKey, now: Instant) -> bool {
        self.forget_old(now);
        self.addresses.count(&client) >= ADDRESS_REFUSED_FROM
    }

    /// A login failed.
    pub fn failed(&mut self, client: ClientKey, account: &str, now: Instant) {
        self.forget_old(now);
        self.addresses.add(client, now);
        self.accounts.add(name(account), now);
    }

    /// A login succeeded.
    pub fn succeeded(&mut self, client: ClientKey, account: &str, now: Instant) {
        self.forget_old(now);
        let account = name(account);
        self.addresses.halve(&client);
        self.accounts.remove(&account);
        self.friends.touch((client, account), now);
    }

    /// Forgets the failures of an address; whether there were any.
    pub fn forget_address(&mut self, client: ClientKey, now: Instant) -> bool {
        self.forget_old(now);
        self.addresses.remove(&client)
    }

    /// Forgets the failures of an account, named in lower case; whether there were any.
    pub fn forget_account(&mut self, account: &str, now: Instant) -> bool {
        self.forget_old(now);
        self.accounts.remove(&name(account))
    }

    fn forget_old(&mut self, now: Instant) {
        self.addresses.forget_old(now);
        self.accounts.forget_old(now);
    }
}

/// What an account is counted as: names of unknown users may be as long as a peer likes.
fn name(account: &str) -> String {
    let mut end = account.len().min(ACCOUNT_MAX_OCTETS);
    while !account.is_char_boundary(end) {
        end -= 1;
    }
    account.get(..end).unwrap_or_default().to_owned()
}

fn delay(failures: u32, (from, seconds_max): (u32, u64)) -> Duration {
    let Some(doublings) = failures.checked_sub(from) else {
        return Duration::ZERO;
    };
    let seconds = 1_u64.checked_shl(doublings).unwrap_or(seconds_max);
    Duration::from_secs(seconds.min(seconds_max))
}

/// A bounded map that knows which entry was touched longest ago.
#[derive(Debug)]
struct Recent<K> {
    entries: HashMap<K, Entry>,
    /// By turn: the first was touched longest ago.
    order: BTreeMap<u64, K>,
    next_turn: u64,
    entries_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    count: u32,
    touched: Instant,
    turn: u64,
}

impl<K: Clone + Eq + Hash> Recent<K> {
    fn new(entries_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next_turn: 0,
            entries_max,
        }
    }

    fn holds(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    fn count(&self, key: &K) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.count)
    }

    fn add(&mut self, key: K, now: Instant) {
        let count = self.count(&key).saturating_add(1);
        self.set(key, count, now);
    }

    fn touch(&mut self, key: K, now: Instant) {
        self.set(key, 0, now);
    }

    fn set(&mut self, key: K, count: u32, now: Instant) {
        self.remove(&key);
        if self.entries.len() >= self.entries_max {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.entries.remove(&oldest);
            }
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key.clone());
        let entry = Entry {
            count,
            touched: now,
            turn,
        };
        self.entries.insert(key, entry);
    }

    /// Half the count is left, rounded down; the entry is not touched by it.
    fn halve(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.count /= 2;
        if entry.count == 0 {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &K) -> bool {
        match self.entries.remove(key) {
            Some(entry) => self.order.remove(&entry.turn).is_some(),
            None => false,
        }
    }

    /// Lets go what was not touched for [`MEMORY`].
    fn forget_old(&mut self, now: Instant) {
        while let Some(first) = self.order.first_entry() {
            let entry = self.entries.get(first.get());
            let is_old = |entry: &Entry| now.saturating_duration_since(entry.touched) >= MEMORY;
            if entry.is_some_and(|entry| !is_old(entry)) {
                return;
            }
            let key = first.remove();
            self.entries.remove(&key);
        }
    }
}
