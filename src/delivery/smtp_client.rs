//! A blocking SMTP and LMTP client: one step of the protocol a call, every step named when it fails.
//!
//! Promises: each step ends within its limit ([`Limits`]), also where the server drips its octets;
//! a password goes out only in [`SmtpClient::login`] (`login`) and is in no error. Refuses to know: when to try
//! again, and whom to trust (an argument).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::step::Step;
use super::witness::{Heard, Witness};
use crate::mail::{Kept, TlsFacts};
use crate::protocol::client::{ReplyReader, ServerReply, mail_data};
use crate::protocol::scram::EXPORTER_OCTETS;
use crate::sys::{clock, machine};
use crate::transport::client::{Brake, ClientStream, Trust};

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One attempt to connect.
    pub connect: Duration,
    /// The greeting.
    pub greeting: Duration,
    /// A TLS handshake.
    pub tls: Duration,
    /// EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET.
    pub command: Duration,
    /// DATA.
    pub data: Duration,
    /// One block of the content.
    pub block: Duration,
    /// All of the content.
    pub content: Duration,
    /// The reply to the end of the mail data.
    pub end_of_data: Duration,
    /// QUIT.
    pub quit: Duration,
}

impl Limits {
    /// What RFC 5321 section 4.5.3.2 asks for where it names a time, and our own elsewhere.
    pub const USUAL: Self = Self {
        connect: Duration::from_secs(30),
        greeting: Duration::from_secs(5 * 60),
        tls: Duration::from_secs(60),
        command: Duration::from_secs(5 * 60),
        data: Duration::from_secs(2 * 60),
        block: Duration::from_secs(3 * 60),
        content: Duration::from_secs(4 * 60 * 60),
        end_of_data: Duration::from_secs(10 * 60),
        quit: Duration::from_secs(5),
    };

    /// The same limit for every step.
    pub fn each(patience: Duration) -> Self {
        Self {
            connect: patience,
            greeting: patience,
            tls: patience,
            command: patience,
            data: patience,
            block: patience,
            content: patience,
            end_of_data: patience,
            quit: patience,
        }
    }
}

/// Why a message was not sent.
#[derive(Debug)]
pub enum ClientError {
    /// The connection failed at a step.
    Io(Step, io::Error),
    /// What the server said is no reply.
    NotSmtp(Step),
    /// The server refused a step.
    Refused(Step, u16, String),
    /// We go no further at a step, and why.
    Unusable(Step, String),
    /// The same for a fault of this machine, which the words tell of.
    Local(Step, String),
}

impl ClientError {
    /// The step that failed.
    pub fn step(&self) -> Step {
        match self {
            Self::Io(step, _)
            | Self::NotSmtp(step)
            | Self::Refused(step, ..)
            | Self::Unusable(step, _)
            | Self::Local(step, _) => *step,
        }
    }

    /// Whether a login came to nothing.
    pub fn is_of_login(&self) -> bool {
        self.step() == Step::Auth
    }

    /// Whether the server refused one for good.
    pub fn is_login_refused(&self) -> bool {
        matches!(self, Self::Refused(Step::Auth, 500..=599, _))
    }

    /// Why a sender must not hear it, if so: of a login only what the server said may leave this machine.
    pub fn kept(&self) -> Option<Kept> {
        match self {
            Self::Refused(..) => None,
            other if other.is_of_login() => Some(Kept::Login),
            Self::Local(..) => Some(Kept::Machine),
            Self::Io(..) | Self::NotSmtp(_) | Self::Unusable(..) => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(step, error) => write!(f, "{step}: {}", machine::reason(error)),
            Self::NotSmtp(step) => write!(f, "{step}: the server does not speak SMTP"),
            Self::Unusable(step, why) | Self::Local(step, why) => write!(f, "{step}: {why}"),
            Self::Refused(step, code, text) => write!(f, "{step}: the server said {code} {text}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::NotSmtp(_) | Self::Refused(..) | Self::Unusable(..) | Self::Local(..) => None,
        }
    }
}

/// A connection to a server.
pub struct SmtpClient {
    stream: Option<ClientStream>,
    replies: ReplyReader,
    unread: Vec<u8>,
    /// Commands that were sent before their turn, and whose replies are still to be read.
    ahead: usize,
    limits: Limits,
    /// When all of the content has to be gone.
    content_until: Option<Instant>,
    witness: Option<Witness>,
}

impl SmtpClient {
    /// Connects; `patience` bounds each step. What comes next is [`SmtpClient::start_tls`] on a TLS
    /// port, else [`SmtpClient::greeting`].
    ///
    /// # Errors
    /// No connection.
    pub fn connect(address: SocketAddr, patience: Duration) -> Result<Self, ClientError> {
        Self::connect_within(address, Limits::each(patience), &Arc::default())
    }

    /// The same with a limit for each kind of step, and a brake for another thread.
    ///
    /// # Errors
    /// No connection.
    pub fn connect_within(
        address: SocketAddr,
        limits: Limits,
        brake: &Arc<Brake>,
    ) -> Result<Self, ClientError> {
        let stream = ClientStream::connect(address, limits.connect);
        let stream = stream.map_err(|error| ClientError::Io(Step::Connect, error))?;
        Ok(Self::over(stream, limits, brake))
    }

    /// The same over a Unix socket.
    ///
    /// # Errors
    /// No connection.
    pub fn connect_unix(
        path: &Path,
        limits: Limits,
        brake: &Arc<Brake>,
    ) -> Result<Self, ClientError> {
        let stream = ClientStream::connect_unix(path, limits.connect);
        let stream = stream.map_err(|error| ClientError::Io(Step::Connect, error))?;
        Ok(Self::over(stream, limits, brake))
    }

    fn over(mut stream: ClientStream, limits: Limits, brake: &Arc<Brake>) -> Self {
        stream.obey(brake);
        Self {
            stream: Some(stream),
            replies: ReplyReader::default(),
            unread: Vec::new(),
            ahead: 0,
            limits,
            content_until: None,
            witness: None,
        }
    }

    /// From here on somebody looks on.
    #[must_use]
    pub fn before(mut self, witness: Option<Witness>, address: SocketAddr) -> Self {
        self.witness = witness;
        self.tell(&Heard::Connected(address));
        self
    }

    fn tell(&self, heard: &Heard<'_>) {
        if let Some(witness) = &self.witness {
            witness.hear(heard);
        }
    }

    /// Goes over to TLS with a server of this name.
    ///
    /// # Errors
    /// The handshake failed, or the certificate is not to be trusted.
    pub fn start_tls(&mut self, name: &str, trust: impl Into<Trust>) -> Result<(), ClientError> {
        if !self.unread.is_empty() {
            // Somebody on the way may have put it there (RFC 3207 section 4.2).
            let text = "plain text came behind the reply to STARTTLS";
            return Err(ClientError::Io(Step::Tls, io::Error::other(text)));
        }
        self.begin_step(self.limits.tls);
        let Some(stream) = self.stream.take() else {
            return Err(gone(Step::Tls));
        };
        let stream = stream.start_tls(name, trust);
        let stream = stream.map_err(|error| ClientError::Io(Step::Tls, error))?;
        if let (Some(facts), Some(certificate)) = (stream.tls_facts(), stream.certificate()) {
            self.tell(&Heard::Secured(facts, certificate));
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// What the TLS handshake agreed on.
    pub fn tls_facts(&self) -> Option<TlsFacts> {
        self.stream.as_ref().and_then(ClientStream::tls_facts)
    }

    /// What the TLS session can be bound to (RFC 9266).
    pub fn exporter(&self) -> Option<[u8; EXPORTER_OCTETS]> {
        self.stream.as_ref().and_then(ClientStream::exporter)
    }

    /// Reads the greeting.
    ///
    /// # Errors
    /// It is none, or a refusal.
    pub fn greeting(&mut self) -> Result<ServerReply, ClientError> {
        self.begin_step(self.limits.greeting);
        self.reply(Step::Greeting, 2)
    }

    /// Says EHLO.
    ///
    /// # Errors
    /// The server refused it.
    pub fn hello(&mut self, name: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Ehlo, &format!("EHLO {name}"), 2)
    }

    /// Says LHLO, to an LMTP server (RFC 2033 section 4.1).
    ///
    /// # Errors
    /// The server refused it.
    pub fn lmtp_hello(&mut self, name: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Lhlo, &format!("LHLO {name}"), 2)
    }

    /// Says HELO, to a server that knows no EHLO.
    ///
    /// # Errors
    /// The server refused it.
    pub fn old_hello(&mut self, name: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Helo, &format!("HELO {name}"), 2)
    }

    /// Asks for TLS; [`SmtpClient::start_tls`] has to follow.
    ///
    /// # Errors
    /// The server refused it.
    pub fn ask_for_tls(&mut self) -> Result<ServerReply, ClientError> {
        self.command(Step::StartTls, "STARTTLS", 2)
    }

    /// Sends MAIL and every RCPT in one go, to a server with PIPELINING (RFC 2920). What follows is
    /// [`SmtpClient::mail`] and [`SmtpClient::recipient`] with the same words: they only read then.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send_ahead(
        &mut self,
        mail: (&str, &str),
        recipients: &[(String, String)],
    ) -> Result<(), ClientError> {
        let mut lines = mail_command(mail.0, mail.1) + "\r\n";
        for (to, parameters) in recipients {
            lines.push_str(&recipient_command(to, parameters));
            lines.push_str("\r\n");
        }
        self.begin_step(self.limits.command);
        self.write(Step::Mail, lines.as_bytes())?;
        self.ahead = 1 + recipients.len();
        Ok(())
    }

    /// Reads the replies to what was sent ahead and is of no interest any more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn skip_ahead(&mut self) -> Result<(), ClientError> {
        while self.ahead > 0 {
            match self.command(Step::Rcpt, "", 2) {
                Ok(_) | Err(ClientError::Refused(..)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens a transaction; `parameters` begin with a blank, or are empty.
    ///
    /// # Errors
    /// The server refused it.
    pub fn mail(&mut self, from: &str, parameters: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Mail, &mail_command(from, parameters), 2)
    }

    /// Names a recipient; `parameters` begin with a blank, or are empty.
    ///
    /// # Errors
    /// The server refused it.
    pub fn recipient(&mut self, to: &str, parameters: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Rcpt, &recipient_command(to, parameters), 2)
    }

    /// Announces the content.
    ///
    /// # Errors
    /// The server refused it.
    pub fn data(&mut self) -> Result<ServerReply, ClientError> {
        self.content_until = Some(clock::monotonic() + self.limits.content);
        self.begin_step(self.limits.data);
        self.write(Step::Data, b"DATA\r\n")?;
        self.reply(Step::Data, 3)
    }

    /// Sends a block of mail data. Where that fails the server's last words, if it said why, are the
    /// error.
    ///
    /// # Errors
    /// The connection broke.
    pub fn block(&mut self, octets: &[u8]) -> Result<(), ClientError> {
        let left = self.content_until.map_or(self.limits.block, |until| {
            until.saturating_duration_since(clock::monotonic())
        });
        self.begin_step(left.min(self.limits.block));
        let Err(error) = self.write(Step::MailData, octets) else {
            return Ok(());
        };
        self.begin_step(LAST_WORDS_MAX);
        match self.reply(Step::MailData, 2) {
            Err(refused @ ClientError::Refused(..)) => Err(refused),
            Ok(_) | Err(_) => Err(error),
        }
    }

    /// Hears what became of the message, after the last block; at an LMTP server once for each recipient
    /// that it took (RFC 2033 section 4.2).
    ///
    /// # Errors
    /// The server refused it, or nobody knows.
    pub fn end_of_data(&mut self) -> Result<ServerReply, ClientError> {
        if let Some(stream) = self.stream.as_mut() {
            stream.begin_step(self.limits.end_of_data, END_OF_DATA_GRACE);
        }
        self.reply(Step::EndOfData, 2)
    }

    /// Gives up the transaction.
    ///
    /// # Errors
    /// The server refused it.
    pub fn reset(&mut self) -> Result<ServerReply, ClientError> {
        self.command(Step::Rset, "RSET", 2)
    }

    /// Sends a short message; gives the server's last reply.
    ///
    /// # Errors
    /// The server refused a step.
    pub fn send(
        &mut self,
        from: &str,
        to: &str,
        content: &str,
    ) -> Result<ServerReply, ClientError> {
        self.mail(from, "")?;
        self.recipient(to, "")?;
        self.data()?;
        self.block(&mail_data(content))?;
        self.end_of_data()
    }

    /// Says QUIT.
    ///
    /// # Errors
    /// The connection broke; the message is sent all the same.
    pub fn quit(&mut self) -> Result<ServerReply, ClientError> {
        self.begin_step(self.limits.quit);
        self.write(Step::Quit, b"QUIT\r\n")?;
        self.reply(Step::Quit, 2)
    }

    fn begin_step(&mut self, limit: Duration) {
        if let Some(stream) = self.stream.as_mut() {
            stream.begin_step(limit, STEP_GRACE);
        }
    }

    pub(super) fn command(
        &mut self,
        step: Step,
        command: &str,
        class: u16,
    ) -> Result<ServerReply, ClientError> {
        self.begin_step(self.limits.command);
        if self.ahead > 0 {
            self.ahead -= 1;
            return self.reply(step, class);
        }
        let line = Zeroizing::new([command, "\r\n"].concat());
        self.write(step, line.as_bytes())?;
        self.reply(step, class)
    }

    fn write(&mut self, step: Step, octets: &[u8]) -> Result<(), ClientError> {
        if !self.unread.is_empty() {
            // Nobody asked: from here on its replies would be taken for those to other commands.
            return Err(ClientError::NotSmtp(step));
        }
        let Some(stream) = self.stream.as_mut() else {
            return Err(gone(step));
        };
        let written = stream.write_all(octets).and_then(|()| stream.flush());
        written.map_err(|error| ClientError::Io(step, error))
    }

    fn reply(&mut self, step: Step, class: u16) -> Result<ServerReply, ClientError> {
        loop {
            let fed = self.replies.feed(&self.unread);
            let (used, reply) = fed.map_err(|_| ClientError::NotSmtp(step))?;
            self.unread.drain(..used);
            if let Some(reply) = &reply {
                self.tell(&Heard::Said(step, reply));
            }
            match reply {
                Some(reply) if reply.code / 100 == class => return Ok(reply),
                Some(reply) => {
                    let text = reply.lines.join(" / ");
                    return Err(ClientError::Refused(step, reply.code, text));
                }
                None => self.read_more(step)?,
            }
        }
    }

    fn read_more(&mut self, step: Step) -> Result<(), ClientError> {
        let Some(stream) = self.stream.as_mut() else {
            return Err(gone(step));
        };
        let mut buffer = [0; 4096];
        let count = match stream.read(&mut buffer) {
            Ok(count) => count,
            // TLS was not ended properly: an end like any other, since replies are whole lines.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(ClientError::Io(step, error)),
        };
        if count == 0 {
            return Err(gone(step));
        }
        self.unread
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

fn mail_command(from: &str, parameters: &str) -> String {
    format!("MAIL FROM:<{from}>{parameters}")
}

fn recipient_command(to: &str, parameters: &str) -> String {
    format!("RCPT TO:<{to}>{parameters}")
}

fn gone(step: Step) -> ClientError {
    let text = "the server ended the connection";
    ClientError::Io(step, io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

/// How long to listen for the reason of a server that takes no more content.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
/// How long a step may go on once the brake was pulled: nothing is lost when it is cut.
const STEP_GRACE: Duration = Duration::from_secs(2);
/// The same for the last reply of a message: without it, nobody knows whether it was taken.
const END_OF_DATA_GRACE: Duration = Duration::from_secs(10);
