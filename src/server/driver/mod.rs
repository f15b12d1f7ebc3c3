//! Runs one session: octets in, effects performed, replies out.
//!
//! A [`Connection`] is what `ParkedSessions` holds: the stream, the sans-IO session, the open message.
//! Each run is plain code up to the point where it would wait: for the peer it parks, for the spool's
//! sync it is held. What it waits for and until when:
//!
//! | the session | waits for | until |
//! | --- | --- | --- |
//! | comes from a proxy, without its header | octets | [`proxy::HEADER_PATIENCE`] after its start |
//! | is in the TLS handshake | octets or room | `command_timeout` after its start |
//! | is between or inside commands | octets | `command_timeout` after the last whole command |
//! | is in mail data | octets | `data_timeout` after the last octet |
//! | has a reply unread | room | `command_timeout` after it was said |
//! | has a whole message | the spool | the spool answers |
//! | has a login that others' failures slow down | the client's end | its time is over |
//! | has a question to DNS | the resolver | it answers, within its own deadline |
//!
//! and never past `session_timeout`, or half a minute once the service is going down. Limits: one turn
//! takes a bounded amount of work (`turn`), then others have theirs.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::acceptor::Admitted;
use super::context::{Context, Setup};
use super::notes;
use crate::config::settings::{Port, PortKind};
use crate::devices::Watch;
use crate::events::{self, EndReason};
use crate::mail::ClientKey;
use crate::net::parking::Ticket;
use crate::net::{Interest, Outcome};
use crate::session::{
    Answer, Interrupt, Output, Session, SessionStart, Step, Telling, WIRE_MAX_OCTETS,
};

mod effects;
mod ending;
mod job;
mod pace;
mod proxy;
mod snapshot;
mod turn;

use crate::sys::clock;
use crate::transport::stream::{Progress, Received, Stream, StreamError};
pub use effects::Completion;
use effects::{OpenMessage, Performed};
use pace::Delay;
use proxy::Proxied;
pub use snapshot::{SessionInfo, SessionSnapshot};
use turn::{COMMAND_OCTETS, COMMAND_READ_OCTETS, Turn};

/// Octets read at once.
const READ_OCTETS: usize = 32 * 1024;
/// How long a client waits in silence that expects us to speak first; who only looks goes sooner.
const PATIENT: Duration = Duration::from_secs(5);
/// How long a last reply may take to be read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a worker lends to each session it runs.
pub struct WorkerBuffers {
    buffer: Box<[u8]>,
    output: Output,
}

impl Default for WorkerBuffers {
    fn default() -> Self {
        Self {
            buffer: vec![0; READ_OCTETS].into_boxed_slice(),
            output: Output::default(),
        }
    }
}

/// An accepted socket.
pub struct Arrival {
    /// Index of its port in the settings.
    pub port: usize,
    /// That port's name.
    pub port_name: Arc<str>,
    /// The session's number in this run.
    pub serial: u64,
    /// The socket.
    pub socket: TcpStream,
    /// The peer.
    pub client: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Whether the peer is a proxy, whose header has to tell the client.
    pub is_from_proxy: bool,
    /// Its place in the counts.
    pub admitted: Admitted,
}

/// One session with its stream.
pub struct Connection {
    context: Arc<Context>,
    setup: Arc<Setup>,
    port: usize,
    port_name: Arc<str>,
    serial: u64,
    client: SocketAddr,
    local: IpAddr,
    proxied: Option<Box<Proxied>>,
    /// `ParkedSessions` knows it by another client.
    info_is_old: bool,
    stream: Stream,
    session: Session,
    state: State,
    /// Input the session has not taken yet.
    leftover: Zeroizing<Vec<u8>>,
    draft: Option<Box<OpenMessage>>,
    opened: Instant,
    /// When the wait that is now going on began, by the table above.
    waiting_since: Instant,
    commands_completed: u64,
    messages: u64,
    /// The operator wants its end.
    to_end: bool,
    /// What is found wrong with the client.
    watch: Watch,
    admitted: Admitted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The proxy's header is not complete.
    Unannounced,
    Handshaking,
    Talking,
    Held,
    /// Something waits its time.
    Delayed(Delay),
    Closing(EndReason),
}

impl Connection {
    /// A session on an accepted socket.
    pub fn new(context: Arc<Context>, setup: Arc<Setup>, arrival: Arrival) -> Self {
        let Arrival {
            port,
            port_name,
            serial,
            socket,
            client,
            local,
            is_from_proxy,
            admitted,
        } = arrival;
        let now = clock::monotonic();
        let proxied = is_from_proxy.then(|| Box::new(Proxied::by(client.ip())));
        Self {
            session: session_of(&context, &setup, port, (client, local)),
            context,
            setup,
            port,
            port_name,
            serial,
            client,
            local: local.ip(),
            state: match proxied {
                Some(_) => State::Unannounced,
                None => State::Talking,
            },
            proxied,
            info_is_old: false,
            stream: Stream::new(socket),
            leftover: Zeroizing::default(),
            draft: None,
            opened: now,
            waiting_since: now,
            commands_completed: 0,
            messages: 0,
            to_end: false,
            watch: Watch::default(),
            admitted,
        }
    }

    /// The deadline before its first run.
    pub fn first_deadline(&self) -> Instant {
        self.deadline()
    }

    fn port(&self) -> Option<&Port> {
        self.setup.settings.ports.get(self.port)
    }

    /// What the client counts as, for every limit.
    fn client_key(&self) -> ClientKey {
        self.setup.settings.client_key(self.client.ip())
    }

    fn sid(&self) -> String {
        sid_of(self.serial)
    }

    fn open(&mut self, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        match self.state {
            State::Unannounced => self.read_header(buffers),
            _ => self.begin(buffers),
        }
    }

    /// The client is known: it hears the first line, or TLS begins.
    fn begin(&mut self, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        let kind = self.port().map(|port| port.kind);
        if let Some(port) = self.port() {
            events::session_opened(&self.sid(), self.client, &port.name);
        }
        match kind {
            Some(PortKind::Tls) => {
                self.begin_tls(buffers)?;
                self.handshake(buffers)
            }
            _ => {
                let step = self.session.begin(clock::now(), &mut buffers.output);
                self.after_session(buffers);
                Ok(step)
            }
        }
    }

    fn begin_tls(&mut self, buffers: &mut WorkerBuffers) -> Result<(), Outcome> {
        // The configuration is checked so that a port that needs TLS has it.
        let Some(tls) = self.setup.tls_of(self.local) else {
            return Err(self.end(EndReason::Tls, buffers));
        };
        self.state = State::Handshaking;
        self.waiting_since = clock::monotonic();
        match self.stream.start_tls(&tls) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.broken_stream(error, buffers)),
        }
    }

    /// Drives the handshake; when it is done the session speaks.
    fn handshake(&mut self, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        match self.stream.handshake() {
            Ok(Progress::Done) => {}
            Ok(Progress::NeedsOctets) => return Err(self.park(Interest::Readable)),
            Ok(Progress::NeedsRoom) => return Err(self.park(Interest::Writable)),
            Err(error) => return Err(self.broken_stream(error, buffers)),
        }
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        let tls = self.setup.tls_of(self.local);
        let (Some(facts), Some(tls)) = (self.stream.tls_facts(), tls) else {
            return Err(self.end(EndReason::Tls, buffers));
        };
        let started = Answer::TlsStarted(facts, self.stream.channel_bindings(&tls));
        let step = self
            .session
            .answer(started, clock::now(), &mut buffers.output);
        self.after_session(buffers);
        Ok(step)
    }

    /// Goes on from `step` until there is something to wait for.
    fn run_steps(
        &mut self,
        mut step: Step,
        ticket: Ticket,
        buffers: &mut WorkerBuffers,
    ) -> Outcome {
        let mut turn = Turn::default();
        loop {
            turn.count_step(&step);
            step = match step {
                Step::Close => return self.close(EndReason::Refused, buffers),
                Step::Perform(effect) => match self.perform(effect, ticket, buffers) {
                    Performed::Answer(answer) => self.answer(answer, buffers),
                    Performed::Nothing => Step::Receive,
                    Performed::Held => return self.hold(buffers),
                    Performed::Delayed(wait, delay) => return self.delay(wait, delay, buffers),
                    Performed::Broken => return self.end(EndReason::Dropped, buffers),
                    Performed::Handshake => match self.begin_tls(buffers) {
                        Err(outcome) => return outcome,
                        Ok(()) => match self.handshake(buffers) {
                            Err(outcome) => return outcome,
                            Ok(step) => step,
                        },
                    },
                },
                Step::Receive => match self.next_input(&mut turn, buffers) {
                    Ok(step) => step,
                    Err(outcome) => return outcome,
                },
            };
        }
    }

    /// Feeds the session with what is left over, or with what the stream has.
    fn next_input(
        &mut self,
        turn: &mut Turn,
        buffers: &mut WorkerBuffers,
    ) -> Result<Step, Outcome> {
        let unsaid = buffers.output.wire.len();
        if !self.leftover.is_empty() && unsaid < WIRE_MAX_OCTETS && !turn.is_over(unsaid) {
            return Ok(self.feed_leftover(turn, buffers));
        }
        turn.count_said(unsaid);
        if self.say(buffers)? == Progress::NeedsRoom {
            return Err(self.park(Interest::Writable));
        }
        if !self.leftover.is_empty() {
            return match turn.is_over(0) {
                true => Err(self.give_way(buffers)),
                false => Ok(self.feed_leftover(turn, buffers)),
            };
        }
        if self.is_to_stop() {
            return Err(self.stop(buffers));
        }
        if !self.stream.may_have_octets() {
            return Err(self.park(Interest::Readable));
        }
        if turn.has_read_enough() {
            return Err(self.give_way(buffers));
        }
        self.read(turn, buffers)
    }

    /// Reads, and feeds the session with what has come. Of commands no more is read than is soon run.
    fn read(&mut self, turn: &mut Turn, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        turn.count_read();
        let mut buffer = std::mem::take(&mut buffers.buffer);
        let is_content = self.session.is_in_mail_data();
        let wanted = match is_content {
            true => buffer.len(),
            false => COMMAND_READ_OCTETS.min(buffer.len()),
        };
        let received = self
            .stream
            .receive(buffer.get_mut(..wanted).unwrap_or_default());
        let next = match received {
            Ok(Received::Octets(count)) => {
                let octets = buffer.get(..count).unwrap_or_default();
                let (used, step) = self.feed(octets, turn, buffers);
                self.leftover
                    .extend_from_slice(octets.get(used..).unwrap_or_default());
                if !(is_content && self.session.is_in_mail_data()) {
                    // It may have been a password, and the next session may not need as much of the buffer.
                    buffer.get_mut(..count).unwrap_or_default().fill(0);
                }
                Ok(step)
            }
            Ok(Received::Nothing) => Err(self.park(Interest::Readable)),
            Ok(Received::End) => {
                self.broke_off(EndReason::Dropped);
                Err(self.end(EndReason::Dropped, buffers))
            }
            Err(error) => Err(self.broken_stream(error, buffers)),
        };
        buffers.buffer = buffer;
        next
    }

    /// Others have their turn, unless this session is over.
    fn give_way(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        if self.is_to_stop() {
            return self.stop(buffers);
        }
        // A client that never pauses never waits for its deadline.
        if clock::monotonic() >= self.hard_deadline() {
            return self.timed_out(buffers);
        }
        Outcome::Again
    }

    fn feed_leftover(&mut self, turn: &mut Turn, buffers: &mut WorkerBuffers) -> Step {
        let leftover = std::mem::take(&mut self.leftover);
        let (used, step) = self.feed(&leftover, turn, buffers);
        if used < leftover.len() {
            self.leftover = leftover;
            self.leftover.drain(..used);
        }
        step
    }

    /// Gives the session octets, of commands a part; gives how many it used.
    fn feed(
        &mut self,
        octets: &[u8],
        turn: &mut Turn,
        buffers: &mut WorkerBuffers,
    ) -> (usize, Step) {
        let octets = match self.session.is_in_mail_data() {
            true => octets,
            false => octets.get(..COMMAND_OCTETS).unwrap_or(octets),
        };
        let (used, step) = self
            .session
            .receive(octets, clock::now(), &mut buffers.output);
        self.after_session(buffers);
        let completed = self.session.commands_completed();
        let commands = completed.saturating_sub(self.commands_completed);
        turn.count_commands(commands);
        if self.session.is_in_mail_data() || commands > 0 {
            self.commands_completed = completed;
            self.waiting_since = clock::monotonic();
        }
        (used, step)
    }

    fn answer(&mut self, answer: Answer, buffers: &mut WorkerBuffers) -> Step {
        let step = self
            .session
            .answer(answer, clock::now(), &mut buffers.output);
        self.after_session(buffers);
        step
    }

    /// Takes content to the spool and notes to the log.
    fn after_session(&mut self, buffers: &mut WorkerBuffers) {
        if !buffers.output.content.is_empty() {
            self.store(&buffers.output.content);
            buffers.output.content.clear();
        }
        for note in buffers.output.notes.drain(..) {
            self.count_login(&note);
            self.count_unknown(&note);
            self.watch.note(&note);
            notes::count(&self.context.stats, &note);
            notes::log(&sid_of(self.serial), self.client, &note);
        }
    }

    /// Sends what the session has said.
    fn say(&mut self, buffers: &mut WorkerBuffers) -> Result<Progress, Outcome> {
        let wire = &mut buffers.output.wire;
        let sent = if wire.is_empty() {
            self.stream.flush()
        } else {
            self.stream.send(wire)
        };
        wire.clear();
        sent.map_err(|error| self.broken_stream(error, buffers))
    }

    fn hold(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        if let Err(outcome) = self.say(buffers) {
            return outcome;
        }
        self.state = State::Held;
        Outcome::Hold {
            deadline: clock::monotonic() + self.setup.settings.limits.data_timeout,
        }
    }

    fn park(&mut self, interest: Interest) -> Outcome {
        if interest == Interest::Readable {
            self.stream.shrink();
            self.leftover.shrink_to_fit();
        }
        Outcome::Park {
            interest,
            deadline: self.deadline(),
        }
    }

    fn deadline(&self) -> Instant {
        let limits = &self.setup.settings.limits;
        let patience = match self.state {
            State::Closing(_) => CLOSE_TIMEOUT.min(limits.command_timeout),
            State::Unannounced => proxy::HEADER_PATIENCE.min(limits.command_timeout),
            State::Talking if self.session.is_in_mail_data() => limits.data_timeout,
            State::Handshaking | State::Talking | State::Held | State::Delayed(_) => {
                limits.command_timeout
            }
        };
        (self.waiting_since + patience).min(self.hard_deadline())
    }

    /// When the session is over whatever it does.
    fn hard_deadline(&self) -> Instant {
        let end = self.opened + self.setup.settings.limits.session_timeout;
        let stop = self.context.stop_deadline();
        stop.map_or(end, |stop| stop.min(end))
    }

    fn timed_out(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        match self.state {
            State::Delayed(_) => unreachable!("the end of a delay is no timeout"),
            // Spool and resolver always answer; until they do there is nothing to say.
            State::Held => return self.hold(buffers),
            State::Closing(reason) => return self.end(reason, buffers),
            State::Unannounced => return self.header_timed_out(buffers),
            State::Handshaking => {
                self.broke_off(EndReason::Timeout);
                return self.end(EndReason::Timeout, buffers);
            }
            State::Talking => self.broke_off(EndReason::Timeout),
        }
        if !self.stream.is_sent() {
            return self.end(EndReason::Timeout, buffers);
        }
        if self.context.stop_deadline().is_some() {
            return self.stop(buffers);
        }
        self.session
            .interrupt(Interrupt::Timeout, &mut buffers.output);
        self.close(EndReason::Timeout, buffers)
    }

    /// Whether the service is going down, or the operator wants it, and this session is between commands,
    /// with no chunks of a message taken.
    fn is_to_stop(&self) -> bool {
        let wanted = self.to_end || self.context.stop_deadline().is_some();
        wanted && !self.session.has_begun_message()
    }

    /// The operator ends this session: between commands it hears so, else it is cut and what came of a
    /// message is dropped. A message that is with the spool already gets its answer first.
    fn end_by_operator(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        self.to_end = true;
        match self.state {
            State::Held if self.session.has_begun_message() => self.hold(buffers),
            // What it was held for has nobody to tell any more.
            State::Held | State::Delayed(_) | State::Talking
                if self.is_to_stop() && self.stream.is_sent() =>
            {
                self.state = State::Talking;
                self.stop(buffers)
            }
            State::Held
            | State::Delayed(_)
            | State::Talking
            | State::Unannounced
            | State::Handshaking
            | State::Closing(_) => self.end(EndReason::Killed, buffers),
        }
    }

    /// The service goes down. A message that is with the spool gets its answer first.
    fn service_stops(&mut self, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        match self.state {
            State::Held if self.session.has_begun_message() => Err(self.hold(buffers)),
            // What it waited for has nobody to tell any more.
            State::Held | State::Delayed(_) => {
                self.state = State::Talking;
                Err(self.stop(buffers))
            }
            State::Unannounced => Err(self.stop(buffers)),
            State::Talking | State::Handshaking | State::Closing(_) if self.is_to_stop() => {
                Err(self.stop(buffers))
            }
            State::Talking | State::Handshaking | State::Closing(_) => Ok(Step::Receive),
        }
    }

    fn stop(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        let (reason, words) = match self.to_end {
            true => (EndReason::Killed, Interrupt::Operator),
            false => (EndReason::Refused, Interrupt::ShuttingDown),
        };
        if self.state != State::Talking {
            return self.end(reason, buffers);
        }
        self.session.interrupt(words, &mut buffers.output);
        self.close(reason, buffers)
    }

    /// Says the last words, and ends once the peer has taken them.
    fn close(&mut self, reason: EndReason, buffers: &mut WorkerBuffers) -> Outcome {
        let reason = if self.session.has_quit() {
            EndReason::Quit
        } else {
            reason
        };
        self.state = State::Closing(reason);
        self.waiting_since = clock::monotonic();
        match self.say(buffers) {
            Ok(Progress::Done | Progress::NeedsOctets) => self.end(reason, buffers),
            Ok(Progress::NeedsRoom) => self.park(Interest::Writable),
            Err(outcome) => outcome,
        }
    }

    fn broken_stream(&mut self, error: StreamError, buffers: &mut WorkerBuffers) -> Outcome {
        match (error, self.state) {
            (_, State::Closing(reason)) => self.end(reason, buffers),
            (StreamError::Tls(failure), _) => {
                self.context.stats.tls_failures.count();
                self.watch.tls_failed(&failure);
                let port = self.port().map_or("?", |port| port.name.as_str());
                events::tls_failed(&self.sid(), self.client, port, failure);
                self.end(EndReason::Tls, buffers)
            }
            (StreamError::Io(_), _) => {
                self.broke_off(EndReason::Dropped);
                self.end(EndReason::Dropped, buffers)
            }
        }
    }
}

/// The session of a connection between these two.
fn session_of(
    context: &Context,
    setup: &Setup,
    port: usize,
    (client, local): (SocketAddr, SocketAddr),
) -> Session {
    Session::new(SessionStart {
        settings: Arc::clone(&setup.settings),
        port,
        client,
        local,
        telling: match setup.settings.log.tells_dialogue_with(client.ip()) {
            true => Telling::Dialogue,
            false => Telling::Refusals,
        },
        memory: Arc::clone(context.spool.memory()),
    })
}

/// A session's id in the log.
pub(crate) fn sid_of(serial: u64) -> String {
    format!("{serial:08x}")
}
