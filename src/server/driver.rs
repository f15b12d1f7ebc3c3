//! Runs one session: octets in, effects performed, replies out.
//!
//! A [`Connection`] is what the parking lot holds: the stream, the sans-IO session, the open message.
//! Each run is plain code up to the point where it would wait: for the peer it parks, for the spool's
//! sync it is held. What it waits for and until when:
//!
//! | the session | waits for | until |
//! | --- | --- | --- |
//! | is in the TLS handshake | octets or room | `command_timeout` after its start |
//! | is between or inside commands | octets | `command_timeout` after the last whole command |
//! | is in mail data | octets | `data_timeout` after the last octet |
//! | has a reply unread | room | `command_timeout` after it was said |
//! | has a whole message | the spool | the spool answers |
//!
//! and never past `session_timeout`, or half a minute once the service is going down. Limits: one turn
//! takes at most [`READS_A_TURN`] reads, then others have theirs.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use super::gate::Admitted;
use super::notes;
use crate::config::settings::{Port, PortKind};
use crate::events::{self, EndReason, SessionSummary};
use crate::net::parking::Ticket;
use crate::net::{Interest, Job, Outcome, Signals, Wake};
use crate::session::{
    Answer, Effect, Interrupt, Output, Session, SessionStart, Step, WIRE_MAX_OCTETS,
};
use crate::spool::{Committed, Draft, Refusal};
use crate::sys::clock;
use crate::transport::stream::{Progress, Received, Stream, StreamError};

/// Reads a session may do before it goes to the end of the queue.
const READS_A_TURN: usize = 8;
/// Octets read at once.
const READ_OCTETS: usize = 32 * 1024;
/// How long a last reply may take to be read.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a worker lends to each session it runs.
pub struct Bench {
    buffer: Box<[u8]>,
    output: Output,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            buffer: vec![0; READ_OCTETS].into_boxed_slice(),
            output: Output::default(),
        }
    }
}

/// One session with its stream.
pub struct Connection {
    context: Arc<Context>,
    port: usize,
    serial: u64,
    client: SocketAddr,
    stream: Stream,
    session: Session,
    state: State,
    /// Input the session has not taken yet.
    leftover: Vec<u8>,
    draft: Option<Box<OpenMessage>>,
    opened: Instant,
    /// When the wait that is now going on began, by the table above.
    waiting_since: Instant,
    commands_completed: u64,
    messages: u64,
    _admitted: Admitted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshaking,
    Talking,
    Held,
    Closing(EndReason),
}

/// The message whose content is coming in.
struct OpenMessage {
    draft: Option<Draft>,
    from: String,
    recipients: usize,
    octets: u64,
}

/// How an effect was performed.
enum Performed {
    Answer(Answer),
    /// No answer is due.
    Nothing,
    /// The answer comes by the lot.
    Held,
    /// The stream goes over to TLS.
    Handshake,
    /// The stream is over.
    Broken,
}

impl Connection {
    /// A session on an accepted socket.
    pub fn new(
        context: Arc<Context>,
        port: usize,
        serial: u64,
        socket: TcpStream,
        client: SocketAddr,
        local: SocketAddr,
        admitted: Admitted,
    ) -> Self {
        let now = clock::monotonic();
        let start = SessionStart {
            settings: Arc::clone(&context.settings),
            port,
            client,
            local,
        };
        Self {
            session: Session::new(start),
            context,
            port,
            serial,
            client,
            stream: Stream::new(socket),
            state: State::Talking,
            leftover: Vec::new(),
            draft: None,
            opened: now,
            waiting_since: now,
            commands_completed: 0,
            messages: 0,
            _admitted: admitted,
        }
    }

    /// The deadline before its first run.
    pub fn first_deadline(&self) -> Instant {
        self.opened + self.context.settings.limits.command_timeout
    }

    fn port(&self) -> Option<&Port> {
        self.context.settings.ports.get(self.port)
    }

    fn sid(&self) -> String {
        sid_of(self.serial)
    }

    fn open(&mut self, bench: &mut Bench) -> Result<Step, Outcome> {
        let kind = self.port().map(|port| port.kind);
        if let Some(port) = self.port() {
            events::session_opened(&self.sid(), self.client, &port.name);
        }
        match kind {
            Some(PortKind::Tls) => {
                self.begin_tls(bench)?;
                self.handshake(bench)
            }
            _ => Ok(self.session.greet(clock::now(), &mut bench.output)),
        }
    }

    fn begin_tls(&mut self, bench: &mut Bench) -> Result<(), Outcome> {
        // The configuration is checked so that a port that needs TLS has it.
        let Some(tls) = self.context.tls.clone() else {
            return Err(self.end(EndReason::Tls, bench));
        };
        self.state = State::Handshaking;
        self.waiting_since = clock::monotonic();
        match self.stream.start_tls(&tls) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.broken_stream(error, bench)),
        }
    }

    /// Drives the handshake; when it is done the session speaks.
    fn handshake(&mut self, bench: &mut Bench) -> Result<Step, Outcome> {
        match self.stream.handshake() {
            Ok(Progress::Done) => {}
            Ok(Progress::NeedsOctets) => return Err(self.park(Interest::Readable)),
            Ok(Progress::NeedsRoom) => return Err(self.park(Interest::Writable)),
            Err(error) => return Err(self.broken_stream(error, bench)),
        }
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        let Some(facts) = self.stream.tls_facts() else {
            return Err(self.end(EndReason::Tls, bench));
        };
        let step = self
            .session
            .answer(Answer::TlsStarted(facts), clock::now(), &mut bench.output);
        self.after_session(bench);
        Ok(step)
    }

    /// Goes on from `step` until there is something to wait for.
    fn go_on(&mut self, mut step: Step, ticket: Ticket, bench: &mut Bench) -> Outcome {
        let mut reads = 0;
        loop {
            step = match step {
                Step::Close => return self.close(EndReason::Refused, bench),
                Step::Perform(effect) => match self.perform(effect, ticket, bench) {
                    Performed::Answer(answer) => self.answer(answer, bench),
                    Performed::Nothing => Step::Receive,
                    Performed::Held => return self.hold(bench),
                    Performed::Broken => return self.end(EndReason::Dropped, bench),
                    Performed::Handshake => match self.begin_tls(bench) {
                        Err(outcome) => return outcome,
                        Ok(()) => match self.handshake(bench) {
                            Err(outcome) => return outcome,
                            Ok(step) => step,
                        },
                    },
                },
                Step::Receive => match self.next_input(&mut reads, bench) {
                    Ok(step) => step,
                    Err(outcome) => return outcome,
                },
            };
        }
    }

    /// Feeds the session with what is left over, or with what the stream has.
    fn next_input(&mut self, reads: &mut usize, bench: &mut Bench) -> Result<Step, Outcome> {
        if !self.leftover.is_empty() && bench.output.wire.len() < WIRE_MAX_OCTETS {
            return Ok(self.feed_leftover(bench));
        }
        if self.say(bench)? == Progress::NeedsRoom {
            return Err(self.park(Interest::Writable));
        }
        if !self.leftover.is_empty() {
            return Ok(self.feed_leftover(bench));
        }
        if self.is_to_stop() {
            return Err(self.stop(bench));
        }
        if !self.stream.may_have_octets() {
            return Err(self.park(Interest::Readable));
        }
        if *reads >= READS_A_TURN {
            return Err(Outcome::Again);
        }
        *reads += 1;
        let mut buffer = std::mem::take(&mut bench.buffer);
        let received = self.stream.receive(&mut buffer);
        let next = match received {
            Ok(Received::Octets(count)) => {
                let octets = buffer.get(..count).unwrap_or_default();
                let (used, step) = self.feed(octets, bench);
                self.leftover
                    .extend_from_slice(octets.get(used..).unwrap_or_default());
                Ok(step)
            }
            Ok(Received::Nothing) => Err(self.park(Interest::Readable)),
            Ok(Received::End) => Err(self.end(EndReason::Dropped, bench)),
            Err(error) => Err(self.broken_stream(error, bench)),
        };
        bench.buffer = buffer;
        next
    }

    fn feed_leftover(&mut self, bench: &mut Bench) -> Step {
        let leftover = std::mem::take(&mut self.leftover);
        let (used, step) = self.feed(&leftover, bench);
        if used < leftover.len() {
            self.leftover = leftover;
            self.leftover.drain(..used);
        }
        step
    }

    fn feed(&mut self, octets: &[u8], bench: &mut Bench) -> (usize, Step) {
        let (used, step) = self
            .session
            .receive(octets, clock::now(), &mut bench.output);
        self.after_session(bench);
        if self.session.is_in_mail_data()
            || self.session.commands_completed() != self.commands_completed
        {
            self.commands_completed = self.session.commands_completed();
            self.waiting_since = clock::monotonic();
        }
        (used, step)
    }

    fn answer(&mut self, answer: Answer, bench: &mut Bench) -> Step {
        let step = self.session.answer(answer, clock::now(), &mut bench.output);
        self.after_session(bench);
        step
    }

    /// Takes content to the spool and notes to the log.
    fn after_session(&mut self, bench: &mut Bench) {
        if !bench.output.content.is_empty() {
            self.store(&bench.output.content);
            bench.output.content.clear();
        }
        for note in bench.output.notes.drain(..) {
            notes::log(&sid_of(self.serial), self.client, &note);
        }
    }

    fn store(&mut self, content: &[u8]) {
        let Some(message) = self.draft.as_mut() else {
            return;
        };
        let Some(draft) = message.draft.as_mut() else {
            return;
        };
        message.octets += content.len() as u64;
        if let Err(refusal) = draft.write(content) {
            message.draft = None;
            self.session.spool_failed(refusal);
        }
    }

    fn perform(&mut self, effect: Effect, ticket: Ticket, bench: &mut Bench) -> Performed {
        match effect {
            Effect::StartTls => self.leave_plaintext(bench),
            Effect::CheckSpace(octets) => {
                Performed::Answer(Answer::Space(self.context.spool.check_space(octets)))
            }
            Effect::CheckLogin(credentials) => {
                let directory = &self.context.directory;
                let outcome = directory.verify(&credentials.login, &credentials.password);
                Performed::Answer(Answer::Login(outcome))
            }
            Effect::FindRecipient(path) => {
                Performed::Answer(Answer::Recipient(self.context.directory.find(&path)))
            }
            Effect::OpenMessage(envelope) => {
                let from = envelope.reverse_path.to_string();
                let recipients = envelope.recipients.len();
                let opened = self
                    .context
                    .spool
                    .draft(*envelope, clock::now())
                    .map(|draft| {
                        let id = draft.id();
                        let draft = Some(draft);
                        self.draft = Some(Box::new(OpenMessage {
                            draft,
                            from,
                            recipients,
                            octets: 0,
                        }));
                        id
                    });
                Performed::Answer(Answer::Opened(opened))
            }
            Effect::CommitMessage => self.commit(ticket),
            Effect::DropMessage => {
                self.draft = None;
                Performed::Nothing
            }
        }
    }

    fn commit(&mut self, ticket: Ticket) -> Performed {
        let draft = self.draft.as_mut().and_then(|message| message.draft.take());
        let Some(draft) = draft else {
            return Performed::Answer(Answer::Committed(Err(Refusal::Failure)));
        };
        let lot = Arc::clone(&self.context.lot);
        self.context
            .spool
            .commit(draft, Box::new(move |result| lot.send(ticket, result)));
        Performed::Held
    }

    /// Plain text that came behind STARTTLS was sent by somebody who could not know our reply: it is
    /// thrown away (RFC 3207 section 4.2), then our 220 goes out.
    fn leave_plaintext(&mut self, bench: &mut Bench) -> Performed {
        let mut discarded = std::mem::take(&mut self.leftover).len();
        while self.stream.may_have_octets() {
            match self.stream.receive(&mut bench.buffer) {
                Ok(Received::Octets(count)) => discarded += count,
                Ok(Received::Nothing) => break,
                Ok(Received::End) | Err(_) => return Performed::Broken,
            }
        }
        if discarded > 0 {
            self.context.stats.plaintext_discarded.add(discarded as u64);
            events::plaintext_discarded(&self.sid(), self.client, discarded);
        }
        match self.say(bench) {
            // A peer that does not even take this reply wants no TLS.
            Ok(Progress::Done) => Performed::Handshake,
            _ => Performed::Broken,
        }
    }

    /// Sends what the session has said.
    fn say(&mut self, bench: &mut Bench) -> Result<Progress, Outcome> {
        let wire = &mut bench.output.wire;
        let sent = if wire.is_empty() {
            self.stream.flush()
        } else {
            self.stream.send(wire)
        };
        wire.clear();
        sent.map_err(|error| self.broken_stream(error, bench))
    }

    fn hold(&mut self, bench: &mut Bench) -> Outcome {
        if let Err(outcome) = self.say(bench) {
            return outcome;
        }
        self.state = State::Held;
        Outcome::Hold {
            deadline: clock::monotonic() + self.context.settings.limits.data_timeout,
        }
    }

    /// The spool has answered.
    fn committed(&mut self, result: Result<Committed, Refusal>, bench: &mut Bench) -> Step {
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        if let (Ok(committed), Some(message)) = (&result, self.draft.take()) {
            self.messages += 1;
            self.context.stats.messages_accepted.count();
            self.context.stats.octets_accepted.add(message.octets);
            let OpenMessage {
                from,
                recipients,
                octets,
                ..
            } = *message;
            events::accepted(&self.sid(), committed.id(), from, recipients, octets);
        }
        self.answer(Answer::Committed(result), bench)
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
        let limits = &self.context.settings.limits;
        let patience = match self.state {
            State::Closing(_) => FAREWELL.min(limits.command_timeout),
            State::Talking if self.session.is_in_mail_data() => limits.data_timeout,
            State::Handshaking | State::Talking | State::Held => limits.command_timeout,
        };
        let end = self.opened + limits.session_timeout;
        let end = self
            .context
            .stop_deadline()
            .map_or(end, |stop| stop.min(end));
        (self.waiting_since + patience).min(end)
    }

    fn timed_out(&mut self, bench: &mut Bench) -> Outcome {
        match self.state {
            // The spool always answers; until it does there is nothing to say.
            State::Held => return self.hold(bench),
            State::Closing(reason) => return self.end(reason, bench),
            State::Handshaking => return self.end(EndReason::Timeout, bench),
            State::Talking => {}
        }
        if !self.stream.is_sent() {
            return self.end(EndReason::Timeout, bench);
        }
        if self.context.stop_deadline().is_some() {
            return self.stop(bench);
        }
        self.session
            .interrupt(Interrupt::Timeout, &mut bench.output);
        self.close(EndReason::Timeout, bench)
    }

    /// Whether the service is going down and this session is between commands.
    fn is_to_stop(&self) -> bool {
        self.context.stop_deadline().is_some() && !self.session.is_in_mail_data()
    }

    fn stop(&mut self, bench: &mut Bench) -> Outcome {
        if self.state != State::Talking {
            return self.end(EndReason::Refused, bench);
        }
        self.session
            .interrupt(Interrupt::ShuttingDown, &mut bench.output);
        self.close(EndReason::Refused, bench)
    }

    /// Says the last words, and ends once the peer has taken them.
    fn close(&mut self, reason: EndReason, bench: &mut Bench) -> Outcome {
        let reason = if self.session.has_quit() {
            EndReason::Quit
        } else {
            reason
        };
        self.state = State::Closing(reason);
        self.waiting_since = clock::monotonic();
        match self.say(bench) {
            Ok(Progress::Done | Progress::NeedsOctets) => self.end(reason, bench),
            Ok(Progress::NeedsRoom) => self.park(Interest::Writable),
            Err(outcome) => outcome,
        }
    }

    fn broken_stream(&mut self, error: StreamError, bench: &mut Bench) -> Outcome {
        match (error, self.state) {
            (_, State::Closing(reason)) => self.end(reason, bench),
            (StreamError::Tls(failure), _) => {
                self.context.stats.tls_failures.count();
                let port = self.port().map_or("?", |port| port.name.as_str());
                events::tls_failed(&self.sid(), self.client, port, failure);
                self.end(EndReason::Tls, bench)
            }
            (StreamError::Io(_), _) => self.end(EndReason::Dropped, bench),
        }
    }

    fn end(&mut self, reason: EndReason, bench: &mut Bench) -> Outcome {
        bench.output.wire.clear();
        self.draft = None;
        self.stream.finish(&mut bench.buffer);
        self.log_end(reason);
        Outcome::Done
    }

    fn log_end(&self, reason: EndReason) {
        let facts = self.session.facts();
        events::session_ended(&SessionSummary {
            sid: &self.sid(),
            client: self.client,
            port: self.port().map_or("?", |port| port.name.as_str()),
            reason,
            helo: facts.helo,
            login: facts.login,
            tls: self.stream.tls_facts(),
            messages: self.messages,
            errors: facts.errors,
            seconds: clock::monotonic()
                .saturating_duration_since(self.opened)
                .as_secs(),
        });
    }
}

/// A session's id in the log.
fn sid_of(serial: u64) -> String {
    format!("{serial:08x}")
}

impl Job for Connection {
    type Message = Result<Committed, Refusal>;
    type Bench = Bench;

    fn run(
        &mut self,
        ticket: Ticket,
        wake: Wake<Self::Message>,
        signals: Signals,
        bench: &mut Bench,
    ) -> Outcome {
        self.stream.signalled(signals.readable, signals.hangup);
        let step = match wake {
            Wake::Opened => self.open(bench),
            Wake::Ready => match self.state {
                State::Closing(reason) => Err(self.close(reason, bench)),
                State::Handshaking => self.handshake(bench),
                State::Talking | State::Held => Ok(Step::Receive),
            },
            Wake::Message(result) => Ok(self.committed(result, bench)),
            Wake::Deadline => Err(self.timed_out(bench)),
            Wake::Stop if self.is_to_stop() => Err(self.stop(bench)),
            Wake::Stop => Ok(Step::Receive),
        };
        let outcome = match step {
            Ok(step) => self.go_on(step, ticket, bench),
            Err(outcome) => outcome,
        };
        // A bench is lent: nothing of one session may reach the next.
        bench.output.wire.clear();
        outcome
    }

    fn broken(&mut self, reason: &str) {
        self.context.stats.bugs.count();
        events::bug(&self.sid(), self.client, reason);
        self.log_end(EndReason::Bug);
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
