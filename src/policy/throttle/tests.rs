//! The throttle with a clock of its own.

use std::hash::Hash;
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};

use super::*;
use crate::sys::seeded::Random;

/// A throttle that is told of accounts by their names.
#[derive(Default)]
struct ByName(Throttle);

impl ByName {
    fn pace(&mut self, client: ClientKey, name: &str, now: Instant) -> Pace {
        let account = self.account(name);
        self.0.pace(client, account, now)
    }

    fn failed(&mut self, client: ClientKey, name: &str, now: Instant) {
        let account = self.account(name);
        self.0.failed(client, account, now);
    }

    fn succeeded(&mut self, client: ClientKey, name: &str, now: Instant) {
        let account = self.account(name);
        self.0.succeeded(client, account, now);
    }

    fn forget_account(&mut self, name: &str, now: Instant) -> bool {
        let account = self.account(name);
        self.0.forget_account(account, now)
    }
}

impl Deref for ByName {
    type Target = Throttle;

    fn deref(&self) -> &Throttle {
        &self.0
    }
}

impl DerefMut for ByName {
    fn deref_mut(&mut self) -> &mut Throttle {
        &mut self.0
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn after(seconds: u64) -> Pace {
    Pace::After(Duration::from_secs(seconds))
}

fn address(number: u32) -> ClientKey {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + number);
    ClientKey::of(address.into(), &[])
}

fn one() -> ClientKey {
    address(0x10_0000)
}

fn other() -> ClientKey {
    address(0x20_0000)
}

#[test]
fn the_delay_of_an_address_doubles_and_then_its_logins_are_not_looked_at() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    let want = [
        Pace::Now,
        Pace::Now,
        Pace::Now,
        after(1),
        after(2),
        after(4),
        after(8),
        after(16),
        after(32),
        after(32),
        Pace::Never,
        Pace::Never,
    ];
    for (failures, want) in want.into_iter().enumerate() {
        // Each as another account, so that none of those has a say.
        let account = format!("user{failures}");
        assert_eq!(throttle.pace(one(), &account, now), want, "{failures}");
        assert_eq!(throttle.pace(other(), &account, now), Pace::Now);
        throttle.failed(one(), &account, now);
    }
}

#[test]
fn the_delay_of_an_account_is_short_and_never_a_refusal() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    for failures in 0..50 {
        let want = match failures {
            0..=4 => Pace::Now,
            5 => after(1),
            6 => after(2),
            7 => after(4),
            _ => after(8),
        };
        assert_eq!(throttle.pace(other(), "alice", now), want, "{failures}");
        assert_eq!(throttle.pace(other(), "bob", now), Pace::Now);
        throttle.failed(address(failures), "alice", now);
    }
}

#[test]
fn the_longer_delay_of_the_two_counts() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    (0..6).for_each(|number| throttle.failed(address(number), "alice", now));
    (0..3).for_each(|_| throttle.failed(one(), "bob", now));
    assert_eq!(throttle.pace(one(), "alice", now), after(2));
    (0..3).for_each(|_| throttle.failed(one(), "carol", now));
    assert_eq!(throttle.pace(one(), "alice", now), after(8));
}

#[test]
fn a_known_pair_waits_for_its_own_failures_alone() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    throttle.succeeded(one(), "alice", now);
    let later = now + FRIEND_MEMORY - SECOND;
    // Strangers try the account, and a printer beside it has an old password.
    (0..50).for_each(|number| throttle.failed(address(number), "alice", later));
    (0..20).for_each(|_| throttle.failed(one(), "printer", later));
    assert_eq!(throttle.pace(one(), "alice", later), Pace::Now);
    assert_eq!(throttle.pace(one(), "printer", later), Pace::Never);
    assert_eq!(throttle.pace(one(), "bob", later), Pace::Never);
    assert_eq!(throttle.pace(other(), "alice", later), after(8));
    // Its own failures count as ever.
    (0..3).for_each(|_| throttle.failed(one(), "alice", later));
    assert_eq!(throttle.pace(one(), "alice", later), after(1));
    (0..7).for_each(|_| throttle.failed(one(), "alice", later));
    assert_eq!(throttle.pace(one(), "alice", later), Pace::Never);
}

#[test]
fn a_pair_is_known_for_thirty_days() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    throttle.succeeded(one(), "alice", now);
    for (age, want) in [
        (FRIEND_MEMORY - SECOND, Pace::Now),
        (FRIEND_MEMORY, Pace::Never),
    ] {
        (0..10).for_each(|_| throttle.failed(one(), "printer", now + age));
        assert_eq!(throttle.pace(one(), "alice", now + age), want);
    }
}

#[test]
fn own_logins_between_guesses_buy_no_guess() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    let mut guesses = 0;
    for number in 0..1000 {
        throttle.failed(one(), "mallory", now);
        throttle.succeeded(one(), "mallory", now);
        let victim = format!("user{}", number % 50);
        if throttle.pace(one(), &victim, now) != Pace::Never {
            guesses += 1;
            throttle.failed(one(), &victim, now);
        }
    }
    assert_eq!(guesses, ADDRESS_REFUSED_FROM);
}

#[test]
fn logins_from_many_addresses_do_not_push_out_other_known_pairs() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    throttle.succeeded(one(), "alice", now);
    (0..10_000).for_each(|number| throttle.succeeded(address(number), "mallory", now));
    (0..10).for_each(|_| throttle.failed(one(), "printer", now));
    assert_eq!(throttle.pace(one(), "alice", now), Pace::Now);
    assert_eq!(throttle.friends.entries.len(), 1 + FRIENDS_AN_ACCOUNT);
}

#[test]
fn failures_are_forgotten_a_quarter_of_an_hour_after_the_last() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    (0..10).for_each(|_| throttle.failed(one(), "alice", now));
    let last = now + MEMORY - SECOND;
    throttle.failed(one(), "alice", last);
    let almost = last + MEMORY - SECOND;
    assert_eq!(throttle.pace(one(), "x", almost), Pace::Never);
    assert_eq!(throttle.pace(other(), "alice", almost), after(8));
    assert_eq!(throttle.pace(one(), "alice", last + MEMORY), Pace::Now);
    assert!(!throttle.forget_address(one(), last + MEMORY));
    assert!(throttle.addresses.entries.is_empty() && throttle.accounts.order.is_empty());
}

#[test]
fn asking_and_being_turned_away_prolong_nothing() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    (0..10).for_each(|_| throttle.failed(one(), "alice", now));
    for minute in 0..15 {
        let at = now + 60 * minute * SECOND;
        assert_eq!(throttle.pace(one(), "bob", at), Pace::Never);
    }
    assert_eq!(throttle.pace(one(), "bob", now + MEMORY), Pace::Now);
}

#[test]
fn a_good_login_forgives_its_account_from_its_address_alone() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    (0..4).for_each(|_| throttle.failed(one(), "alice", now));
    (0..5).for_each(|_| throttle.failed(one(), "bob", now));
    (0..6).for_each(|_| throttle.failed(other(), "alice", now));
    throttle.succeeded(one(), "alice", now + SECOND);
    assert_eq!(throttle.addresses.count(one()), 5);
    let alice = throttle.account("alice");
    assert_eq!(throttle.accounts.count(alice), 6);
    assert_eq!(throttle.addresses.count(other()), 6);
    assert_eq!(throttle.pace(one(), "carol", now + SECOND), after(4));
    // What is left ends when it would have ended.
    throttle.succeeded(one(), "alice", now + MEMORY - SECOND);
    throttle.pace(other(), "bob", now + MEMORY);
    assert!(!throttle.addresses.holds(one()));
}

#[test]
fn what_the_operator_forgets_is_gone_and_nothing_else() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    (0..10).for_each(|_| throttle.failed(one(), "alice", now));
    assert!(throttle.forget_address(one(), now));
    assert!(!throttle.forget_address(one(), now));
    assert_eq!(throttle.pace(one(), "bob", now), Pace::Now);
    assert_eq!(throttle.pace(one(), "alice", now), after(8));
    assert!(throttle.forget_account("alice", now));
    assert!(!throttle.forget_account("bob", now));
    assert_eq!(throttle.pace(one(), "alice", now), Pace::Now);
    // Also what a known pair failed at.
    let ways: [fn(&mut ByName, Instant) -> bool; 2] = [
        |throttle, now| throttle.forget_address(one(), now),
        |throttle, now| throttle.forget_account("bob", now),
    ];
    for forget in ways {
        throttle.succeeded(one(), "bob", now);
        (0..10).for_each(|_| throttle.failed(one(), "bob", now));
        assert_eq!(throttle.pace(one(), "bob", now), Pace::Never);
        assert!(forget(&mut throttle, now));
        assert_eq!(throttle.pace(one(), "bob", now), Pace::Now);
    }
}

#[test]
fn the_tables_are_bounded_and_the_oldest_goes_first() {
    let (mut throttle, now) = (ByName::default(), Instant::now());
    let long = "é".repeat(5000);
    for number in 0..20_000 {
        let client = address(number);
        throttle.failed(client, &format!("{number}{long}"), now);
        throttle.succeeded(client, &format!("x{number}{long}"), now);
        throttle.failed(client, &format!("{number}{long}"), now);
    }
    assert_eq!(throttle.addresses.entries.len(), ADDRESSES_MAX);
    assert_eq!(throttle.addresses.order.len(), ADDRESSES_MAX);
    assert_eq!(throttle.accounts.entries.len(), ACCOUNTS_MAX);
    assert_eq!(throttle.pairs.order.len(), PAIRS_MAX);
    assert_eq!(throttle.friends.order.len(), FRIENDS_MAX);
    let kept = u32::try_from(ADDRESSES_MAX).unwrap();
    for number in 20_000 - kept..20_000 {
        assert!(throttle.addresses.holds(address(number)), "{number}");
    }
}

#[test]
fn whatever_happens_the_bounds_hold_and_both_indexes_agree() {
    let seed = 0x6761_7465_706f_7374;
    println!("seed {seed:#x}");
    let (mut random, mut throttle) = (Random(seed), ByName::default());
    throttle.addresses.entries_max = 20;
    throttle.accounts.entries_max = 20;
    throttle.pairs.entries_max = 20;
    throttle.friends.entries_max = 20;
    let mut now = Instant::now();
    for _ in 0..50_000 {
        now += SECOND * u32::try_from(random.below(40)).unwrap();
        let client = address(u32::try_from(random.below(40)).unwrap());
        let account = random.below(40).to_string();
        match random.below(10) {
            0 => throttle.succeeded(client, &account, now),
            1 => {
                throttle.forget_account(&account, now);
                let account = throttle.account(&account);
                assert!(!throttle.accounts.holds(account));
            }
            2 => {
                throttle.forget_address(client, now);
                assert!(!throttle.addresses.holds(client));
            }
            _ => throttle.failed(client, &account, now),
        }
        check(&throttle.addresses, now);
        check(&throttle.accounts, now);
        check(&throttle.pairs, now);
        assert!(throttle.friends.entries.len() <= 20);
        let most = Duration::from_secs(32);
        match throttle.pace(client, &account, now) {
            Pace::Now | Pace::Never => {}
            Pace::After(wait) => assert!(wait >= SECOND && wait <= most),
        }
    }
}

fn check<K: Copy + Eq + Hash>(recent: &Recent<K>, now: Instant) {
    assert!(recent.entries.len() <= recent.entries_max);
    assert_eq!(recent.entries.len(), recent.order.len());
    for (turn, key) in &recent.order {
        let entry = recent.entries[key];
        assert!(entry.turn == *turn && entry.count > 0);
        assert!(now.saturating_duration_since(entry.touched) < MEMORY);
    }
}
