//! What is known of each client address: a bounded table.
//!
//! | shelf | holds clients that | of the places |
//! | --- | --- | --- |
//! | own | have logged in, or have an address of a local network | three fifths |
//! | senders | brought mail from elsewhere without a login, as other servers do | a fifth |
//! | strangers | did neither | a fifth |
//!
//! On each shelf the one that was seen longest ago goes first; on the first one, those that never sent nor logged in.
//! So neither scanners of the Internet nor the servers that send mail here push out a printer. IPv6 addresses
//! are kept one by one, for all devices of a house share a /64; at most [`PER_CLIENT_MAX`] of what counts as one
//! client ([`ClientKey`]) are, since a device may take a new address every day. Refuses to know: clocks, sessions, files.

use std::collections::HashMap;
use std::net::IpAddr;

use super::kind::{Kind, Weight};
use super::watch::Fault;
use crate::mail::{ClientKey, Network, TlsFacts};

/// Addresses kept of what counts as one client.
pub(super) const PER_CLIENT_MAX: usize = 16;
/// The longest name that is kept, octets.
const NAME_MAX_OCTETS: usize = 64;
/// The longest reply that is kept, octets.
const REPLY_MAX_OCTETS: usize = 160;

/// What is known of a client address. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) address: IpAddr,
    pub(super) first_seen: u64,
    pub(super) last_seen: u64,
    /// The name of the port its last session came in on.
    pub(super) port: Box<str>,
    /// Our address that its last session came to.
    pub(super) local: Option<IpAddr>,
    /// The name it gave last at EHLO or HELO.
    pub(super) helo: Option<Box<str>>,
    /// Version and cipher of its last session.
    pub(super) tls: Option<(Box<str>, Box<str>)>,
    /// The mechanism of the last login it tried.
    pub(super) mechanism: Option<Box<str>>,
    /// The user it logged in as last.
    pub(super) user: Option<Box<str>>,
    /// When.
    pub(super) logged_in: Option<u64>,
    /// When a message was last accepted of it.
    pub(super) accepted: Option<u64>,
    pub(super) sessions: u64,
    pub(super) messages: u64,
    /// Sessions in which something went wrong.
    pub(super) failures: u64,
    pub(super) trouble: Option<Box<Trouble>>,
}

/// The last thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) detail: Box<str>,
    pub(super) reply: Box<str>,
    /// When last.
    pub(super) at: u64,
    /// When first, of the sessions in a row that had the same.
    pub(super) since: u64,
    /// How many those are.
    pub(super) times: u64,
    /// It went well since.
    pub(super) mended: bool,
}

/// A session that is over.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) client: IpAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) port: &'a str,
    pub(super) helo: Option<&'a str>,
    pub(super) tls: Option<TlsFacts>,
    pub(super) login: Option<&'a str>,
    pub(super) mechanism: Option<&'a str>,
    pub(super) messages: u64,
    pub(super) fault: Option<Fault>,
}

/// The devices there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: HashMap<IpAddr, Place>,
    limit: usize,
    /// Whose hosts count singly.
    internal: Vec<Network>,
    next_turn: u64,
}

#[derive(Debug)]
struct Place {
    device: Device,
    /// What its address counts as.
    key: ClientKey,
    /// Grows with each visit: the least was seen longest ago, whatever the clock does.
    turn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    Own,
    Senders,
    Strangers,
}

impl Device {
    fn new(client: IpAddr, now: u64) -> Self {
        Self {
            address: client,
            first_seen: now,
            last_seen: now,
            port: "".into(),
            local: None,
            helo: None,
            tls: None,
            mechanism: None,
            user: None,
            logged_in: None,
            accepted: None,
            sessions: 0,
            messages: 0,
            failures: 0,
            trouble: None,
        }
    }

    /// What is wrong with it now.
    pub(super) fn current_trouble(&self) -> Option<&Trouble> {
        self.trouble.as_deref().filter(|trouble| !trouble.mended)
    }

    fn visited(&mut self, visit: Visit<'_>, now: u64) {
        self.last_seen = now;
        self.sessions += 1;
        self.messages += visit.messages;
        self.port = name(visit.port);
        self.local = visit.local.or(self.local);
        self.helo = visit.helo.map(name).or(self.helo.take());
        self.tls = visit.tls.map(|tls| (name(tls.version), name(tls.cipher)));
        self.mechanism = visit.mechanism.map(name).or(self.mechanism.take());
        if let Some(login) = visit.login {
            self.user = Some(name(login));
            self.logged_in = Some(now);
        }
        if visit.messages > 0 {
            self.accepted = Some(now);
        }
        match visit.fault {
            Some(fault) => self.failed(fault, now),
            None => self.went_well(visit.messages > 0, visit.login.is_some()),
        }
    }

    fn went_well(&mut self, sent: bool, logged_in: bool) {
        if let Some(trouble) = self.trouble.as_mut() {
            trouble.mended |= sent || logged_in && trouble.kind.is_of_login();
        }
    }

    fn failed(&mut self, fault: Fault, now: u64) {
        let is_hint = fault.kind.weight() == Weight::Hint;
        if is_hint && self.trouble.as_ref().is_some_and(|known| outweighs(known)) {
            return;
        }
        self.failures += u64::from(!is_hint);
        let same = |known: &&Trouble| {
            known.kind == fault.kind && *known.detail == *name(&fault.detail) && !known.mended
        };
        let before = self.trouble.as_deref().filter(same);
        let (since, times) = before.map_or((now, 0), |known| (known.since, known.times));
        self.trouble = Some(Box::new(Trouble {
            kind: fault.kind,
            detail: name(&fault.detail),
            reply: cut(&fault.reply, REPLY_MAX_OCTETS),
            at: now,
            since,
            times: times + 1,
            mended: fault.mended,
        }));
    }

    fn has_succeeded(&self) -> bool {
        self.logged_in.is_some() || self.accepted.is_some()
    }

    fn shelf(&self) -> Shelf {
        if self.logged_in.is_some() || is_near(self.address) {
            Shelf::Own
        } else if self.accepted.is_some() {
            Shelf::Senders
        } else {
            Shelf::Strangers
        }
    }
}

/// What is known says more than a hint does.
fn outweighs(known: &Trouble) -> bool {
    !known.mended && known.kind.weight() > Weight::Hint
}

impl Table {
    /// An empty table of at most `limit` devices; the hosts in `internal` count singly.
    pub(super) fn new(limit: usize, internal: &[Network]) -> Self {
        Self {
            limit,
            internal: internal.to_owned(),
            ..Self::default()
        }
    }

    /// At most this many from now on; the hosts in `internal` count singly.
    pub(super) fn set_limit(&mut self, limit: usize, internal: &[Network]) {
        self.limit = limit;
        internal.clone_into(&mut self.internal);
        for (address, place) in &mut self.places {
            place.key = ClientKey::of(*address, internal);
        }
        for shelf in [Shelf::Own, Shelf::Senders, Shelf::Strangers] {
            while self.on(shelf).count() > self.places_of(shelf) {
                let Some(last) = self.last_of(shelf, None) else {
                    return;
                };
                self.places.remove(&last);
            }
        }
        self.places.shrink_to_fit();
    }

    /// Whether anything is kept at all.
    pub(super) fn is_off(&self) -> bool {
        self.limit == 0
    }

    /// A session is over.
    pub(super) fn visited(&mut self, visit: Visit<'_>, now: u64) {
        let client = visit.client.to_canonical();
        let place = self.place_of(client, now);
        place.device.visited(visit, now);
        self.make_room(client);
    }

    /// A client was turned away before its session began.
    pub(super) fn turned_away(&mut self, client: IpAddr, port: &str, now: u64) {
        let client = client.to_canonical();
        let device = &mut self.place_of(client, now).device;
        device.last_seen = now;
        device.port = name(port);
        let fault = Fault {
            kind: Kind::TooManySessions,
            detail: String::new(),
            reply: String::new(),
            mended: false,
        };
        device.failed(fault, now);
        self.make_room(client);
    }

    /// A device of an earlier run, seen later than those put before.
    pub(super) fn put(&mut self, device: Device) {
        let client = device.address;
        let turn = self.turn();
        let key = ClientKey::of(client, &self.internal);
        self.places.insert(client, Place { device, key, turn });
        self.make_room(client);
    }

    /// Forgets a device; whether it was known.
    pub(super) fn forget(&mut self, client: IpAddr) -> bool {
        self.places.remove(&client.to_canonical()).is_some()
    }

    /// What is known of one.
    pub(super) fn find(&self, client: IpAddr) -> Option<&Device> {
        let place = self.places.get(&client.to_canonical());
        place.map(|place| &place.device)
    }

    /// All of them, the one seen longest ago first.
    pub(super) fn in_order(&self) -> Vec<&Device> {
        let mut places: Vec<&Place> = self.places.values().collect();
        places.sort_unstable_by_key(|place| place.turn);
        places.into_iter().map(|place| &place.device).collect()
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    fn place_of(&mut self, client: IpAddr, now: u64) -> &mut Place {
        let turn = self.turn();
        let internal = &self.internal;
        let place = self.places.entry(client).or_insert_with(|| Place {
            device: Device::new(client, now),
            key: ClientKey::of(client, internal),
            turn,
        });
        place.turn = turn;
        place
    }

    /// Somebody may have to go for the newcomer.
    fn make_room(&mut self, newcomer: IpAddr) {
        let Some(shelf) = self.find(newcomer).map(Device::shelf) else {
            return;
        };
        if self.neighbours(newcomer).count() >= PER_CLIENT_MAX {
            let last = self.neighbours(newcomer).min_by_key(|place| rank(place));
            let last = last.map(|place| place.device.address);
            last.map(|last| self.places.remove(&last));
        }
        if self.on(shelf).count() > self.places_of(shelf) {
            let last = self.last_of(shelf, Some(newcomer));
            self.places.remove(&last.unwrap_or(newcomer));
        }
    }

    fn places_of(&self, shelf: Shelf) -> usize {
        let fifth = self.limit / 5;
        match shelf {
            Shelf::Own => self.limit - 2 * fifth,
            Shelf::Senders | Shelf::Strangers => fifth,
        }
    }

    fn on(&self, shelf: Shelf) -> impl Iterator<Item = &Place> {
        let places = self.places.values();
        places.filter(move |place| place.device.shelf() == shelf)
    }

    fn last_of(&self, shelf: Shelf, but: Option<IpAddr>) -> Option<IpAddr> {
        let others = self.on(shelf);
        let others = others.filter(|place| Some(place.device.address) != but);
        let last = others.min_by_key(|place| rank(place));
        last.map(|place| place.device.address)
    }

    /// The others that count as the same client.
    fn neighbours(&self, client: IpAddr) -> impl Iterator<Item = &Place> {
        let own = self.places.get(&client).map(|place| place.key);
        let others = self.places.values();
        let others = others.filter(move |place| place.device.address != client);
        others.filter(move |place| Some(place.key) == own)
    }
}

/// The least goes first.
fn rank(place: &Place) -> (bool, u64) {
    (place.device.has_succeeded(), place.turn)
}

/// Whether the address is of a network that the Internet cannot reach (RFC 1918, 3927, 4193, 4291, 6598).
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = matches!(address.octets(), [100, 64..=127, ..]);
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

fn name(text: &str) -> Box<str> {
    cut(text, NAME_MAX_OCTETS)
}

fn cut(text: &str, max_octets: usize) -> Box<str> {
    let mut end = text.len().min(max_octets);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn visit(client: &str) -> Visit<'static> {
        Visit {
            client: client.parse().unwrap(),
            local: None,
            port: "tcp",
            helo: None,
            tls: None,
            login: None,
            mechanism: None,
            messages: 0,
            fault: None,
        }
    }

    fn fault(kind: Kind) -> Option<Fault> {
        Some(Fault {
            kind,
            detail: "x".into(),
            reply: String::new(),
            mended: false,
        })
    }

    fn holds(table: &Table, client: &str) -> bool {
        table.find(client.parse().unwrap()).is_some()
    }

    #[test]
    fn strangers_and_servers_do_not_push_out_devices() {
        let mut table = Table::new(50, &[]);
        for own in ["192.168.1.9", "203.0.113.1"] {
            let mut sends = visit(own);
            (sends.messages, sends.login) = (1, Some("scan"));
            table.visited(sends, 1);
        }
        // A printer that has never managed to send.
        let mut failing = visit("10.0.0.7");
        failing.fault = fault(Kind::TlsVersion);
        table.visited(failing, 2);
        for number in 0..2000_u32 {
            let stranger = format!("198.51.{}.{}", number / 256, number % 256);
            table.visited(visit(&stranger), 3);
            let mut server = visit(&format!("203.1.{}.{}", number / 256, number % 256));
            server.messages = 1;
            table.visited(server, 3);
            table.visited(visit(&format!("2001:db8:{number:x}::1")), 3);
            table.visited(visit(&format!("2001:db8::{number:x}")), 3);
            assert!(table.places.len() <= 50);
        }
        assert!(holds(&table, "192.168.1.9") && holds(&table, "203.0.113.1"));
        assert!(holds(&table, "10.0.0.7"));
        assert_eq!(table.places.len(), 3 + 10 + 10);
        assert!(holds(&table, "203.1.7.207") && !holds(&table, "203.1.0.0"));
    }

    #[test]
    fn near_ones_that_never_send_go_before_those_that_do() {
        let mut table = Table::new(10, &[]);
        let mut sends = visit("127.0.0.1");
        sends.messages = 1;
        table.visited(sends, 1);
        for number in 2..200 {
            table.visited(visit(&format!("127.0.0.{number}")), 2);
        }
        assert!(holds(&table, "127.0.0.1") && holds(&table, "127.0.0.199"));
        assert_eq!(table.places.len(), 6);
        table.set_limit(3, &[]);
        assert!(holds(&table, "127.0.0.1") && table.places.len() == 3);
        table.set_limit(0, &[]);
        assert!(table.is_off() && table.places.is_empty());
    }

    #[test]
    fn one_ipv6_network_has_no_more_than_its_share() {
        let mut table = Table::new(500, &[]);
        let mut sends = visit("fd00::1");
        sends.messages = 1;
        table.visited(sends, 1);
        for number in 2..100 {
            table.visited(visit(&format!("fd00::{number:x}")), 2);
        }
        assert!(holds(&table, "fd00::1") && holds(&table, "fd00::63"));
        assert_eq!(table.places.len(), PER_CLIENT_MAX);
        // Devices of a network that the operator calls internal are no single client.
        table.set_limit(
            500,
            &[Network {
                address: "fd00::".parse().unwrap(),
                prefix: 64,
            }],
        );
        for number in 100..200 {
            table.visited(visit(&format!("fd00::{number:x}")), 3);
        }
        assert_eq!(table.places.len(), PER_CLIENT_MAX + 100);
    }

    #[test]
    fn every_limit_holds_the_table() {
        for limit in 0..12 {
            let mut table = Table::new(limit, &[]);
            for number in 0..100 {
                table.visited(visit(&format!("10.0.0.{number}")), 1);
                table.visited(visit(&format!("192.0.2.{number}")), 1);
                table.turned_away(format!("203.0.113.{number}").parse().unwrap(), "tcp", 1);
                assert!(table.places.len() <= limit);
            }
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let mut table = Table::new(10, &[]);
        table.visited(visit("::ffff:10.0.0.1"), 1);
        assert!(holds(&table, "10.0.0.1"));
        assert!(table.forget("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!table.forget("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn trouble_is_counted_in_a_row_and_mended_by_success() {
        let mut device = Device::new("10.0.0.1".parse().unwrap(), 1);
        let mut come = |now, kind: Option<Kind>, messages, login| {
            let mut visit = visit("10.0.0.1");
            (visit.messages, visit.login) = (messages, login);
            visit.fault = kind.and_then(fault);
            device.visited(visit, now);
            let trouble = device.trouble.clone().unwrap();
            (
                trouble.kind.word(),
                trouble.since,
                trouble.times,
                trouble.mended,
            )
        };
        let rows = [
            (
                10,
                Some(Kind::LoginFailed),
                0,
                None,
                ("login-failed", 10, 1, false),
            ),
            (
                11,
                Some(Kind::LoginFailed),
                0,
                None,
                ("login-failed", 10, 2, false),
            ),
            (
                12,
                Some(Kind::Silent),
                0,
                None,
                ("login-failed", 10, 2, false),
            ),
            (13, None, 0, Some("scan"), ("login-failed", 10, 2, true)),
            (
                14,
                Some(Kind::LoginFailed),
                0,
                None,
                ("login-failed", 14, 1, false),
            ),
            (
                15,
                Some(Kind::TooLarge),
                0,
                None,
                ("too-large", 15, 1, false),
            ),
            (16, None, 0, Some("scan"), ("too-large", 15, 1, false)),
            (17, None, 1, None, ("too-large", 15, 1, true)),
            (18, Some(Kind::Silent), 0, None, ("silent", 18, 1, false)),
        ];
        for (now, kind, messages, login, want) in rows {
            assert_eq!(come(now, kind, messages, login), want, "at {now}");
        }
        assert_eq!(
            (device.sessions, device.messages, device.failures),
            (9, 1, 4)
        );
    }

    #[test]
    fn what_a_client_says_is_cut() {
        let mut table = Table::new(10, &[]);
        let long = "\u{e9}".repeat(500);
        let mut talks = visit("10.0.0.1");
        (talks.helo, talks.login) = (Some(long.as_str()), Some(long.as_str()));
        talks.fault = Some(Fault {
            kind: Kind::RelayDenied,
            detail: long.clone(),
            reply: long.clone(),
            mended: false,
        });
        // The borrow ends with the call.
        table.visited(talks, 1);
        let device = table.in_order().pop().unwrap().clone();
        let trouble = device.trouble.unwrap();
        assert_eq!(device.helo.unwrap().len(), NAME_MAX_OCTETS);
        assert_eq!(trouble.detail.len(), NAME_MAX_OCTETS);
        assert_eq!(trouble.reply.len(), REPLY_MAX_OCTETS);
    }
}
