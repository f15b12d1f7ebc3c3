//! The moves of listeners, on real sockets of one loopback address.

use std::collections::BTreeMap;

use super::*;
use crate::sys::socket;

/// ListenerOps on real sockets, with the reactor's part played by a map.
#[derive(Default)]
struct House {
    open: BTreeMap<usize, TcpListener>,
    /// Addresses that cannot be opened once something was closed.
    cursed: Vec<SocketAddr>,
    closed_once: bool,
}

impl ListenerOps for House {
    fn open(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        if self.closed_once && self.cursed.contains(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        socket::listen(address)
    }

    fn close(&mut self, numbers: Vec<usize>) -> io::Result<()> {
        self.closed_once = true;
        for number in numbers {
            self.open.remove(&number);
        }
        Ok(())
    }
}

/// `name number [ip]` for each listener of this test's own address.
struct Scene {
    ip: String,
    house: House,
    open: Vec<Open>,
    next: usize,
}

impl Scene {
    fn new(test: u8, listeners: &[(&str, u16)]) -> Self {
        let mut scene = Self {
            ip: format!("127.77.{}.{test}", std::process::id() % 250 + 1),
            house: House::default(),
            open: Vec::new(),
            next: 0,
        };
        let moved = scene.move_to(listeners);
        assert!(moved.failures.is_empty(), "{:?}", moved.failures);
        scene
    }

    fn address(&self, number: u16) -> SocketAddr {
        format!("{}:{number}", self.ip).parse().unwrap()
    }

    fn wants(&self, listeners: &[(&str, u16)]) -> Vec<Want> {
        let want = |(port, number): &(&str, u16)| Want {
            port: (*port).into(),
            kind: PortKind::Tcp,
            address: self.address(*number),
            is_default: false,
        };
        listeners.iter().map(want).collect()
    }

    fn move_to(&mut self, listeners: &[(&str, u16)]) -> Moved {
        let wants = self.wants(listeners);
        self.apply(&wants)
    }

    fn apply(&mut self, wants: &[Want]) -> Moved {
        self.house.closed_once = false;
        let mut moved = rebind(&self.open, wants, self.next, &mut self.house).unwrap();
        for (number, listener) in std::mem::take(&mut moved.fresh) {
            self.next = self.next.max(number + 1);
            self.house.open.insert(number, listener);
        }
        self.open = moved.open.clone();
        let numbers: Vec<usize> = self.open.iter().map(|open| open.number).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let held: Vec<usize> = self.house.open.keys().copied().collect();
        assert_eq!(sorted, held, "what is told to be open is open");
        for open in &self.open {
            let bound = self.house.open[&open.number].local_addr().unwrap();
            assert_eq!(bound, open.address);
        }
        moved
    }

    fn listens(&self) -> Vec<(String, u16)> {
        let mut listens: Vec<_> = self
            .open
            .iter()
            .map(|open| (open.port.to_string(), open.address.port()))
            .collect();
        listens.sort();
        listens
    }

    fn number_of(&self, port: u16) -> usize {
        let found = self.open.iter().find(|open| open.address.port() == port);
        found.unwrap().number
    }
}

fn listed(listeners: &[(&str, u16)]) -> Vec<(String, u16)> {
    let mut listed: Vec<_> = listeners
        .iter()
        .map(|(port, number)| ((*port).to_owned(), *number))
        .collect();
    listed.sort();
    listed
}

#[test]
fn what_does_not_change_keeps_its_socket() {
    let mut scene = Scene::new(1, &[("tcp", 2525), ("tls", 4465)]);
    let before = scene.number_of(4465);
    let moved = scene.move_to(&[("tcp", 2526), ("tls", 4465)]);
    assert_eq!(scene.listens(), listed(&[("tcp", 2526), ("tls", 4465)]));
    assert_eq!(scene.number_of(4465), before);
    assert_eq!(moved.closed.len(), 1);
    let moved = scene.move_to(&[]);
    assert_eq!((moved.closed.len(), scene.open.len()), (2, 0));
    scene.move_to(&[("tcp", 2525)]);
    assert_eq!(scene.listens(), listed(&[("tcp", 2525)]));
}

#[test]
fn ports_that_swap_their_numbers_swap_their_sockets() {
    let mut scene = Scene::new(2, &[("tcp", 2525), ("tls", 4465)]);
    let before = scene.number_of(2525);
    let moved = scene.move_to(&[("tcp", 4465), ("tls", 2525)]);
    assert!(moved.failures.is_empty() && moved.closed.is_empty());
    assert_eq!(scene.listens(), listed(&[("tcp", 4465), ("tls", 2525)]));
    assert_eq!(scene.number_of(2525), before);
}

#[test]
fn a_port_that_cannot_move_stays_and_the_rest_moves() {
    let mut scene = Scene::new(3, &[("tcp", 2525), ("tls", 4465)]);
    let taken = socket::listen(scene.address(2526)).unwrap();
    let moved = scene.move_to(&[("tcp", 2526), ("tls", 4466)]);
    assert_eq!(scene.listens(), listed(&[("tcp", 2525), ("tls", 4466)]));
    let (error, stays) = &moved.failures[0];
    assert_eq!(stays, &[scene.address(2525)]);
    assert!(error.to_string().contains("another program has it"));
    // Told again as long as it is so; then it moves.
    assert_eq!(
        scene
            .move_to(&[("tcp", 2526), ("tls", 4466)])
            .failures
            .len(),
        1
    );
    drop(taken);
    assert!(
        scene
            .move_to(&[("tcp", 2526), ("tls", 4466)])
            .failures
            .is_empty()
    );
    assert_eq!(scene.listens(), listed(&[("tcp", 2526), ("tls", 4466)]));
}

#[test]
fn a_port_that_stays_keeps_its_number_from_the_next() {
    let mut scene = Scene::new(4, &[("a", 2501), ("b", 2502), ("c", 2503)]);
    let _taken = socket::listen(scene.address(2500)).unwrap();
    let moved = scene.move_to(&[("a", 2500), ("b", 2501), ("c", 2502)]);
    assert_eq!(
        scene.listens(),
        listed(&[("a", 2501), ("b", 2502), ("c", 2503)])
    );
    assert_eq!(moved.failures.len(), 3);
    assert!(
        moved.failures[1]
            .0
            .to_string()
            .contains("port a still has it")
    );
}

#[test]
fn a_new_port_that_cannot_be_had_falls_back_on_nothing() {
    let mut scene = Scene::new(5, &[("tcp", 2525)]);
    let _taken = socket::listen(scene.address(4465)).unwrap();
    let moved = scene.move_to(&[("tcp", 2525), ("tls", 4465)]);
    assert_eq!(scene.listens(), listed(&[("tcp", 2525)]));
    assert!(moved.failures[0].1.is_empty());
}

#[test]
fn a_renamed_port_keeps_its_socket() {
    let mut scene = Scene::new(6, &[("a", 2525)]);
    let before = scene.number_of(2525);
    let moved = scene.move_to(&[("b", 2525)]);
    assert!(moved.closed.is_empty());
    assert_eq!(scene.listens(), listed(&[("b", 2525)]));
    assert_eq!(scene.number_of(2525), before);
}

/// The wildcard covers every address, so this number must be of this test alone.
#[test]
fn a_wildcard_gives_way_to_an_address_and_back() {
    let mut scene = Scene::new(7, &[]);
    let number = {
        let free = socket::listen("0.0.0.0:0".parse().unwrap()).unwrap();
        free.local_addr().unwrap().port()
    };
    let any = |scene: &Scene| {
        let mut wants = scene.wants(&[("tcp", number)]);
        wants[0].address = SocketAddr::from(([0, 0, 0, 0], number));
        wants
    };
    let wants = any(&scene);
    assert!(scene.apply(&wants).failures.is_empty());
    assert!(scene.move_to(&[("tcp", number)]).failures.is_empty());
    assert_eq!(scene.open[0].address, scene.address(number));
    let wants = any(&scene);
    assert!(scene.apply(&wants).failures.is_empty());
    assert!(scene.open[0].address.ip().is_unspecified());
    // It looks as if it could be had, but once the wildcard is closed somebody else is quicker.
    scene.house.cursed = vec![scene.address(number)];
    let moved = scene.move_to(&[("tcp", number)]);
    assert_eq!(moved.failures.len(), 1);
    assert!(moved.closed.is_empty());
    assert!(scene.open[0].address.ip().is_unspecified(), "open again");
}

#[test]
fn an_address_the_machine_lacks_closes_nothing() {
    let mut scene = Scene::new(8, &[("tcp", 2525)]);
    let before = scene.number_of(2525);
    let mut wants = scene.wants(&[("tcp", 2525)]);
    wants[0].address = "192.0.2.1:2525".parse().unwrap();
    let moved = scene.apply(&wants);
    assert_eq!(moved.failures[0].1, [scene.address(2525)]);
    assert_eq!(scene.number_of(2525), before);
}
