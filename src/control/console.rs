//! The one thread that serves the socket, takes SIGHUP's refresh, and looks for changed files.
//!
//! It never waits for one client: sockets are non-blocking, and each client has until its deadline. While
//! another waits for a place, a client that has neither sent its request nor taken any of its answer for
//! [`IDLE_MAX`] is ended.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::socket::Socket;
use super::wire::{self, REQUEST_MAX_OCTETS};
use super::{Answer, Operator, Outcome};
use crate::events;
use crate::sys::peer::{self, Peer};
use crate::sys::{clock, process};

/// Clients served at a time.
pub const CLIENTS_MAX: usize = 8;
/// How long a client may take to send its request, and then to take its answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may do nothing while another waits for a place.
pub const IDLE_MAX: Duration = Duration::from_secs(1);
/// An answer whose memory is given back to the system.
const LARGE_OCTETS: usize = 128 * 1024;
/// How long clients may take once the service has ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// Stack of the thread, octets: a refresh reads certificates in it.
const STACK_OCTETS: usize = 1024 * 1024;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
const CLIENT: Token = Token(2);

enum Order {
    HangUp,
    Stop,
}

/// Tells a running console things from other threads.
#[derive(Clone)]
pub struct Remote {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Remote {
    /// SIGHUP came. Does not wait.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// The service has ended: the console ends once its clients have their answers.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        // A console that is gone has nothing to do any more.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// Starts the thread. Without a socket it serves SIGHUP and the looks alone.
///
/// # Errors
/// No descriptors, or no thread.
pub fn start(
    socket: Option<Socket>,
    operator: impl Operator,
) -> io::Result<(Remote, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    if let Some(socket) = &socket {
        let descriptor = socket.listener().as_raw_fd();
        register(&poll, descriptor, SOCKET)?;
    }
    let (sender, orders) = channel();
    let console = Console {
        poll,
        orders,
        socket,
        clients: Vec::new(),
        next: None,
        operator,
        stop_at: None,
    };
    let thread = thread::Builder::new()
        .name("console".into())
        .stack_size(STACK_OCTETS)
        .spawn(move || console.run())?;
    let remote = Remote {
        orders: sender,
        waker,
    };
    Ok((remote, thread))
}

struct Console<O> {
    poll: Poll,
    orders: Receiver<Order>,
    socket: Option<Socket>,
    clients: Vec<Client>,
    /// The first of those that wait for a place.
    next: Option<UnixStream>,
    operator: O,
    stop_at: Option<Instant>,
}

impl<O: Operator> Console<O> {
    fn run(mut self) {
        let mut events = Events::with_capacity(CLIENTS_MAX + 2);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return events::control::console_failed(error);
                }
                _ => {}
            }
            self.obey();
            self.serve();
            self.look();
            let now = clock::monotonic();
            let over = |at: Instant| self.clients.is_empty() || now >= at;
            if self.stop_at.is_some_and(over) {
                return;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let clients = self.clients.iter().map(|client| self.time_of(client));
        let next = clients.chain(self.next_look()).chain(self.stop_at).min()?;
        Some(next.saturating_duration_since(clock::monotonic()))
    }

    /// When the time of a client is over.
    fn time_of(&self, client: &Client) -> Instant {
        match self.next {
            Some(_) => client.deadline.min(client.active + IDLE_MAX),
            None => client.deadline,
        }
    }

    fn next_look(&self) -> Option<Instant> {
        let next = self.operator.next_look();
        next.filter(|_| self.stop_at.is_none())
    }

    fn obey(&mut self) {
        let mut hung_up = false;
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::HangUp => hung_up = true,
                Order::Stop => self.stop_at = Some(clock::monotonic() + FAREWELL),
            }
        }
        // However many have come, once is enough.
        if hung_up {
            self.operator.hang_up();
        }
    }

    fn look(&mut self) {
        if self.next_look().is_some_and(|at| clock::monotonic() >= at) {
            self.operator.look();
        }
    }

    /// Edges tell only that there is something to do; there are few enough to try them all.
    fn serve(&mut self) {
        loop {
            let mut clients = std::mem::take(&mut self.clients);
            let mut large = false;
            clients.retain_mut(|client| {
                let waits = self.step(client) == Standing::Waits;
                large |= !waits && client.was_large;
                waits
            });
            self.clients = clients;
            if large {
                process::trim_memory();
            }
            if !self.accept_one() {
                return;
            }
        }
    }

    /// Takes the next one that waits, where there is a place for it; whether there was one.
    fn accept_one(&mut self) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|_| self.stop_at.is_none()) else {
            return false;
        };
        while self.next.is_none() {
            match socket.listener().accept() {
                Ok((stream, _)) => self.next = Some(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.clients.len() >= CLIENTS_MAX {
            return false;
        }
        let client = self.next.take();
        let client = client.and_then(|stream| Client::new(stream, &self.poll).ok());
        self.clients.extend(client);
        true
    }

    /// What a client has sent counts before its time does: the thread may have been busy.
    fn step(&mut self, client: &mut Client) -> Standing {
        match self.go_on_with(client) {
            Standing::Waits if clock::monotonic() >= self.time_of(client) => Standing::Over,
            standing => standing,
        }
    }

    fn go_on_with(&mut self, client: &mut Client) -> Standing {
        if client.output.is_none() {
            let line = match client.read() {
                Ok(Some(line)) => line,
                Ok(None) => return Standing::Waits,
                Err(_) => return Standing::Over,
            };
            let answer = self.answer(&client.peer, line.as_deref());
            client.output = Some(wire::answer(&answer));
            client.was_large = answer.output.len() > LARGE_OCTETS;
            client.active = clock::monotonic();
            client.deadline = client.active + PATIENCE;
        }
        client.write()
    }

    fn answer(&mut self, peer: &Peer, line: Option<&[u8]>) -> Answer {
        if !self.may(peer) {
            events::control::refused(peer.uid);
            let why = "not permitted: root, the service's account and the socket's group may";
            return Answer::refused(Outcome::NotPermitted, why);
        }
        match line.and_then(wire::words) {
            Some(words) => self.operator.answer(&words, peer.uid),
            None => Answer::refused(Outcome::Usage, "the request is not understood"),
        }
    }

    fn may(&self, peer: &Peer) -> bool {
        let group = self.socket.as_ref().and_then(Socket::group);
        let in_group = group.is_some_and(|group| peer.groups.contains(&group));
        peer.uid == 0 || peer.uid == process::user_id() || in_group
    }
}

/// What is to become of a client.
#[derive(PartialEq, Eq)]
enum Standing {
    Waits,
    Over,
}

struct Client {
    stream: UnixStream,
    peer: Peer,
    input: Vec<u8>,
    output: Option<Vec<u8>>,
    sent: usize,
    /// When it was accepted, got its answer, or took some of it last.
    active: Instant,
    deadline: Instant,
    was_large: bool,
}

impl Client {
    fn new(stream: UnixStream, poll: &Poll) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        register(poll, stream.as_raw_fd(), CLIENT)?;
        let now = clock::monotonic();
        Ok(Self {
            peer: peer::of(&stream)?,
            stream,
            input: Vec::new(),
            output: None,
            sent: 0,
            active: now,
            deadline: now + PATIENCE,
            was_large: false,
        })
    }

    /// The request's line once it is whole; none of it where it is too long.
    fn read(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        loop {
            let mut buffer = [0; REQUEST_MAX_OCTETS];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let octets = buffer.get(..count).unwrap_or_default();
                    self.input.extend_from_slice(octets);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if let Some(end) = self.input.iter().position(|&octet| octet == b'\n') {
                self.input.truncate(end);
                let line = std::mem::take(&mut self.input);
                return Ok(Some((end < REQUEST_MAX_OCTETS).then_some(line)));
            }
            if self.input.len() >= REQUEST_MAX_OCTETS {
                return Ok(Some(None));
            }
        }
    }

    fn write(&mut self) -> Standing {
        let output = self.output.as_deref().unwrap_or_default();
        while let Some(rest) = output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => {
                    self.sent += count;
                    self.active = clock::monotonic();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Standing::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Standing::Over,
            }
        }
        Standing::Over
    }
}

fn register(poll: &Poll, descriptor: RawFd, token: Token) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    let registry = poll.registry();
    registry.register(&mut SourceFd(&descriptor), token, both)
}
