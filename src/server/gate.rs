//! Accepted sockets: the limits on sessions, then a session each.
//!
//! Limits: sessions in all and per client address (`[connections]`). One over the limit hears 421 on a
//! tcp port and nothing on a tls port, costs no worker, and is counted.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::driver::{Arrival, Connection};
use crate::config::settings::{Connections, Port, PortKind};
use crate::events;
use crate::net::{Service, Start};
use crate::session::replies;
use crate::sys::{clock, process};

/// The service the reactor runs.
pub struct Gate {
    context: Arc<Context>,
    /// The port index of each listener.
    ports: Vec<usize>,
    sessions: Arc<Sessions>,
    serial: AtomicU64,
}

/// The sessions there are, in all and per address.
#[derive(Debug, Default)]
struct Sessions {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    peak: usize,
    per_address: HashMap<IpAddr, usize>,
}

/// A session's place in the counts; gives it back when dropped.
#[derive(Debug)]
pub struct Admitted {
    sessions: Arc<Sessions>,
    address: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self
            .sessions
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(count) = counts.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.per_address.remove(&self.address);
            }
        }
    }
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    InAll,
    PerAddress,
}

impl Gate {
    /// A gate for listeners that belong to these ports, in the listeners' order.
    pub fn new(context: Arc<Context>, ports: Vec<usize>) -> Self {
        Self {
            context,
            ports,
            sessions: Arc::default(),
            serial: AtomicU64::new(0),
        }
    }

    fn admit(&self, limits: &Connections, address: IpAddr) -> Result<Admitted, Full> {
        let mut counts = self
            .sessions
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if counts.all >= limits.sessions_max {
            return Err(Full::InAll);
        }
        let per_address = limits.sessions_max_per_address;
        let count = counts.per_address.entry(address).or_insert(0);
        if per_address > 0 && *count >= per_address {
            return Err(Full::PerAddress);
        }
        *count += 1;
        counts.all += 1;
        counts.peak = counts.peak.max(counts.all);
        Ok(Admitted {
            sessions: Arc::clone(&self.sessions),
            address,
        })
    }

    fn turn_away(&self, port: &Port, mut socket: TcpStream, client: SocketAddr, full: Full) {
        let (reply, reason) = match full {
            Full::InAll => (replies::too_many_sessions(), "too many sessions"),
            Full::PerAddress => (
                replies::too_many_sessions_from_address(),
                "too many sessions from this address",
            ),
        };
        self.context.stats.connections_refused.count();
        events::connection_refused(&port.name, client, reason);
        if port.kind == PortKind::Tcp {
            // An empty send buffer takes it whole, or the peer does not hear it.
            let _ = socket.write(&reply.to_octets());
        }
    }
}

impl Service for Gate {
    type Job = Connection;

    fn accepted(
        &self,
        listener: usize,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Start<Connection>> {
        let index = self.ports.get(listener).copied()?;
        let setup = self.context.setup();
        let settings = &setup.settings;
        let port = settings.ports.get(index)?;
        let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let admitted = match self.admit(&settings.connections, client.ip()) {
            Ok(admitted) => admitted,
            Err(full) => {
                self.turn_away(port, socket, client, full);
                return None;
            }
        };
        // A peer that is gone already has no local address any more.
        let local = socket.local_addr().ok()?;
        self.context.stats.sessions.count();
        let arrival = Arrival {
            port: index,
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
            socket,
            client,
            local,
            admitted,
        };
        let job = Connection::new(Arc::clone(&self.context), setup, arrival);
        Some(Start {
            deadline: job.first_deadline(),
            job: Box::new(job),
        })
    }

    fn accept_failed(&self, listener: usize, error: &io::Error) {
        let setup = self.context.setup();
        let index = self.ports.get(listener);
        let port = index.and_then(|index| setup.settings.ports.get(*index));
        events::accept_failed(port.map_or("?", |port| port.name.as_str()), error);
    }

    fn stopping(&self) {
        let all = self
            .sessions
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all;
        events::stopping(all);
        self.context.stop(clock::monotonic());
    }

    fn tick(&self) {
        events::sum_up();
        let mut counts = self
            .sessions
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fallen = counts.peak > 64 && counts.all < counts.peak / 4;
        if fallen {
            counts.peak = counts.all;
            counts.per_address.shrink_to_fit();
        }
        drop(counts);
        if fallen {
            process::trim_memory();
        }
    }
}
