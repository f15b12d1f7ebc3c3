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
//! turned away unseen is no failure, so that time ends.
//!
//! A good login forgives the failures of its account from its address, and no others: somebody with an
//! account of his own would otherwise guess at others' without an end by logging in between.
//!
//! A *known* pair of address and account had a good login within [`FRIEND_MEMORY`]. Its logins wait by the
//! failures of that account from that address alone, in the steps of an address: neither a printer with an old
//! password beside it nor strangers elsewhere shut it out. An account never refuses strangers and never makes them wait
//! long, or one of them could lock its user out.
//!
//! Promises: at most [`ADDRESSES_MAX`], [`ACCOUNTS_MAX`], [`PAIRS_MAX`] and [`FRIENDS_MAX`] entries of a fixed
//! size, the longest untouched goes first, and at most [`FRIENDS_AN_ACCOUNT`] known addresses of one account; a
//! question costs a few comparisons. Refuses to know: clocks (the time is an argument), who
//! is exempt, whether an account exists.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::recent::Recent;
use crate::mail::ClientKey;

#[cfg(test)]
mod tests;

/// How long after the last failure it still counts.
pub const MEMORY: Duration = Duration::from_secs(15 * 60);
/// How long after a good login its address and account are known.
pub const FRIEND_MEMORY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Addresses that are remembered.
pub const ADDRESSES_MAX: usize = 4096;
/// Accounts that are remembered.
pub const ACCOUNTS_MAX: usize = 4096;
/// Pairs of address and account with failures that are remembered.
pub const PAIRS_MAX: usize = 4096;
/// Known pairs of address and account that are remembered.
pub const FRIENDS_MAX: usize = 4096;
/// Known addresses of one account: nobody pushes out others' by logging in from many addresses.
pub const FRIENDS_AN_ACCOUNT: usize = 64;
/// Failures of an address from which on its logins are not looked at.
pub const ADDRESS_REFUSED_FROM: u32 = 10;

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

/// An account: a keyed hash of its name, for names of unknown users may be as long as a peer likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account(u64);

/// The failed logins of the last quarter of an hour, and who has logged in well.
#[derive(Debug)]
pub struct Throttle {
    addresses: Recent<ClientKey>,
    accounts: Recent<Account>,
    pairs: Recent<(ClientKey, Account)>,
    /// Who has logged in as whom; without a count.
    friends: Recent<(ClientKey, Account)>,
    names: RandomState,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            addresses: Recent::new(ADDRESSES_MAX, MEMORY),
            accounts: Recent::new(ACCOUNTS_MAX, MEMORY),
            pairs: Recent::new(PAIRS_MAX, MEMORY),
            friends: Recent::new(FRIENDS_MAX, FRIEND_MEMORY),
            names: RandomState::new(),
        }
    }
}

impl Throttle {
    /// The account of this name, which is in lower case.
    pub fn account(&self, name: &str) -> Account {
        Account(self.names.hash_one(name))
    }

    /// When a login from `client` as `account` may be looked at.
    pub fn pace(&mut self, client: ClientKey, account: Account, now: Instant) -> Pace {
        self.forget_old(now);
        let is_known = self.friends.holds((client, account));
        let own = match is_known {
            true => self.pairs.count((client, account)),
            false => self.addresses.count(client),
        };
        if own >= ADDRESS_REFUSED_FROM {
            return Pace::Never;
        }
        let mut wait = delay(own, ADDRESS_STEPS);
        if !is_known {
            wait = wait.max(delay(self.accounts.count(account), ACCOUNT_STEPS));
        }
        match wait.is_zero() {
            true => Pace::Now,
            false => Pace::After(wait),
        }
    }

    /// A login failed.
    pub fn failed(&mut self, client: ClientKey, account: Account, now: Instant) {
        self.forget_old(now);
        self.addresses.add(client, now);
        self.accounts.add(account, now);
        self.pairs.add((client, account), now);
    }

    /// A login succeeded.
    pub fn succeeded(&mut self, client: ClientKey, account: Account, now: Instant) {
        self.forget_old(now);
        let pair = (client, account);
        let forgiven = self.pairs.count(pair);
        self.pairs.remove(pair);
        self.addresses.subtract(client, forgiven);
        self.accounts.subtract(account, forgiven);
        if !self.friends.holds(pair) {
            let others = self.friends.matching(|(_, other)| *other == account);
            if let Some(oldest) = others
                .first()
                .filter(|_| others.len() >= FRIENDS_AN_ACCOUNT)
            {
                self.friends.remove(*oldest);
            }
        }
        self.friends.touch(pair, now);
    }

    /// Forgets the failures of an address; whether there were any.
    pub fn forget_address(&mut self, client: ClientKey, now: Instant) -> bool {
        self.forget_old(now);
        self.forget_pairs(|(address, _)| *address == client) | self.addresses.remove(client)
    }

    /// Forgets the failures of an account; whether there were any.
    pub fn forget_account(&mut self, account: Account, now: Instant) -> bool {
        self.forget_old(now);
        self.forget_pairs(|(_, name)| *name == account) | self.accounts.remove(account)
    }

    fn forget_pairs(&mut self, is_meant: impl Fn(&(ClientKey, Account)) -> bool) -> bool {
        let meant = self.pairs.matching(is_meant);
        for pair in &meant {
            self.pairs.remove(*pair);
        }
        !meant.is_empty()
    }

    fn forget_old(&mut self, now: Instant) {
        self.addresses.forget_old(now);
        self.accounts.forget_old(now);
        self.pairs.forget_old(now);
        self.friends.forget_old(now);
    }
}

fn delay(failures: u32, (from, seconds_max): (u32, u64)) -> Duration {
    let Some(doublings) = failures.checked_sub(from) else {
        return Duration::ZERO;
    };
    let seconds = 1_u64.checked_shl(doublings).unwrap_or(seconds_max);
    Duration::from_secs(seconds.min(seconds_max))
}
