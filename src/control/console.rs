//! The one thread that serves the socket, takes SIGHUP's refresh, and looks for changed files.
//!
//! It never waits for one client: sockets are non-blocking, and each client has until its deadline. While
//! another waits for a place, a client that has neither sent its request nor taken any of its answer for
//! [`IDLE_MAX`] is ended. Nor does it wait for a command: one that takes its time has a thread of its own, named `command`,
//! and the client its answer when that ends.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::socket::Socket;
use super::wire::{self, REQUEST_MAX_OCTETS};
use super::{Answer, Operator, Outcome, Reply, Task};
use crate::events;
use crate::sys::peer::{self, Peer};
use crate::sys::{clock, process};

/// Clients served at a time.
pub const CLIENTS_MAX: usize = 8;
/// Commands that take their time, at a time; and how many more may wait for one of them to end.
pub const TASKS_MAX: usize = 8;
const TASKS_WAITING_MAX: usize = 64;
/// How long a client may take to send its request, and then to take its answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may do nothing while another waits for a place.
pub const IDLE_MAX: Duration = Duration::from_secs(1);
/// An answer whose memory is given back to the system.
const LARGE_OCTETS: usize = 128 * 1024;
/// How long clients may take once the service has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Stack of a thread, octets: a refresh reads certificates in it.
const STACK_OCTETS: usize = 1024 * 1024;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
const CLIENT: Token = Token(2);

enum Order {
    HangUp,
    Stop,
    /// A command has ended: whose it was, and what it says.
    Ended(Option<u64>, Answer),
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
    let remote = Remote {
        orders: sender,
        waker,
    };
    let console = Console {
        poll,
        orders,
        remote: remote.clone(),
        socket,
        clients: Vec::new(),
        next: None,
        waiting: Vec::new(),
        tasks_waiting: VecDeque::new(),
        tasks: 0,
        own_tasks: 0,
        next_client: 0,
        operator,
        stop_at: None,
    };
    let thread = thread::Builder::new()
        .name("console".into())
        .stack_size(STACK_OCTETS)
        .spawn(move || console.run())?;
    Ok((remote, thread))
}

struct Console<O> {
    poll: Poll,
    orders: Receiver<Order>,
    remote: Remote,
    socket: Option<Socket>,
    clients: Vec<Client>,
    /// The first of those that wait for a place.
    next: Option<UnixStream>,
    /// Clients whose commands take their time.
    waiting: Vec<Client>,
    /// Commands that wait for a thread, with their clients.
    tasks_waiting: VecDeque<(Option<u64>, Task)>,
    /// Threads that run.
    tasks: usize,
    /// Those of them that no client asked for.
    own_tasks: usize,
    next_client: u64,
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
            let is_idle = self.clients.is_empty() && self.waiting.is_empty();
            let over = |at: Instant| is_idle || now >= at;
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
        next.filter(|_| self.stop_at.is_none() && self.own_tasks == 0)
    }

    fn obey(&mut self) {
        let mut hung_up = false;
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::HangUp => hung_up = true,
                Order::Stop => self.stop_at = Some(clock::monotonic() + CLOSE_TIMEOUT),
                Order::Ended(client, answer) => self.ended(client, &answer),
            }
        }
        // However many have come, once is enough.
        if hung_up {
            let task = self.operator.hang_up();
            self.begin(None, task);
        }
    }

    fn look(&mut self) {
        if self.next_look().is_some_and(|at| clock::monotonic() >= at) {
            if let Some(task) = self.operator.look() {
                self.begin(None, task);
            }
        }
    }

    /// Starts a thread for a task, now or once another one ends.
    fn begin(&mut self, client: Option<u64>, task: Task) {
        self.own_tasks += usize::from(client.is_none());
        match self.tasks < TASKS_MAX {
            true => self.start(client, task),
            false => self.tasks_waiting.push_back((client, task)),
        }
    }

    fn start(&mut self, client: Option<u64>, task: Task) {
        let remote = self.remote.clone();
        let run = move || {
            let answer = catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|_| {
                let why = "a fault of the service's own; its log has it";
                Answer::refused(Outcome::Unavailable, why)
            });
            remote.order(Order::Ended(client, answer));
        };
        let thread = thread::Builder::new().name("command".into());
        self.tasks += 1;
        if let Err(error) = thread.stack_size(STACK_OCTETS).spawn(run) {
            let why = format!("no thread for the command: {error}");
            let answer = Answer::refused(Outcome::Unavailable, why);
            self.ended(client, &answer);
        }
    }

    /// A thread has ended; its client may take the answer.
    fn ended(&mut self, client: Option<u64>, answer: &Answer) {
        self.tasks -= 1;
        self.own_tasks -= usize::from(client.is_none());
        let place = self
            .waiting
            .iter()
            .position(|one| Some(one.number) == client);
        if let Some(place) = place {
            let mut client = self.waiting.swap_remove(place);
            client.take(answer);
            self.clients.push(client);
        }
        if let Some((client, task)) = self.tasks_waiting.pop_front() {
            self.start(client, task);
        }
    }

    /// Edges tell only that there is something to do; there are few enough to try them all.
    fn serve(&mut self) {
        loop {
            let mut large = false;
            for mut client in std::mem::take(&mut self.clients) {
                match self.step(&mut client) {
                    Standing::Waits => self.clients.push(client),
                    Standing::Over => large |= client.was_large,
                    Standing::Later(task) => {
                        let number = client.number;
                        self.waiting.push(client);
                        self.begin(Some(number), task);
                    }
                }
            }
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
        self.next_client += 1;
        let number = self.next_client;
        let client = client.and_then(|stream| Client::new(stream, number, &self.poll).ok());
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
            match self.answer(&client.peer, line.as_deref()) {
                Reply::Now(answer) => client.take(&answer),
                Reply::Later(task) if self.tasks_waiting.len() < TASKS_WAITING_MAX => {
                    return Standing::Later(task);
                }
                Reply::Later(_) => {
                    let why = "too many commands at once: try again in a moment";
                    client.take(&Answer::refused(Outcome::NotNow, why));
                }
            }
        }
        client.write()
    }

    fn answer(&mut self, peer: &Peer, line: Option<&[u8]>) -> Reply {
        let refused = |outcome, why| Reply::Now(Answer::refused(outcome, why));
        if !self.may(peer) {
            events::control::refused(peer.uid);
            let why = "not permitted: root, the service's account and the socket's group may";
            return refused(Outcome::NotPermitted, why);
        }
        match line.and_then(wire::words) {
            Some(words) => self.operator.answer(&words, peer.uid),
            None => refused(Outcome::Usage, "the request is not understood"),
        }
    }

    fn may(&self, peer: &Peer) -> bool {
        let group = self.socket.as_ref().and_then(Socket::group);
        let in_group = group.is_some_and(|group| peer.groups.contains(&group));
        peer.uid == 0 || peer.uid == process::user_id() || in_group
    }
}

/// What is to become of a client.
enum Standing {
    Waits,
    Over,
    /// Its command takes its time.
    Later(Task),
}

struct Client {
    number: u64,
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
    fn new(stream: UnixStream, number: u64, poll: &Poll) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        register(poll, stream.as_raw_fd(), CLIENT)?;
        let now = clock::monotonic();
        Ok(Self {
            number,
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

    /// Is given its answer.
    fn take(&mut self, answer: &Answer) {
        self.output = Some(wire::answer(answer));
        self.was_large = answer.output.len() > LARGE_OCTETS;
        self.active = clock::monotonic();
        self.deadline = self.active + PATIENCE;
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
