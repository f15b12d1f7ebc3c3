//! The SMTP session, sans-IO: octets and events in, replies and effects out.
//!
//! The caller (the server's driver) performs each [`Effect`] and hands its outcome back by
//! [`Answer`]; while one is due the session takes no input.
//!
//! | state | input is | leaves it |
//! | --- | --- | --- |
//! | command | command lines | DATA (354), BDAT, AUTH (334), an effect |
//! | auth | responses | 235, 535, 501, 421 |
//! | data | mail data | CRLF.CRLF |
//! | chunk | the octets of a BDAT | their number |
//! | turned away | command lines | QUIT, error_limit |
//! | waiting | not taken | the answer to the effect |
//! | closed | not taken | – |
//!
//! Promises: the same output and effects for any split of the input; every reply of class 5yz counts
//! towards `error_limit`; at most [`WIRE_MAX_OCTETS`] and one reply wait to be sent before input is no longer taken.
//! Refuses to know: sockets, files, clocks, threads. One file per command; every sentence is in `replies`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroize as _;

use crate::config::settings::{Mechanism, Port, Settings};
use crate::mail::memory::{Budget, Share};
use crate::mail::{OpenEnvelope, Target, TlsFacts};
use crate::policy::admission::{Admission, Stage, admission, first_stage};
use crate::policy::connection::Mark;
use crate::policy::facts::{Finding, Host, HostNames, Question};
use crate::policy::verdict;
use crate::protocol::chunk::ChunkSize;
use crate::protocol::command::{Command, Verb};
use crate::protocol::line::{LineError, LineKind, LineRead, LineReader};
use crate::protocol::reply::Reply;
use crate::protocol::sasl::Exchange;
use crate::protocol::scram::{ChannelBindings, ClientFirst};
use crate::spool::Refusal;

mod auth;
mod begin;
mod body;
pub mod calls;
mod chunk;
mod data;
mod dialogue;
mod hello;
mod mail;
mod names;
pub mod note;
mod phase;
mod rcpt;
mod refuse;
pub mod replies;
mod scram;
mod simple;
mod starttls;
#[cfg(test)]
mod tests;

use auth::{Attempt, Unseen};
pub(crate) use body::HOPS_MAX;
pub use calls::{
    Answer, Credentials, Effect, Interrupt, Output, Paced, SessionFacts, SessionStart, Step,
    Telling,
};
use mail::Candidate;
use names::Request;
pub use note::Note;
pub use phase::Phase;
use rcpt::Named;

/// Replies that wait to be sent before input is no longer taken, octets.
pub const WIRE_MAX_OCTETS: usize = 16 * 1024;

/// One SMTP session.
pub struct Session {
    settings: Arc<Settings>,
    port: usize,
    client: SocketAddr,
    local: SocketAddr,
    telling: Telling,
    memory: Arc<Budget>,
    host: Host,
    /// What the DNS lists asked so far say of the client.
    zones: Vec<Finding>,
    /// The lists that name the client and let it in.
    marks: Vec<Mark>,
    /// The list that lets it send nothing without a login.
    listed: Option<Box<verdict::Refusal>>,
    stage: Stage,
    tls: Option<TlsFacts>,
    /// What SCRAM can be bound to; none in plain text.
    bindings: Option<Box<ChannelBindings>>,
    state: State,
    line: LineReader,
    hello: Option<Hello>,
    login: Option<String>,
    /// The mechanism of the last login that was tried.
    mechanism: Option<Mechanism>,
    transaction: Option<Box<Transaction>>,
    errors: u32,
    failed_logins: u32,
    /// A login failed and none has succeeded since.
    login_is_due: bool,
    first_octet_seen: bool,
    /// What looks like a command may be a response: AUTH was said, or a line that was none.
    responses_may_come: bool,
    commands_completed: u64,
    quit: bool,
}

/// The client's greeting.
struct Hello {
    name: String,
    extended: bool,
}

/// A mail transaction (RFC 5321 section 3.3).
struct Transaction {
    envelope: OpenEnvelope,
    /// What the envelope has of the memory that all share.
    share: Share,
    /// How much memory those take that were accepted, octets.
    octets: usize,
    /// About how long the envelope is with all members of groups, octets.
    written_octets: usize,
    /// What MAIL said of the size, octets; 0 where it said nothing.
    size: u64,
    /// The most octets that the mailbox of a recipient may hold; no limit where one has none.
    mailbox_max: u64,
    /// What is known of the content while it comes.
    body: body::Body,
}

enum State {
    Command,
    Auth(Exchange),
    Data,
    Chunk(chunk::Incoming),
    /// An effect is being performed; its answer says how to go on.
    Waiting(Due),
    /// The first line was a refusal (CONFIG: refused at the first line).
    TurnedAway,
    Closed,
}

/// Which answer is due, and what is kept for it.
enum Due {
    Tls,
    Connection(Question),
    HostName(Box<Candidate>),
    Owner(Box<Candidate>),
    SenderDomain(Box<Candidate>),
    Space(Box<Candidate>),
    Pace(Unseen),
    Login(Attempt),
    Groups {
        attempt: Attempt,
        user: String,
    },
    ScramKeys(Box<ClientFirst>),
    /// The number of unknown recipients.
    Unknown(Request),
    /// The client's name, for the lists that exempt from their limit.
    Exempt(Request),
    /// The end of a wait.
    Slowed(Request),
    Recipient(Box<Named>),
    Room(Box<Named>, Arc<[Target]>),
    Relay(Box<Named>),
    Verify,
    Expand,
    Opened,
    ChunkOpened(ChunkSize),
    Committed,
}

impl Session {
    /// A session on an accepted connection. On a tls port [`Answer::TlsStarted`] comes first, else
    /// [`Session::begin`].
    pub fn new(start: SessionStart) -> Self {
        let SessionStart {
            settings,
            port,
            client,
            local,
            telling,
            memory,
        } = start;
        let host = Host {
            address: client.ip().to_canonical(),
            names: HostNames::Unasked,
            is_unknown: false,
        };
        let stage = settings
            .ports
            .get(port)
            .map_or(Stage::Plaintext, first_stage);
        Self {
            state: match stage {
                Stage::Tls => State::Waiting(Due::Tls),
                Stage::Plaintext | Stage::StartTls => State::Command,
            },
            settings,
            port,
            client,
            local,
            telling,
            memory,
            host,
            zones: Vec::new(),
            marks: Vec::new(),
            listed: None,
            stage,
            tls: None,
            bindings: None,
            line: LineReader::default(),
            hello: None,
            login: None,
            mechanism: None,
            transaction: None,
            errors: 0,
            failed_logins: 0,
            login_is_due: false,
            first_octet_seen: false,
            responses_may_come: false,
            commands_completed: 0,
            quit: false,
        }
    }

    /// The connection is a proxy's own, or the proxy does not tell who the client is. Before the session begins.
    pub fn client_is_unknown(&mut self) {
        self.host.is_unknown = true;
    }

    /// The host that connected, as far as it is known.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Takes input until it is used up, an effect is wanted, or too much waits to be sent. Gives how
    /// much was used.
    pub fn receive(
        &mut self,
        input: &[u8],
        _now: SystemTime,
        output: &mut Output,
    ) -> (usize, Step) {
        let mut used = 0;
        if let Some(step) = self.look_at_first_octet(input, output) {
            return (input.len(), step);
        }
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            if output.wire.len() >= WIRE_MAX_OCTETS {
                break;
            }
            let (count, step) = match self.state {
                State::Command | State::Auth(_) | State::TurnedAway => {
                    self.receive_line(rest, output)
                }
                State::Data => self.receive_data(rest, output),
                State::Chunk(_) => self.receive_chunk(rest, output),
                State::Waiting(_) => return (used, Step::Receive),
                State::Closed => return (input.len(), Step::Close),
            };
            used += count;
            if step != Step::Receive {
                return (used, step);
            }
        }
        (used, Step::Receive)
    }

    /// Takes the outcome of the effect that was wanted.
    pub fn answer(&mut self, answer: Answer, now: SystemTime, output: &mut Output) -> Step {
        let State::Waiting(due) = std::mem::replace(&mut self.state, State::Command) else {
            unreachable!("an answer without an effect");
        };
        match (due, answer) {
            (Due::Tls, Answer::TlsStarted(facts, bindings)) => {
                self.bindings = Some(Box::new(bindings));
                self.tls_started(facts, now, output)
            }
            (Due::Connection(question), Answer::LookedUp(finding)) => {
                self.looked_up(&question, finding);
                self.begin(now, output)
            }
            (Due::HostName(candidate), Answer::LookedUp(finding)) => {
                self.host.names = HostNames::found(finding);
                self.check_host_name(candidate, output)
            }
            (Due::Relay(named), Answer::LookedUp(finding)) => {
                self.host.names = HostNames::found(finding);
                self.relay(named, output)
            }
            (Due::Owner(candidate), Answer::Owned(owned)) => {
                self.sender_owned(candidate, owned, output)
            }
            (Due::SenderDomain(candidate), Answer::LookedUp(finding)) => {
                self.check_domain(candidate, Some(&finding), output)
            }
            (Due::Groups { attempt, user }, Answer::Groups(groups)) => {
                self.groups_found(attempt, user, groups, output)
            }
            (Due::Space(candidate), Answer::Space(space)) => {
                self.has_space(*candidate, space, output)
            }
            (Due::Pace(unseen), Answer::Paced(paced)) => self.paced(unseen, paced, output),
            (Due::Login(attempt), Answer::Login(outcome)) => {
                self.logged_in(attempt, outcome, output)
            }
            (Due::ScramKeys(client), Answer::ScramKeys(lookup, nonce)) => {
                self.scram_keys(*client, lookup, &nonce, output)
            }
            (Due::Unknown(request), Answer::Unknown(unknown)) => {
                self.unknown_counted(request, unknown, output)
            }
            (Due::Exempt(request), Answer::LookedUp(finding)) => {
                self.host.names = HostNames::found(finding);
                self.ask_for(request, output)
            }
            (Due::Slowed(request), Answer::Unknown(unknown)) => {
                self.slowed(request, unknown, output)
            }
            (Due::Recipient(named), Answer::Recipient(lookup)) => self.found(named, lookup, output),
            (Due::Room(named, targets), Answer::Measured(mailboxes)) => {
                self.measured(*named, targets, &mailboxes, output)
            }
            (Due::Verify, Answer::Recipient(lookup)) => self.verified(lookup, output),
            (Due::Expand, Answer::Expanded(expansion)) => self.expanded(expansion, output),
            (Due::Opened, Answer::Opened(opened)) => self.opened(opened, now, output),
            (Due::ChunkOpened(size), Answer::Opened(opened)) => {
                self.chunk_opened(size, opened, now, output)
            }
            (Due::Committed, Answer::Committed(result)) => self.committed(result, output),
            _ => unreachable!("an answer to another effect"),
        }
    }

    /// The spool cannot take the content of the open message: the rest of the mail data is swallowed,
    /// and answered with 4yz.
    pub fn spool_failed(&mut self, refusal: Refusal) {
        if let Some(transaction) = self.transaction.as_mut() {
            transaction.body.spool_failed(refusal);
        }
    }

    /// Says why the session ends.
    pub fn interrupt(&mut self, reason: Interrupt, output: &mut Output) {
        let reply = match reason {
            Interrupt::Timeout => replies::timeout(),
            Interrupt::ShuttingDown => replies::shutting_down(),
            Interrupt::Operator => replies::ended_by_operator(),
        };
        self.send(&reply, output);
        self.state = State::Closed;
    }

    /// Whether mail data is coming, or the answer to it is due.
    pub fn is_in_mail_data(&self) -> bool {
        matches!(
            self.state,
            State::Data
                | State::Chunk(_)
                | State::Waiting(Due::Opened | Due::ChunkOpened(_) | Due::Committed)
        )
    }

    /// Whether part of a message has come, or is about to: between two chunks as well.
    pub fn has_begun_message(&self) -> bool {
        let transaction = self.transaction.as_ref();
        self.is_in_mail_data() || transaction.is_some_and(|t| t.body.has_open_message())
    }

    /// Whether a mail transaction is open.
    pub fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Grows with each whole command or response.
    pub fn commands_completed(&self) -> u64 {
        self.commands_completed
    }

    /// Whether the client said QUIT.
    pub fn has_quit(&self) -> bool {
        self.quit
    }

    /// What is told of it at its end.
    pub fn facts(&self) -> SessionFacts<'_> {
        SessionFacts {
            helo: self.hello.as_ref().map(|hello| hello.name.as_str()),
            login: self.login.as_deref(),
            mechanism: self.mechanism.map(replies::mechanism_name),
            errors: self.errors,
        }
    }

    fn admission(&self) -> Admission {
        match self.port() {
            Some(port) => admission(&self.settings, port, self.local.ip(), self.stage),
            None => unreachable!("a session on a port of its settings"),
        }
    }

    fn port(&self) -> Option<&Port> {
        self.settings.ports.get(self.port)
    }

    /// A TLS hello on a plain port: the client wants implicit TLS, and no reply of ours helps it.
    fn look_at_first_octet(&mut self, input: &[u8], output: &mut Output) -> Option<Step> {
        let first = *input.first()?;
        let is_first = !std::mem::replace(&mut self.first_octet_seen, true);
        let is_hello = first == TLS_HANDSHAKE || first == SSL2_HELLO;
        if is_first && self.tls.is_none() && is_hello {
            output.notes.push(Note::TlsOnPlainPort);
            self.state = State::Closed;
            return Some(Step::Close);
        }
        None
    }

    fn receive_line(&mut self, input: &[u8], output: &mut Output) -> (usize, Step) {
        let kind = match self.state {
            State::Auth(_) => LineKind::SaslResponse,
            State::Command
            | State::Data
            | State::Chunk(_)
            | State::TurnedAway
            | State::Waiting(_)
            | State::Closed => LineKind::Command,
        };
        let (used, read) = self.line.read(input, kind);
        let step = match read {
            LineRead::NeedsMore => return (used, Step::Receive),
            LineRead::Line(line) => {
                let step = match kind {
                    LineKind::SaslResponse => {
                        self.tell_response(&line, output);
                        self.auth_response(&line, output)
                    }
                    LineKind::Command => self.command_line(&line, output),
                };
                if let Cow::Owned(mut line) = line {
                    // It may hold a password.
                    line.zeroize();
                }
                step
            }
            LineRead::Refused(error) => self.bad_line(error, output),
        };
        self.commands_completed += 1;
        (used, step)
    }

    fn bad_line(&mut self, error: LineError, output: &mut Output) -> Step {
        self.responses_may_come = true;
        if matches!(self.state, State::TurnedAway) {
            return self.say(replies::bad_sequence(), output);
        }
        if matches!(self.state, State::Auth(_)) {
            self.state = State::Command;
        }
        output.notes.push(Note::BadLine(error));
        self.say(replies::bad_line(error), output)
    }

    /// The order of refusals: unknown verb, STARTTLS required, and then what each command checks;
    /// its arguments come last, so they are parsed there.
    fn command_line(&mut self, line: &[u8], output: &mut Output) -> Step {
        let command = Command::parse(line);
        self.tell_command(line, command, output);
        if matches!(self.state, State::TurnedAway) {
            return self.turned_away(command, output);
        }
        let Some(Command { verb, arguments }) = command else {
            return self.say(replies::unknown_command(), output);
        };
        if self.admission().starttls_required && !is_allowed_before_tls(verb) {
            return self.refuse_before_tls(verb.name(), output);
        }
        match verb {
            Verb::Ehlo => self.hello(arguments, true, output),
            Verb::Helo => self.hello(arguments, false, output),
            Verb::Mail => self.mail(arguments, output),
            Verb::Rcpt => self.rcpt(arguments, output),
            Verb::Data => self.data(arguments, output),
            Verb::Auth => self.auth(arguments, output),
            Verb::StartTls => self.starttls(arguments, output),
            Verb::Rset => self.rset(arguments, output),
            Verb::Noop => self.say(replies::ok(), output),
            Verb::Quit => self.quit(arguments, output),
            Verb::Help => self.help(output),
            Verb::Vrfy => self.vrfy(arguments, output),
            Verb::Expn => self.expn(arguments, output),
            Verb::Bdat => self.bdat(arguments, output),
            Verb::Etrn => self.say(replies::not_available(), output),
            Verb::OtherProtocol => self.other_protocol(output),
        }
    }

    /// Somebody makes an HTTP client talk to us: nothing behind it is worth reading.
    fn other_protocol(&mut self, output: &mut Output) -> Step {
        output.notes.push(Note::OtherProtocol);
        if self.say(replies::unknown_command(), output) == Step::Receive {
            let last = replies::too_many_errors(&self.settings.messages);
            self.send(&last, output);
            self.state = State::Closed;
        }
        Step::Close
    }

    /// Says a reply; the one 5yz too many becomes 421 and the end (CONFIG: counting).
    fn say(&mut self, reply: Reply, output: &mut Output) -> Step {
        if reply.is_permanent_refusal() {
            self.errors += 1;
            let limit = self.settings.connections.error_limit;
            if limit > 0 && self.errors > limit {
                output.notes.push(Note::TooManyErrors);
                let last = replies::too_many_errors(&self.settings.messages);
                self.send(&last, output);
                output.notes.push(Note::Said(last));
                self.state = State::Closed;
                return Step::Close;
            }
        }
        self.send(&reply, output);
        if reply.code() >= 400 {
            output.notes.push(Note::Said(reply));
        }
        Step::Receive
    }

    fn perform(&mut self, due: Due, effect: Effect) -> Step {
        self.state = State::Waiting(due);
        Step::Perform(effect)
    }

    /// Says a reply and goes on with `then`, unless the reply was the session's last.
    fn say_then(&mut self, reply: Reply, then: Step, output: &mut Output) -> Step {
        match self.say(reply, output) {
            Step::Receive => then,
            end @ (Step::Close | Step::Perform(_)) => end,
        }
    }

    /// Ends the transaction. A message whose chunks have begun to come goes with it.
    fn forget_transaction(&mut self) -> Step {
        match self.transaction.take() {
            Some(transaction) if transaction.body.has_open_message() => {
                Step::Perform(Effect::DropMessage)
            }
            Some(_) | None => Step::Receive,
        }
    }

    /// Whether MAIL, VRFY and the like are open to this session now.
    fn is_admitted(&self) -> bool {
        self.login.is_some() || (self.admission().anonymous && !self.login_is_due)
    }
}

/// DOMINO.md S-55; unknown verbs and other protocols stay 500.
fn is_allowed_before_tls(verb: Verb) -> bool {
    match verb {
        Verb::Ehlo
        | Verb::Helo
        | Verb::StartTls
        | Verb::Noop
        | Verb::Rset
        | Verb::Help
        | Verb::Quit
        | Verb::OtherProtocol => true,
        Verb::Mail
        | Verb::Rcpt
        | Verb::Data
        | Verb::Vrfy
        | Verb::Expn
        | Verb::Etrn
        | Verb::Bdat
        | Verb::Auth => false,
    }
}

/// The first octet of a TLS record that holds a handshake message; no SMTP command begins with it.
const TLS_HANDSHAKE: u8 = 0x16;
/// The first octet of the hello that old devices send, which is that of SSL 2.0 (RFC 5246 appendix E.2).
const SSL2_HELLO: u8 = 0x80;
