//! Reactor, parking, workers: how a few threads hold many sessions.
//!
//! | file | purpose |
//! | --- | --- |
//! | `parking` | the parked sessions: every session's place, the queue of those with work, their deadlines |
//! | `reactor` | the one thread on mio: listeners, readiness, deadlines, signals |
//! | `turns` | the queue, in which clients take turns |
//! | `workers` | the fixed threads that run sessions as plain code |
//!
//! Promises: a session that waits for its peer, for the spool or for a deadline holds no thread; a
//! worker is never a peer's hostage; a panic ends one session. Refuses to know: SMTP, TLS, files. The
//! rooms above hand in a [`Service`] that makes a [`Job`] of each accepted socket.

use std::hash::Hash;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

pub mod parking;
pub mod reactor;
mod turns;
pub mod workers;

/// Why a job runs.
#[derive(Debug)]
pub enum WakeReason<M> {
    /// It was just accepted.
    Opened,
    /// The peer sent something, hung up, or takes octets again.
    Ready,
    /// Its deadline has passed.
    Deadline,
    /// What it was held for has come.
    Message(M),
    /// The service is going down.
    Stop,
    /// The operator ends this job.
    End,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Wait for the peer until the deadline.
    Park {
        /// What of the peer's doing wakes it.
        interest: Interest,
        /// When it is woken all the same.
        deadline: Instant,
    },
    /// Wait for [`parking::ParkedSessions::send`] until the deadline; the peer does not wake it.
    Hold {
        /// When it is woken all the same.
        deadline: Instant,
    },
    /// Had its turn and has more to do: its client's next turn comes after those of all others that wait.
    Again,
    /// Over; the job is dropped.
    Done,
}

/// What of the peer's doing wakes a parked job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Octets from the peer, or its end.
    Readable,
    /// The peer takes octets again.
    Writable,
    /// The peer has ended its side.
    HangUp,
}

/// What the poll found on a socket, edge-triggered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// Octets, or the end, have come.
    pub readable: bool,
    /// There is room to write again.
    pub writable: bool,
    /// The peer has ended its side; stays on.
    pub hangup: bool,
}

impl Signals {
    fn add(&mut self, other: Self) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.hangup |= other.hangup;
    }

    /// What was noted; a hang-up stays noted.
    fn take(&mut self) -> Self {
        let taken = *self;
        *self = Self {
            hangup: taken.hangup,
            ..Self::default()
        };
        taken
    }

    fn serve(self, interest: Interest) -> bool {
        match interest {
            Interest::Readable => self.readable,
            Interest::Writable => self.writable,
            Interest::HangUp => self.hangup,
        }
    }
}

/// One session as this room sees it.
pub trait Job: AsRawFd + Send + Sized + 'static {
    /// What a held job waits for.
    type Message: Send + 'static;
    /// What a worker lends to each job it runs.
    type WorkerBuffers: Send + 'static;
    /// Whose job it is: those that are due go by turns of these.
    type Client: Eq + Hash + Clone + Send + 'static;
    /// What `ParkedSessions` knows of a job whoever has it; small, for there is one for each place.
    type SessionInfo: Clone + Send + 'static;
    /// What a job tells of itself while it waits.
    type SessionSnapshot: Send + 'static;

    /// Runs until the job would wait for something. Must not block on the peer.
    ///
    /// A job that parks for octets must have read until there were none since it was last told
    /// [`Signals::readable`]; one that was told [`Signals::hangup`], until the end.
    fn run(
        &mut self,
        ticket: parking::Ticket,
        wake: WakeReason<Self::Message>,
        signals: Signals,
        buffers: &mut Self::WorkerBuffers,
    ) -> Outcome;

    /// Whose it is now. Called while `ParkedSessions` is locked.
    fn client(&self) -> Self::Client;

    /// What `ParkedSessions` keeps of it while it lives.
    fn info(&self) -> Self::SessionInfo;

    /// Another info, where what was known of it has changed since. Called while `ParkedSessions` is locked.
    fn renewed_info(&mut self) -> Option<Self::SessionInfo> {
        None
    }

    /// What it does now. Called while `ParkedSessions` is locked: no system call, no waiting.
    fn snapshot(&self) -> Self::SessionSnapshot;

    /// The job panicked: log it. It is dropped afterwards.
    fn broken(&mut self, reason: &str);
}

/// Makes jobs of accepted sockets. All but the job's own calls come from the reactor's thread.
pub trait Service: Send + Sync {
    /// The kind of job.
    type Job: Job;

    /// A socket (non-blocking) was accepted on the listener of this number. `None` refuses it; what there is
    /// to say to the peer has then been said.
    fn accepted(
        &self,
        listener: usize,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Start<Self::Job>>;

    /// `accept` failed (no descriptors, no memory); the listeners rest for a moment.
    fn accept_failed(&self, listener: usize, error: &std::io::Error);

    /// The service goes down: the listeners are closed, parked jobs are about to be told.
    fn stopping(&self);

    /// Called about once a minute.
    fn tick(&self);
}

/// How a new job begins.
pub struct Start<J> {
    /// The job.
    pub job: Box<J>,
    /// Its first deadline; it runs at once, with [`WakeReason::Opened`].
    pub deadline: Instant,
}
