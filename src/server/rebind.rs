//! From the listeners that are open to those that are wanted.
//!
//! | an address that is wanted | becomes |
//! | --- | --- |
//! | is open already, for whatever port | kept: the same socket, whatever its port is called and speaks now |
//! | can be bound | bound, before anything is closed |
//! | is covered by one of ours that goes (`0.0.0.0` and `127.0.0.1`, one number) | bound after that one is closed |
//! | cannot be bound | a failure: what its port listened on before stays open |
//!
//! What stays open for a failure may be what another port wanted: that port then fails as well, and so
//! on, until every port has what it asked for or what it had. An open address that nobody wants and
//! nobody falls back on is closed; what waited there was connected, so it is taken first.
//!
//! Between closing and binding on one number there is a moment in which a client is refused; that is
//! the price of not sharing ports (SO_REUSEPORT), which would let another program of the same account
//! take part of the mail. The address itself is tried on another number first, and if the binding fails
//! all the same, what was closed is opened again. Refuses to know: the reactor; [`ListenerOps`] opens and closes.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::listeners::{BindError, Reason, Want};
use crate::config::settings::PortKind;

/// A listener that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The number the reactor knows it by.
    pub number: usize,
    /// The name of its port.
    pub port: Arc<str>,
    /// How its sessions speak.
    pub kind: PortKind,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Opens and closes listeners.
pub trait ListenerOps {
    /// Opens one; it does not accept yet.
    ///
    /// # Errors
    /// What the system says.
    fn open(&mut self, address: SocketAddr) -> io::Result<TcpListener>;

    /// Closes some, by number.
    ///
    /// # Errors
    /// Nothing can be changed any more.
    fn close(&mut self, numbers: Vec<usize>) -> io::Result<()>;
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Moved {
    /// Everything that is open now.
    pub open: Vec<Open>,
    /// Those of them that are new, to be accepted on.
    pub fresh: Vec<(usize, TcpListener)>,
    /// What was closed.
    pub closed: Vec<Open>,
    /// What could not be had, and where its port goes on instead.
    pub failures: Vec<(BindError, Vec<SocketAddr>)>,
}

enum Fate {
    Kept(usize),
    Bound(TcpListener),
    /// The machine lacks its family, which is no fault.
    Missing,
    AfterClosing,
    Failed(Reason),
}

/// Opens and closes what has to be. New listeners get the numbers from `first_number` on.
///
/// # Errors
/// The service is going down.
pub fn rebind(
    open: &[Open],
    wants: &[Want],
    first_number: usize,
    ops: &mut dyn ListenerOps,
) -> io::Result<Moved> {
    let mut fates: Vec<Fate> = Vec::new();
    for want in wants {
        fates.push(first_try(open, want, ops));
    }
    let staying = settle_conflicts(open, wants, &mut fates);
    let kept = |number| {
        fates
            .iter()
            .any(|f| matches!(f, Fate::Kept(n) if *n == number))
    };
    let goes = |o: &&Open| !kept(o.number) && !staying.contains(&o.number);
    let mut closed: Vec<Open> = open.iter().filter(goes).cloned().collect();
    if !closed.is_empty() {
        ops.close(closed.iter().map(|open| open.number).collect())?;
    }
    let mut assembly = Assembly {
        moved: Moved::default(),
        next_number: first_number,
    };
    let stays = |open: &&Open| staying.contains(&open.number);
    assembly.moved.open = open.iter().filter(stays).cloned().collect();
    for (want, fate) in wants.iter().zip(fates) {
        assembly.add(want, fate, &mut closed, ops);
    }
    assembly.moved.closed = closed;
    Ok(assembly.finish())
}

fn first_try(open: &[Open], want: &Want, ops: &mut dyn ListenerOps) -> Fate {
    if let Some(open) = open.iter().find(|open| open.address == want.address) {
        return Fate::Kept(open.number);
    }
    match ops.open(want.address) {
        Ok(listener) => Fate::Bound(listener),
        Err(error) if want.may_miss(&error) => {
            want.log_missing();
            Fate::Missing
        }
        Err(error) => {
            let ours = open.iter().any(|open| overlap(open.address, want.address));
            if !ours || error.kind() != ErrorKind::AddrInUse {
                return Fate::Failed(Reason::System(error));
            }
            match ops.open(SocketAddr::new(want.address.ip(), 0)) {
                Ok(_) => Fate::AfterClosing,
                Err(error) => Fate::Failed(Reason::System(error)),
            }
        }
    }
}

/// Lets every port that failed have what it had, and those that wanted that fail; gives the numbers
/// of what stays open for it.
fn settle_conflicts(open: &[Open], wants: &[Want], fates: &mut [Fate]) -> Vec<usize> {
    loop {
        let staying = fallbacks(open, wants, fates);
        let holder = |want: &Want, fate: &Fate| {
            let mut stays = open.iter().filter(|open| staying.contains(&open.number));
            let holds = |open: &&Open| match fate {
                Fate::Kept(number) => open.number == *number && open.port != want.port,
                Fate::AfterClosing => overlap(open.address, want.address),
                Fate::Bound(_) | Fate::Missing | Fate::Failed(_) => false,
            };
            stays.find(holds).map(|open| Arc::clone(&open.port))
        };
        let mut pairs = wants.iter().zip(fates.iter_mut());
        let lost = pairs.find_map(|(want, fate)| Some((holder(want, fate)?, fate)));
        match lost {
            Some((port, fate)) => *fate = Fate::Failed(Reason::HeldBy(port)),
            None => return staying,
        }
    }
}

/// What the ports that failed listened on before: on the same address where they did, else all.
fn fallbacks(open: &[Open], wants: &[Want], fates: &[Fate]) -> Vec<usize> {
    let pairs = || wants.iter().zip(fates);
    let kept_by_its_port = |open: &Open| {
        pairs().any(|(want, fate)| {
            matches!(fate, Fate::Kept(number) if *number == open.number) && want.port == open.port
        })
    };
    let mut staying = Vec::new();
    for (want, fate) in pairs() {
        if !matches!(fate, Fate::Failed(_)) {
            continue;
        }
        let before = |open: &&Open| open.port == want.port && !kept_by_its_port(open);
        let same_address = |open: &&Open| open.address.ip() == want.address.ip();
        let on_it: Vec<&Open> = open.iter().filter(before).filter(same_address).collect();
        match on_it.is_empty() {
            false => staying.extend(on_it.iter().map(|open| open.number)),
            true => staying.extend(open.iter().filter(before).map(|open| open.number)),
        }
    }
    staying.sort_unstable();
    staying.dedup();
    staying
}

struct Assembly {
    moved: Moved,
    next_number: usize,
}

impl Assembly {
    fn add(&mut self, want: &Want, fate: Fate, closed: &mut Vec<Open>, ops: &mut dyn ListenerOps) {
        match fate {
            Fate::Kept(number) => self.moved.open.push(open_as(want, number)),
            Fate::Bound(listener) => self.fresh(open_as(want, 0), listener),
            Fate::Missing => {}
            Fate::Failed(reason) => self.fail(want, reason),
            Fate::AfterClosing => match ops.open(want.address) {
                Ok(listener) => self.fresh(open_as(want, 0), listener),
                Err(error) => {
                    self.open_again(want, closed, ops);
                    self.fail(want, Reason::System(error));
                }
            },
        }
    }

    fn fresh(&mut self, mut open: Open, listener: TcpListener) {
        open.number = self.next_number;
        self.next_number += 1;
        self.moved.fresh.push((open.number, listener));
        self.moved.open.push(open);
    }

    fn fail(&mut self, want: &Want, reason: Reason) {
        self.moved.failures.push((want.failed(reason), Vec::new()));
    }

    fn open_again(&mut self, want: &Want, closed: &mut Vec<Open>, ops: &mut dyn ListenerOps) {
        let covers = |open: &Open| overlap(open.address, want.address) && open.port == want.port;
        let (again, rest) = closed.drain(..).partition(covers);
        *closed = rest;
        let again: Vec<Open> = again;
        for open in again {
            match ops.open(open.address) {
                Ok(listener) => self.fresh(open, listener),
                Err(_) => closed.push(open),
            }
        }
    }

    /// Says of each failure where its port goes on.
    fn finish(mut self) -> Moved {
        for (error, stays) in &mut self.moved.failures {
            let open = self.moved.open.iter();
            let same = open.filter(|open| open.port == error.port);
            stays.extend(same.map(|open| open.address));
        }
        self.moved
    }
}

fn open_as(want: &Want, number: usize) -> Open {
    Open {
        number,
        port: Arc::clone(&want.port),
        kind: want.kind,
        address: want.address,
    }
}

/// Whether two listeners cannot be open at once: IPv6 ones take no IPv4.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |address: IpAddr| address.is_unspecified();
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || any(one.ip()) || any(other.ip()))
}

#[cfg(test)]
mod tests;
