//! The throttle with a clock of its own.

use std::net::Ipv4Addr;

use super::*;
use crate::sys::seeded::Random;

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
    let (mut throttle, now) = (Throttle::default(), Instant::now());
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
    let (mut throttle, now) = (Throttle::default(), Instant::now());
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
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    (0..6).for_each(|number| throttle.failed(address(number), "alice", now));
    (0..3).for_each(|_| throttle.failed(one(), "bob", now));
    assert_eq!(throttle.pace(one(), "alice", now), after(2));
    (0..3).for_each(|_| throttle.failed(one(), "carol", now));
    assert_eq!(throttle.pace(one(), "alice", now), after(8));
}

#[test]
fn an_address_that_logged_in_before_does_not_wait_for_what_strangers_do_to_the_account() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    throttle.succeeded(one(), "alice", now);
    let later = now + MEMORY * 100;
    (0..50).for_each(|number| throttle.failed(address(number), "alice", later));
    assert_eq!(throttle.pace(one(), "alice", later), Pace::Now);
    assert_eq!(throttle.pace(other(), "alice", later), after(8));
    // Its own failures count as ever.
    (0..3).for_each(|_| throttle.failed(one(), "alice", later));
    assert_eq!(throttle.pace(one(), "alice", later), after(1));
}

#[test]
fn failures_are_forgotten_a_quarter_of_an_hour_after_the_last() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
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
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    (0..10).for_each(|_| throttle.failed(one(), "alice", now));
    for minute in 0..15 {
        let at = now + 60 * minute * SECOND;
        assert_eq!(throttle.pace(one(), "bob", at), Pace::Never);
    }
    assert_eq!(throttle.pace(one(), "bob", now + MEMORY), Pace::Now);
}

#[test]
fn a_good_login_clears_the_account_and_halves_the_address() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    (0..9).for_each(|_| throttle.failed(one(), "alice", now));
    throttle.succeeded(one(), "alice", now + SECOND);
    assert_eq!(throttle.pace(other(), "alice", now + SECOND), Pace::Now);
    assert_eq!(throttle.pace(one(), "bob", now + SECOND), after(2));
    throttle.succeeded(one(), "bob", now + SECOND);
    assert_eq!(throttle.pace(one(), "bob", now + SECOND), Pace::Now);
    assert_eq!(throttle.addresses.count(&one()), 2);
    // What is left ends when it would have ended.
    throttle.succeeded(one(), "bob", now + MEMORY - SECOND);
    throttle.pace(other(), "bob", now + MEMORY);
    assert!(!throttle.addresses.holds(&one()));
}

#[test]
fn what_the_operator_forgets_is_gone_and_nothing_else() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    (0..10).for_each(|_| throttle.failed(one(), "alice", now));
    assert!(throttle.forget_address(one(), now));
    assert!(!throttle.forget_address(one(), now));
    assert_eq!(throttle.pace(one(), "bob", now), Pace::Now);
    assert_eq!(throttle.pace(one(), "alice", now), after(8));
    assert!(throttle.forget_account("alice", now));
    assert!(!throttle.forget_account("bob", now));
    assert_eq!(throttle.pace(one(), "alice", now), Pace::Now);
}

#[test]
fn the_tables_are_bounded_and_the_oldest_goes_first() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
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
    assert_eq!(throttle.friends.order.len(), FRIENDS_MAX);
    let mut names = throttle.accounts.entries.keys();
    assert!(names.all(|name| name.len() <= ACCOUNT_MAX_OCTETS));
    let kept = u32::try_from(ADDRESSES_MAX).unwrap();
    for number in 20_000 - kept..20_000 {
        assert!(throttle.addresses.holds(&address(number)), "{number}");
    }
}

#[test]
fn whatever_happens_the_bounds_hold_and_both_indexes_agree() {
    let seed = 0x6761_7465_706f_7374;
    println!("seed {seed:#x}");
    let (mut random, mut throttle) = (Random(seed), Throttle::default());
    throttle.addresses.entries_max = 20;
    throttle.accounts.entries_max = 20;
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
                assert!(!throttle.accounts.holds(&account));
            }
            2 => {
                throttle.forget_address(client, now);
                assert!(!throttle.addresses.holds(&client));
            }
            _ => throttle.failed(client, &account, now),
        }
        check(&throttle.addresses, now);
        check(&throttle.accounts, now);
        assert!(throttle.friends.entries.len() <= 20);
        let most = Duration::from_secs(32);
        match throttle.pace(client, &account, now) {
            Pace::Now | Pace::Never => {}
            Pace::After(wait) => assert!(wait >= SECOND && wait <= most),
        }
    }
}

fn check<K: Clone + Eq + Hash>(recent: &Recent<K>, now: Instant) {
    assert!(recent.entries.len() <= recent.entries_max);
    assert_eq!(recent.entries.len(), recent.order.len());
    for (turn, key) in &recent.order {
        let entry = recent.entries[key];
        assert!(entry.turn == *turn && entry.count > 0);
        assert!(now.saturating_duration_since(entry.touched) < MEMORY);
    }
}
