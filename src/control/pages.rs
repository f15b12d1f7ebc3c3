//! The one thread that shows pages to programs over HTTP: numbers, and whether all is well.
//!
//! | a connection | is given up |
//! | --- | --- |
//! | whose request is not whole | after [`PATIENCE`]; or when all places are taken and it waits the longest |
//! | that takes its answer slowly | after [`PATIENCE`] more; or as above, where no other waits for a request |
//! | that has its answer | at the peer's end, or after [`CLOSE_TIMEOUT`]: what it still sends must not cost it the answer |
//!
//! So whoever says nothing, or an octet a second, holds up nobody: a newcomer always gets a place, and its request is
//! mostly there already. Limits: [`CLIENTS_MAX`] connections at a time, the rest wait in the kernel; a head of
//! [`HEAD_MAX_OCTETS`](crate::protocol::http_request::HEAD_MAX_OCTETS); [`ACCEPTS_A_TURN`] connections, then a rest
//! of [`REST`], so that a flood leaves the processor to others. No request has a body, and no connection a second
//! request. Promises: neither the reactor nor a worker is ever reached. Refuses to know: which pages there are; a
//! [`Pages`] does.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::events;
use crate::protocol::http_request::{Fault, Method, Request, RequestReader, Status, answer};
use crate::sys::clock;

/// Connections served at a time.
pub const CLIENTS_MAX: usize = 32;
/// How long a peer may take to send its request, and then to take its answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to end, once it has its answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Octets that are thrown away meanwhile.
const FAREWELL_OCTETS: usize = 64 * 1024;
/// Connections taken before the thread rests.
const ACCEPTS_A_TURN: usize = 64;
/// How long that is.
const REST: Duration = Duration::from_millis(20);
/// How long it is after an accept error.
const LONG_REST: Duration = Duration::from_millis(250);
const STACK_OCTETS: usize = 256 * 1024;

const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);

const PLAIN: &str = "text/plain; charset=utf-8";

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How it is.
    pub status: Status,
    /// The media type of its text.
    pub media_type: &'static str,
    /// Its text.
    pub text: Arc<str>,
}

impl Page {
    /// A page of plain text.
    pub fn plain(status: Status, text: impl Into<Arc<str>>) -> Self {
        Self {
            status,
            media_type: PLAIN,
            text: text.into(),
        }
    }
}

/// Whoever has the pages. All calls come from the thread, one at a time.
pub trait Pages: Send + 'static {
    /// The page of this path.
    fn page(&mut self, path: &str) -> Page;
}

enum Order {
    Add {
        listeners: Vec<(usize, TcpListener)>,
        done: Sender<io::Result<()>>,
    },
    Remove {
        numbers: Vec<usize>,
        done: Sender<()>,
    },
    Stop,
}

/// Tells the thread things from other threads.
pub struct Remote {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Remote {
    /// Has these listeners (non-blocking) served as well; waits until they are.
    ///
    /// # Errors
    /// No descriptors, or the thread has ended.
    pub fn add(&self, listeners: Vec<(usize, TcpListener)>) -> io::Result<()> {
        let (done, answer) = channel();
        self.order(Order::Add { listeners, done });
        answer.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Closes these listeners; waits until they are closed.
    ///
    /// # Errors
    /// The thread has ended, so that they are closed as well.
    pub fn remove(&self, numbers: Vec<usize>) -> io::Result<()> {
        let (done, answer) = channel();
        self.order(Order::Remove { numbers, done });
        answer.recv().map_err(|_| ended())
    }

    /// Ends the thread, at once.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        // A thread that is gone drops the order, and with it the other end of its answer.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// Starts the thread. It serves nothing before [`Remote::add`].
///
/// # Errors
/// No descriptors, or no thread.
pub fn start(pages: impl Pages) -> io::Result<(Remote, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (sender, orders) = channel();
    let server = Server {
        poll,
        orders,
        listeners: BTreeMap::new(),
        clients: Vec::new(),
        pages,
        resting_until: None,
    };
    let thread = thread::Builder::new()
        .name("pages".into())
        .stack_size(STACK_OCTETS)
        .spawn(move || server.run())?;
    let remote = Remote {
        orders: sender,
        waker,
    };
    Ok((remote, thread))
}

struct Server<P> {
    poll: Poll,
    orders: Receiver<Order>,
    listeners: BTreeMap<usize, TcpListener>,
    /// In the order they came.
    clients: Vec<Client>,
    pages: P,
    resting_until: Option<Instant>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Course {
    On,
    End,
}

impl<P: Pages> Server<P> {
    fn run(mut self) {
        let mut events = Events::with_capacity(CLIENTS_MAX + 2);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return events::control::metrics_failed(error);
                }
                _ => {}
            }
            if self.obey() == Course::End {
                return;
            }
            // Edges tell only that there is something to do; there are few enough to try them all.
            let pages = &mut self.pages;
            self.clients.retain_mut(|client| client.step(pages));
            self.accept();
        }
    }

    fn patience(&self) -> Option<Duration> {
        let deadlines = self.clients.iter().map(|client| client.deadline);
        let next = deadlines.chain(self.resting_until).min()?;
        Some(next.saturating_duration_since(clock::monotonic()))
    }

    fn obey(&mut self) -> Course {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                // Whoever gave the order may have gone.
                Order::Add { listeners, done } => drop(done.send(self.add(listeners))),
                Order::Remove { numbers, done } => {
                    for number in numbers {
                        self.listeners.remove(&number);
                    }
                    let _ = done.send(());
                }
                Order::Stop => return Course::End,
            }
        }
        Course::On
    }

    fn add(&mut self, listeners: Vec<(usize, TcpListener)>) -> io::Result<()> {
        for (_, listener) in &listeners {
            register(&self.poll, listener.as_raw_fd())?;
        }
        self.listeners.extend(listeners);
        Ok(())
    }

    fn accept(&mut self) {
        let now = clock::monotonic();
        if self.resting_until.is_some_and(|until| now < until) {
            return;
        }
        self.resting_until = None;
        let numbers: Vec<usize> = self.listeners.keys().copied().collect();
        let mut left = ACCEPTS_A_TURN;
        for number in numbers {
            while let Some(listener) = self.listeners.get(&number) {
                if left == 0 {
                    self.resting_until = Some(now + REST);
                    return;
                }
                match listener.accept() {
                    Ok((stream, _)) => {
                        left -= 1;
                        self.welcome(stream);
                    }
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => break,
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted => left -= 1,
                        // No descriptors, no memory: that is weather.
                        _ => {
                            self.resting_until = Some(now + LONG_REST);
                            return;
                        }
                    },
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream) {
        let Ok(mut client) = Client::new(stream, &self.poll) else {
            return;
        };
        if !client.step(&mut self.pages) {
            return;
        }
        if self.clients.len() >= CLIENTS_MAX {
            let waits = |client: &Client| matches!(client.state, State::Asking(_));
            let place = self.clients.iter().position(waits).unwrap_or(0);
            self.clients.remove(place);
        }
        self.clients.push(client);
    }
}

struct Client {
    stream: TcpStream,
    state: State,
    deadline: Instant,
}

enum State {
    /// Its request is not whole.
    Asking(RequestReader),
    /// These octets of its answer are left to send, from the number on.
    Taking(Vec<u8>, usize),
    /// It has its answer; so many octets of it may still be thrown away.
    Leaving(usize),
}

impl Client {
    fn new(stream: TcpStream, poll: &Poll) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        register(poll, stream.as_raw_fd())?;
        Ok(Self {
            stream,
            state: State::Asking(RequestReader::default()),
            deadline: clock::monotonic() + PATIENCE,
        })
    }

    /// Goes as far as it can; whether there is more to come.
    fn step(&mut self, pages: &mut impl Pages) -> bool {
        if clock::monotonic() >= self.deadline {
            return false;
        }
        self.advance(pages).is_ok()
    }

    /// Goes on until it would wait.
    ///
    /// # Errors
    /// It is over.
    fn advance(&mut self, pages: &mut impl Pages) -> io::Result<()> {
        loop {
            let done = match &mut self.state {
                State::Asking(reader) => read_request(&mut self.stream, reader),
                State::Taking(answer, sent) => send(&mut self.stream, answer, sent).map(|()| None),
                State::Leaving(left) => discard(&mut self.stream, left).map(|()| None),
            };
            let asked = match done {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                done => done?,
            };
            let now = clock::monotonic();
            (self.state, self.deadline) = match asked {
                Some(asked) => (State::Taking(answer_to(asked, pages), 0), now + PATIENCE),
                None => {
                    self.stream.shutdown(Shutdown::Write)?;
                    (State::Leaving(FAREWELL_OCTETS), now + CLOSE_TIMEOUT)
                }
            };
        }
    }
}

fn answer_to(asked: Result<Request, Fault>, pages: &mut impl Pages) -> Vec<u8> {
    match asked {
        Ok(Request { method, path }) => {
            let page = pages.page(&path);
            answer(page.status, page.media_type, &page.text, method)
        }
        Err(fault) => answer(
            Status::Refused(fault),
            PLAIN,
            "the request is refused\n",
            Method::Get,
        ),
    }
}

fn read_request(
    stream: &mut TcpStream,
    reader: &mut RequestReader,
) -> io::Result<Option<Result<Request, Fault>>> {
    let mut buffer = [0; 1024];
    loop {
        let octets = read(stream, &mut buffer)?;
        if let Some(asked) = reader.push(octets) {
            return Ok(Some(asked));
        }
    }
}

fn send(stream: &mut TcpStream, answer: &[u8], sent: &mut usize) -> io::Result<()> {
    while let Some(rest) = answer.get(*sent..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Throws away what comes until the peer's end, which is an error here as any end is.
fn discard(stream: &mut TcpStream, left: &mut usize) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = read(stream, &mut buffer)?.len();
        *left = left.checked_sub(count).ok_or(ErrorKind::UnexpectedEof)?;
    }
}

/// What there is, at least one octet.
fn read<'b>(stream: &mut TcpStream, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => return Ok(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn register(poll: &Poll, descriptor: RawFd) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    let registry = poll.registry();
    registry.register(&mut SourceFd(&descriptor), SOCKET, both)
}

fn ended() -> io::Error {
    io::Error::other("the thread of the pages has ended")
}
