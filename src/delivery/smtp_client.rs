//! A blocking SMTP client: sends one message to one server, every step named when it fails.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::protocol::client::{ReplyReader, ServerReply, mail_data};
use crate::transport::client::{CertificateDer, ClientStream};

/// Why a message was not sent.
#[derive(Debug)]
pub enum ClientError {
    /// The connection failed at a step.
    Io(&'static str, io::Error),
    /// What the server said is no reply.
    NotSmtp(&'static str),
    /// The server refused a step.
    Refused(&'static str, u16, String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(step, error) => write!(f, "{step}: {error}"),
            Self::NotSmtp(step) => write!(f, "{step}: the server does not speak SMTP"),
            Self::Refused(step, code, text) => write!(f, "{step}: the server said {code} {text}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::NotSmtp(_) | Self::Refused(..) => None,
        }
    }
}

/// A connection to a server.
pub struct SmtpClient {
    stream: Option<ClientStream>,
    replies: ReplyReader,
    unread: Vec<u8>,
}

impl SmtpClient {
    /// Connects; `patience` bounds each wait. What comes next is [`SmtpClient::start_tls`] on a TLS
    /// port, else [`SmtpClient::hello`].
    ///
    /// # Errors
    /// No connection.
    pub fn connect(address: SocketAddr, patience: Duration) -> Result<Self, ClientError> {
        let stream = ClientStream::connect(address, patience);
        let stream = stream.map_err(|error| ClientError::Io("connect", error))?;
        Ok(Self {
            stream: Some(stream),
            replies: ReplyReader::default(),
            unread: Vec::new(),
        })
    }

    /// Goes over to TLS with a server that must have this certificate.
    ///
    /// # Errors
    /// The handshake failed.
    pub fn start_tls(
        &mut self,
        name: &str,
        pinned: CertificateDer<'static>,
    ) -> Result<(), ClientError> {
        let Some(stream) = self.stream.take() else {
            return Err(gone("TLS"));
        };
        let stream = stream.start_tls(name, pinned);
        self.stream = Some(stream.map_err(|error| ClientError::Io("TLS", error))?);
        Ok(())
    }

    /// Reads the greeting.
    ///
    /// # Errors
    /// It is none, or a refusal.
    pub fn greeting(&mut self) -> Result<ServerReply, ClientError> {
        self.reply("greeting", 2)
    }

    /// Says EHLO.
    ///
    /// # Errors
    /// The server refused it.
    pub fn hello(&mut self, name: &str) -> Result<ServerReply, ClientError> {
        self.command("EHLO", &format!("EHLO {name}"), 2)
    }

    /// Asks for TLS; [`SmtpClient::start_tls`] has to follow.
    ///
    /// # Errors
    /// The server refused it.
    pub fn ask_for_tls(&mut self) -> Result<ServerReply, ClientError> {
        self.command("STARTTLS", "STARTTLS", 2)
    }

    /// Logs in by PLAIN.
    ///
    /// # Errors
    /// The server refused it.
    pub fn login(&mut self, user: &str, password: &str) -> Result<ServerReply, ClientError> {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command("AUTH", &format!("AUTH PLAIN {response}"), 2)
    }

    /// Sends a message; gives the server's last reply.
    ///
    /// # Errors
    /// The server refused a step.
    pub fn send(
        &mut self,
        from: &str,
        to: &str,
        content: &str,
    ) -> Result<ServerReply, ClientError> {
        self.command("MAIL", &format!("MAIL FROM:<{from}>"), 2)?;
        self.command("RCPT", &format!("RCPT TO:<{to}>"), 2)?;
        self.command("DATA", "DATA", 3)?;
        self.write("mail data", &mail_data(content))?;
        self.reply("mail data", 2)
    }

    /// Says QUIT.
    ///
    /// # Errors
    /// The connection broke; the message is sent all the same.
    pub fn quit(&mut self) -> Result<ServerReply, ClientError> {
        self.command("QUIT", "QUIT", 2)
    }

    fn command(
        &mut self,
        step: &'static str,
        command: &str,
        class: u16,
    ) -> Result<ServerReply, ClientError> {
        self.write(step, format!("{command}\r\n").as_bytes())?;
        self.reply(step, class)
    }

    fn write(&mut self, step: &'static str, octets: &[u8]) -> Result<(), ClientError> {
        let Some(stream) = self.stream.as_mut() else {
            return Err(gone(step));
        };
        let written = stream.write_all(octets).and_then(|()| stream.flush());
        written.map_err(|error| ClientError::Io(step, error))
    }

    fn reply(&mut self, step: &'static str, class: u16) -> Result<ServerReply, ClientError> {
        loop {
            let fed = self.replies.feed(&self.unread);
            let (used, reply) = fed.map_err(|_| ClientError::NotSmtp(step))?;
            self.unread.drain(..used);
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

    fn read_more(&mut self, step: &'static str) -> Result<(), ClientError> {
        let Some(stream) = self.stream.as_mut() else {
            return Err(gone(step));
        };
        let mut buffer = [0; 4096];
        let count = stream
            .read(&mut buffer)
            .map_err(|error| ClientError::Io(step, error))?;
        if count == 0 {
            return Err(gone(step));
        }
        self.unread
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

fn gone(step: &'static str) -> ClientError {
    ClientError::Io(step, io::ErrorKind::UnexpectedEof.into())
}
