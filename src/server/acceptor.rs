//! Accepted sockets: the limits on sessions, then a session each.
//!
//! Limits: sessions in all and per client (`[connections]`); a client is what `Settings::client_key` says. One over the limit hears 421 on a
//! tcp port and nothing on a tls port, costs no worker, and is counted. A proxy (`proxy_from`) stands for many
//! clients: its connections count in all from the start, and per address once its header has told whose.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use super::context::{Context, Setup};
use super::driver::{Arrival, Connection};
use super::rebind::Open;
use super::service_manager;
use crate::config::settings::{Connections, Port, PortKind};
use crate::events;
use crate::mail::ClientKey;
use crate::net::{Service, Start};
use crate::protocol::reply::Reply;
use crate::session::replies;
use crate::sys::sync::{Mutex, RwLock};
use crate::sys::{clock, process};
use crate::transport::tls::ServerTls;

/// The service the reactor runs.
pub struct Acceptor {
    context: Arc<Context>,
    entries: RwLock<Vec<ListenerEntry>>,
    sessions: Arc<Sessions>,
    serial: AtomicU64,
}

/// A listener as the acceptor knows it.
#[derive(Clone)]
pub struct ListenerEntry {
    /// The listener.
    pub open: Open,
    /// What its sessions begin with, where that is not what all begin with: the port could not be
    /// moved and has changed its kind.
    pub setup: Option<Arc<Setup>>,
}

/// How many sessions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCounts {
    /// Now.
    pub now: usize,
    /// The most at a time since the start.
    pub peak: usize,
}

/// The sessions there are, in all and per client.
#[derive(Debug, Default)]
struct Sessions {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// The most since the start.
    peak: usize,
    /// The most since memory was last given back.
    wave: usize,
    per_client: HashMap<ClientKey, usize>,
}

/// A session's place in the counts; gives it back when dropped.
#[derive(Debug)]
pub struct Admitted {
    sessions: Arc<Sessions>,
    /// Whose it is; nobody's while a proxy has not told, and for a proxy's own.
    client: Option<ClientKey>,
}

impl Admitted {
    /// Counts a session that was nobody's for this client.
    ///
    /// # Errors
    /// It has as many as it may have.
    pub(crate) fn claim(&mut self, client: ClientKey, limits: &Connections) -> Result<(), Full> {
        let mut counts = self.sessions.counts.lock();
        counts.add_one_of(client, limits)?;
        self.client = Some(client);
        Ok(())
    }
}

impl Counts {
    fn add_one_of(&mut self, client: ClientKey, limits: &Connections) -> Result<(), Full> {
        let most = limits.sessions_max_per_address;
        let count = self.per_client.entry(client).or_insert(0);
        if most > 0 && *count >= most {
            return Err(Full::PerAddress);
        }
        *count += 1;
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.sessions.counts.lock();
        counts.all -= 1;
        let Some(client) = self.client else {
            return;
        };
        if let Some(count) = counts.per_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.per_client.remove(&client);
            }
        }
    }
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    InAll,
    PerAddress,
}

impl Full {
    /// Counts and logs that a client was turned away; gives what it hears.
    pub(crate) fn tell(self, context: &Context, port: &Port, client: SocketAddr) -> Option<Reply> {
        let (reply, reason) = match self {
            Self::InAll => (replies::too_many_sessions(), "too many sessions"),
            Self::PerAddress => (
                replies::too_many_sessions_from_address(),
                "too many sessions from this address",
            ),
        };
        context.stats.connections_refused.count();
        events::connection_refused(&port.name, client, reason);
        if self == Self::PerAddress {
            context.devices.turned_away(client.ip(), &port.name);
        }
        match port.kind {
            PortKind::Tcp => Some(reply),
            PortKind::Tls => None,
        }
    }
}

impl Acceptor {
    /// An acceptor for these listeners.
    pub fn new(context: Arc<Context>, entries: Vec<ListenerEntry>) -> Self {
        Self {
            context,
            entries: RwLock::new(entries),
            sessions: Arc::default(),
            serial: AtomicU64::new(0),
        }
    }

    /// Other listeners and another setup from now on, both at once: no session comes in on a port that
    /// its settings do not know.
    pub(crate) fn replace(&self, entries: Vec<ListenerEntry>, setup: Arc<Setup>) {
        let mut current = self.entries.write();
        *current = entries;
        self.context.replace(setup);
    }

    /// Sessions are shown these certificates from now on; all else stays.
    pub(crate) fn show(&self, tls: &ServerTls) {
        let mut entries = self.entries.write();
        for entry in entries.iter_mut() {
            entry.setup = entry.setup.take().map(|own| Arc::new(own.showing(tls)));
        }
        let next = self.context.setup().showing(tls);
        self.context.replace(Arc::new(next));
    }

    /// The listeners there are.
    pub(crate) fn entries(&self) -> Vec<ListenerEntry> {
        let entries = self.entries.read();
        entries.clone()
    }

    /// How many sessions there are.
    pub(crate) fn counts(&self) -> SessionCounts {
        let counts = self.lock_counts();
        SessionCounts {
            now: counts.all,
            peak: counts.peak,
        }
    }

    /// What a session on this listener begins with: the setup, and the port's index and name in it.
    fn beginning(&self, listener: usize) -> Option<(Arc<Setup>, usize, Arc<str>)> {
        let entries = self.entries.read();
        let entry = entries.iter().find(|entry| entry.open.number == listener)?;
        let own = entry.setup.as_ref().map(Arc::clone);
        let setup = own.unwrap_or_else(|| self.context.setup());
        let mut ports = setup.settings.ports.iter();
        let index = ports.position(|port| *port.name == *entry.open.port)?;
        Some((setup, index, Arc::clone(&entry.open.port)))
    }

    fn lock_counts(&self) -> MutexGuard<'_, Counts> {
        self.sessions.counts.lock()
    }

    fn admit(&self, limits: &Connections, client: Option<ClientKey>) -> Result<Admitted, Full> {
        let mut counts = self.lock_counts();
        if counts.all >= limits.sessions_max {
            return Err(Full::InAll);
        }
        if let Some(client) = client {
            counts.add_one_of(client, limits)?;
        }
        counts.all += 1;
        counts.peak = counts.peak.max(counts.all);
        counts.wave = counts.wave.max(counts.all);
        Ok(Admitted {
            sessions: Arc::clone(&self.sessions),
            client,
        })
    }

    fn turn_away(&self, port: &Port, mut socket: TcpStream, client: SocketAddr, full: Full) {
        if let Some(reply) = full.tell(&self.context, port, client) {
            // An empty send buffer takes it whole, or the peer does not hear it.
            let _ = socket.write(&reply.to_octets());
        }
    }
}

impl Service for Acceptor {
    type Job = Connection;

    fn accepted(
        &self,
        listener: usize,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Start<Connection>> {
        let (setup, index, port_name) = self.beginning(listener)?;
        let settings = &setup.settings;
        let port = settings.ports.get(index)?;
        let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let is_from_proxy = port.expects_header_from(client.ip());
        let counted = (!is_from_proxy).then(|| settings.client_key(client.ip()));
        let admitted = match self.admit(&settings.connections, counted) {
            Ok(admitted) => admitted,
            Err(full) => {
                self.turn_away(port, socket, client, full);
                return None;
            }
        };
        // A peer that is gone already has no local address any more.
        let local = socket.local_addr().ok()?;
        if !is_from_proxy {
            self.context.stats.sessions.count();
        }
        let arrival = Arrival {
            port: index,
            port_name,
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
            socket,
            client,
            local,
            is_from_proxy,
            admitted,
        };
        let job = Connection::new(Arc::clone(&self.context), setup, arrival);
        Some(Start {
            deadline: job.first_deadline(),
            job: Box::new(job),
        })
    }

    fn accept_failed(&self, listener: usize, error: &io::Error) {
        let beginning = self.beginning(listener);
        let port = beginning.as_ref().map_or("?", |(_, _, name)| name);
        events::accept_failed(port, error);
    }

    fn stopping(&self) {
        let sessions = self.lock_counts().all;
        events::stopping(sessions);
        service_manager::stopping(sessions);
        self.context.stop(clock::monotonic());
    }

    fn tick(&self) {
        events::sum_up();
        let mut counts = self.lock_counts();
        let fallen = counts.wave > 64 && counts.all < counts.wave / 4;
        if fallen {
            counts.wave = counts.all;
            counts.per_client.shrink_to_fit();
        }
        drop(counts);
        if fallen {
            process::trim_memory();
        }
    }
}
