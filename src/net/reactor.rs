//! The one thread on mio: listeners, readiness, deadlines, signals.
//!
//! It waits for the kernel and nothing else: no read, no write to a peer but the few octets a refusal
//! takes, no TLS, no file. Accept errors are weather: on "no descriptors" and its like the listeners
//! rest for [`ACCEPT_REST`], then all are tried again; the process neither ends nor spins. At most
//! [`ACCEPTS_A_TURN`] connections are taken per listener and turn, so that a flood of connections
//! does not hold up the sessions there are.
//!
//! With a heart ([`Reactor::beat`]) it beats from its loop, so that whoever listens finds out when it is stuck.
//!
//! Listeners come and go while it runs ([`Remote::add`], [`Remote::remove`]). Each has a number that is
//! given once, so that an event of one that is gone means nothing to the next. One that goes is emptied
//! first: what waits in its backlog has been told that it is connected.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Poll, Registry, Token, Waker};

use super::parking::{Due, ParkedSessions, Timer};
use super::{Job, Service, Signals, Start, WakeReason, workers};
use crate::sys::clock;

/// How long the listeners rest after an accept error.
pub const ACCEPT_REST: Duration = Duration::from_millis(250);
/// Connections taken from one listener before the others have their turn.
pub const ACCEPTS_A_TURN: usize = 64;
/// How often [`Service::tick`] is called.
const TICK: Duration = Duration::from_secs(60);
/// Turns of accepting that empty the longest backlog of a listener that is to be closed.
const DRAIN_TURNS: usize = 4096 / ACCEPTS_A_TURN;
/// Poll events per turn.
const EVENTS_A_TURN: usize = 256;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
const FIRST_LISTENER: usize = usize::MAX / 2;

/// A listener and the number it goes by as long as it is open; a number is given once.
pub type Numbered = (usize, TcpListener);

/// What the reactor is told from outside its thread.
enum Order {
    Stop {
        within: Duration,
    },
    Add {
        listeners: Vec<Numbered>,
        done: Sender<io::Result<()>>,
    },
    Remove {
        numbers: Vec<usize>,
        done: Sender<()>,
    },
    Answer {
        done: Sender<()>,
    },
}

/// What came of asking the reactor whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It answered, from its loop.
    Heard,
    /// It did not in time.
    Silent,
    /// It has ended.
    Gone,
}

/// Tells a running [`Reactor`] things from other threads.
#[derive(Clone)]
pub struct Remote {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Remote {
    /// Ends the reactor gently: listeners close at once, jobs are woken with [`WakeReason::Stop`], and what
    /// is left after `within` is dropped.
    pub fn stop(&self, within: Duration) {
        // A reactor that is gone has stopped.
        let _ = self.orders.send(Order::Stop { within });
        let _ = self.waker.wake();
    }

    /// Has the reactor accept on these listeners (non-blocking) as well; waits until it does.
    ///
    /// # Errors
    /// No descriptors for the poll: none of them is open then. The reactor is going down.
    pub fn add(&self, listeners: Vec<Numbered>) -> io::Result<()> {
        let (done, answer) = channel();
        self.order(Order::Add { listeners, done });
        answer.recv().unwrap_or_else(|_| Err(going_down()))
    }

    /// Has the reactor take what is waiting on these listeners, and close them; waits until they are
    /// closed.
    ///
    /// # Errors
    /// The reactor is going down, so that they are closed as well.
    pub fn remove(&self, numbers: Vec<usize>) -> io::Result<()> {
        let (done, answer) = channel();
        self.order(Order::Remove { numbers, done });
        answer.recv().map_err(|_| going_down())
    }

    /// Asks whether its loop goes on; waits so long for the answer.
    pub fn ask(&self, patience: Duration) -> Echo {
        let (done, answer) = channel();
        self.order(Order::Answer { done });
        match answer.recv_timeout(patience) {
            Ok(()) => Echo::Heard,
            Err(RecvTimeoutError::Timeout) => Echo::Silent,
            Err(RecvTimeoutError::Disconnected) => Echo::Gone,
        }
    }

    fn order(&self, order: Order) {
        // A reactor that is gone drops the order, and with it the other end of its answer.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOrder {
    /// End gently within this time.
    Stop(Duration),
    /// Nothing for the reactor to do.
    Nothing,
}

/// Where signals are read from: a descriptor, and what to do when it is readable.
pub trait SignalSource: Send {
    /// The descriptor to poll.
    fn descriptor(&self) -> RawFd;
    /// Reads one signal, if there is one.
    fn next(&mut self) -> Option<SignalOrder>;
}

/// The reactor with its parked and workers.
pub struct Reactor<S: Service> {
    service: Arc<S>,
    parked: Arc<ParkedSessions<S::Job>>,
    poll: Poll,
    listeners: BTreeMap<usize, TcpListener>,
    /// Listeners that may have more connections to take.
    eager: Vec<usize>,
    resting_until: Option<Instant>,
    timers: BinaryHeap<Reverse<Timer>>,
    next_tick: Instant,
    orders: Receiver<Order>,
    remote: Remote,
    signals: Option<Box<dyn SignalSource>>,
    heart: Option<Heart>,
    stop_at: Option<Instant>,
    workers: Vec<JoinHandle<()>>,
}

/// What shows that the loop goes on.
struct Heart {
    every: Duration,
    next: Instant,
    beat: fn(),
}

impl<S: Service> Reactor<S> {
    /// A reactor on these listeners (non-blocking), with `workers` threads started.
    ///
    /// # Errors
    /// No descriptors for the poll, or no threads.
    pub fn new(
        service: Arc<S>,
        parked: Arc<ParkedSessions<S::Job>>,
        listeners: Vec<Numbered>,
        worker_count: usize,
        buffers: &dyn Fn() -> <S::Job as Job>::WorkerBuffers,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        for (number, listener) in &listeners {
            watch(poll.registry(), *number, listener)?;
        }
        let workers = workers::start(worker_count, &parked, &waker, buffers)?;
        let (sender, orders) = channel();
        Ok(Self {
            service,
            parked,
            poll,
            eager: listeners.iter().map(|(number, _)| *number).collect(),
            listeners: listeners.into_iter().collect(),
            resting_until: None,
            timers: BinaryHeap::new(),
            next_tick: clock::monotonic() + TICK,
            orders,
            remote: Remote {
                orders: sender,
                waker,
            },
            signals: None,
            heart: None,
            stop_at: None,
            workers,
        })
    }

    /// Reads signals from `source`.
    ///
    /// # Errors
    /// The descriptor cannot be polled.
    pub fn watch_signals(&mut self, source: Box<dyn SignalSource>) -> io::Result<()> {
        let descriptor = source.descriptor();
        self.poll.registry().register(
            &mut SourceFd(&descriptor),
            SIGNALS,
            mio::Interest::READABLE,
        )?;
        self.signals = Some(source);
        Ok(())
    }

    /// Has the loop call `beat`, which must not block, at least this often as long as it is not stuck.
    pub fn beat(&mut self, every: Duration, beat: fn()) {
        let next = clock::monotonic();
        self.heart = Some(Heart { every, next, beat });
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Runs until it is told to stop and every job has ended, or its time is up.
    ///
    /// # Errors
    /// The poll itself failed; nothing a peer can cause.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_A_TURN);
        let mut ready = Vec::with_capacity(EVENTS_A_TURN);
        let result = loop {
            let patience = self.patience();
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(error),
                Ok(()) => {}
            }
            self.sort(&events, &mut ready);
            if !ready.is_empty() {
                self.parked.ready(&ready);
                ready.clear();
            }
            self.obey();
            self.accept_all();
            self.fire_timers();
            if self.is_over() {
                break Ok(());
            }
        };
        self.parked.close();
        for worker in self.workers {
            // A worker catches its jobs' panics; one that died anyway has nothing left to tell.
            let _ = worker.join();
        }
        result
    }

    /// How long the poll may sleep.
    fn patience(&self) -> Option<Duration> {
        let now = clock::monotonic();
        if !self.eager.is_empty() && self.resting_until.is_none() {
            return Some(Duration::ZERO);
        }
        let mut until = self.next_tick;
        let beat = self.heart.as_ref().map(|heart| heart.next);
        for at in [self.resting_until, self.stop_at, beat]
            .into_iter()
            .flatten()
        {
            until = until.min(at);
        }
        if let Some(Reverse(timer)) = self.timers.peek() {
            until = until.min(timer.at);
        }
        if self.stop_at.is_some() {
            // The last job's end does not wake the reactor.
            until = until.min(now + Duration::from_millis(5));
        }
        Some(until.saturating_duration_since(now))
    }

    fn sort(&mut self, events: &Events, ready: &mut Vec<(usize, Signals)>) {
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => self.read_signals(),
                Token(number) if number >= FIRST_LISTENER => {
                    let number = number - FIRST_LISTENER;
                    if !self.eager.contains(&number) {
                        self.eager.push(number);
                    }
                }
                Token(index) => ready.push((index, signals_of(event))),
            }
        }
    }

    fn read_signals(&mut self) {
        let Some(mut source) = self.signals.take() else {
            return;
        };
        while let Some(order) = source.next() {
            match order {
                SignalOrder::Stop(within) => self.begin_stop(within),
                SignalOrder::Nothing => {}
            }
        }
        self.signals = Some(source);
    }

    fn obey(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Stop { within } => self.begin_stop(within),
                // Whoever gave the order may have gone.
                Order::Add { listeners, done } => {
                    let _ = done.send(self.add(listeners));
                }
                Order::Answer { done } => {
                    let _ = done.send(());
                }
                Order::Remove { numbers, done } => {
                    self.remove(&numbers);
                    let _ = done.send(());
                }
            }
        }
    }

    fn add(&mut self, listeners: Vec<Numbered>) -> io::Result<()> {
        if self.stop_at.is_some() {
            return Err(going_down());
        }
        for (number, listener) in &listeners {
            watch(self.poll.registry(), *number, listener)?;
        }
        for (number, listener) in listeners {
            self.listeners.insert(number, listener);
            self.eager.push(number);
        }
        Ok(())
    }

    /// What waits in the backlog has been told that it is connected, so it is taken first.
    fn remove(&mut self, numbers: &[usize]) {
        for number in numbers {
            let Some(listener) = self.listeners.remove(number) else {
                continue;
            };
            for _ in 0..DRAIN_TURNS {
                match self.accept_some(&listener, *number) {
                    Accepted::More => {}
                    Accepted::All | Accepted::Failed(_) => break,
                }
            }
        }
    }

    fn begin_stop(&mut self, within: Duration) {
        if self.stop_at.is_some() {
            return;
        }
        self.stop_at = Some(clock::monotonic() + within);
        self.listeners.clear();
        self.eager.clear();
        self.resting_until = None;
        self.service.stopping();
        self.parked.stop_all();
    }

    fn is_over(&self) -> bool {
        let Some(stop_at) = self.stop_at else {
            return false;
        };
        self.parked.occupied() == 0 || clock::monotonic() >= stop_at
    }

    fn accept_all(&mut self) {
        if let Some(until) = self.resting_until {
            if clock::monotonic() < until {
                return;
            }
            self.resting_until = None;
        }
        for number in std::mem::take(&mut self.eager) {
            let Some(listener) = self.listeners.get(&number) else {
                continue;
            };
            match self.accept_some(listener, number) {
                Accepted::All => {}
                Accepted::More => self.eager.push(number),
                Accepted::Failed(error) => {
                    self.service.accept_failed(number, &error);
                    self.eager.push(number);
                    self.resting_until = Some(clock::monotonic() + ACCEPT_REST);
                }
            }
        }
    }

    fn accept_some(&self, listener: &TcpListener, number: usize) -> Accepted {
        for _ in 0..ACCEPTS_A_TURN {
            let (socket, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Accepted::All,
                    // The peer is gone already, or a signal came: the next one may be fine.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                    _ => return Accepted::Failed(error),
                },
            };
            if let Err(error) = socket.set_nonblocking(true) {
                return Accepted::Failed(error);
            }
            let Some(start) = self.service.accepted(number, socket, peer) else {
                continue;
            };
            if let Err(error) = settle_in(&self.parked, self.poll.registry(), start) {
                return Accepted::Failed(error);
            }
        }
        Accepted::More
    }

    fn fire_timers(&mut self) {
        let mut fresh = Vec::new();
        self.parked.take_new_timers(&mut fresh);
        self.timers.extend(fresh.into_iter().map(Reverse));
        let now = clock::monotonic();
        while let Some(Reverse(timer)) = self.timers.peek().copied() {
            if timer.at > now {
                break;
            }
            self.timers.pop();
            self.timers
                .extend(self.parked.timer_fired(timer, now).map(Reverse));
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.service.tick();
        }
        if let Some(heart) = self.heart.as_mut().filter(|heart| now >= heart.next) {
            heart.next = now + heart.every;
            (heart.beat)();
        }
    }
}

enum Accepted {
    All,
    More,
    Failed(io::Error),
}

fn watch(registry: &Registry, number: usize, listener: &TcpListener) -> io::Result<()> {
    registry.register(
        &mut SourceFd(&listener.as_raw_fd()),
        Token(FIRST_LISTENER + number),
        mio::Interest::READABLE,
    )
}

fn going_down() -> io::Error {
    io::Error::other("the service is going down")
}

/// Gives a new job its place, registers its socket once for all, and lets it begin.
fn settle_in<J: Job>(
    parked: &ParkedSessions<J>,
    registry: &Registry,
    start: Start<J>,
) -> io::Result<()> {
    let ticket = parked.reserve(start.deadline, start.job.info());
    let registered = registry.register(
        &mut SourceFd(&start.job.as_raw_fd()),
        Token(ticket.index()),
        mio::Interest::READABLE | mio::Interest::WRITABLE,
    );
    if let Err(error) = registered {
        parked.cancel(ticket);
        return Err(error);
    }
    parked.enqueue(Due::new(ticket, start.job, WakeReason::Opened));
    Ok(())
}

fn signals_of(event: &Event) -> Signals {
    let hangup = event.is_read_closed() || event.is_error();
    Signals {
        readable: event.is_readable() || hangup,
        writable: event.is_writable() || event.is_error(),
        hangup,
    }
}

#[cfg(test)]
mod tests;
