//! The server's side of a connection: plain or TLS, non-blocking.
//!
//! Promises: no call waits for the peer. What could not be sent yet is kept here, at most what one
//! turn of a session says. A whole flight leaves in one write: after a handshake nothing is sent until
//! the session has spoken, so that tickets and greeting travel together. Refuses to know: SMTP,
//! deadlines, who wakes it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use rustls::ServerConnection;

use super::failure::{FirstOctets, TlsFailure};
use super::tls::{ServerTls, facts};
use crate::mail::TlsFacts;
use crate::protocol::scram::ChannelBindings;

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// This many octets.
    Octets(usize),
    /// Nothing now.
    Nothing,
    /// The peer has ended its side.
    End,
}

/// What sending, or a handshake, came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of it is done.
    Done,
    /// The peer has to send something first.
    NeedsOctets,
    /// The peer has to take something first.
    NeedsRoom,
}

/// Why a stream is over.
#[derive(Debug)]
pub enum StreamError {
    /// The connection broke.
    Io(io::Error),
    /// TLS failed.
    Tls(TlsFailure),
}

/// A configuration without a certificate, which is never built.
fn no_certificate() -> StreamError {
    StreamError::Tls(TlsFailure::Other("there is no certificate".to_owned()))
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One connection.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// What the client began TLS with.
    first: FirstOctets,
    /// Plain octets the peer has not taken yet.
    unsent: Vec<u8>,
    /// The socket may have octets: cleared when a read comes back short.
    unread: bool,
    /// rustls may have decrypted octets that were not asked for yet; they never wake the poll.
    decrypted: bool,
    /// The peer has ended its side: a short read then proves nothing.
    hangup: bool,
}

impl Stream {
    /// A plain stream on a non-blocking socket.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            tls: None,
            first: FirstOctets::default(),
            unsent: Vec::new(),
            unread: true,
            decrypted: false,
            hangup: false,
        }
    }

    /// Tells what the poll found.
    pub fn signalled(&mut self, readable: bool, hangup: bool) {
        self.unread |= readable;
        self.hangup |= hangup;
    }

    /// Whether the peer has taken everything.
    pub fn is_sent(&self) -> bool {
        self.unsent.is_empty() && !self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// From here on it is TLS; drive [`Stream::handshake`] next.
    ///
    /// # Errors
    /// rustls refuses the configuration.
    pub fn start_tls(&mut self, tls: &ServerTls) -> Result<(), StreamError> {
        let config = tls.config().ok_or_else(no_certificate)?;
        let mut connection = ServerConnection::new(config).map_err(|error| self.failed(error))?;
        connection.set_buffer_limit(Some(SEND_BUFFER_OCTETS));
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    /// Goes on with the handshake. When it is done the last flight (tickets) is still unsent: it
    /// leaves with the next [`Stream::send`].
    ///
    /// # Errors
    /// The connection broke or TLS failed; the alert has been sent if the peer took it.
    pub fn handshake(&mut self) -> Result<Progress, StreamError> {
        loop {
            let Some(tls) = self.tls.as_mut() else {
                return Ok(Progress::Done);
            };
            if !tls.is_handshaking() {
                // The client's first words may have come together with its last flight.
                self.decrypted = true;
                return Ok(Progress::Done);
            }
            if tls.wants_write() {
                if self.flush()? == Progress::NeedsRoom {
                    return Ok(Progress::NeedsRoom);
                }
                continue;
            }
            match self.fill()? {
                Received::Octets(_) => {}
                Received::Nothing => return Ok(Progress::NeedsOctets),
                Received::End => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            }
        }
    }

    fn failed(&self, error: rustls::Error) -> StreamError {
        StreamError::Tls(TlsFailure::of(error, &self.first))
    }

    /// Whether the client has sent anything for TLS.
    pub fn has_begun_tls(&self) -> bool {
        self.first.is_begun()
    }

    /// What the handshake agreed on.
    pub fn tls_facts(&self) -> Option<TlsFacts> {
        let tls = self.tls.as_ref()?;
        // None yet in a handshake that does not come that far.
        let suite = tls.negotiated_cipher_suite()?.suite();
        Some(facts(tls.protocol_version(), Some(suite)))
    }

    /// What the session can be bound to, once the handshake that began with `tls` is done; nothing in
    /// plain text.
    pub fn channel_bindings(&self, tls: &ServerTls) -> ChannelBindings {
        let connection = self.tls.as_deref();
        connection.map_or_else(ChannelBindings::default, |own| tls.bindings(own))
    }

    /// Whether there may be something to read without waiting for the poll.
    pub fn may_have_octets(&self) -> bool {
        self.unread || self.decrypted || self.hangup
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// The connection broke or TLS failed.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Received, StreamError> {
        if self.tls.is_none() {
            return Ok(self.read_socket(buffer)?);
        }
        loop {
            let Some(tls) = self.tls.as_mut() else {
                return Ok(Received::End);
            };
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => {
                    self.decrypted = count == buffer.len();
                    return Ok(Received::Octets(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.decrypted = false,
                // The peer went without close_notify: an end like any other between commands.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Received::End);
                }
                Err(error) => return Err(error.into()),
            }
            match self.fill()? {
                Received::Octets(_) => {}
                other => return Ok(other),
            }
        }
    }

    /// Looks at what there is, and leaves it there. Before TLS alone.
    ///
    /// # Errors
    /// The connection broke.
    pub fn peek(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match self.socket.peek(buffer) {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Octets(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unread = false;
                Ok(Received::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes as many octets as have been looked at, by way of `scratch`.
    ///
    /// # Errors
    /// The connection broke.
    pub fn discard(&mut self, count: usize, scratch: &mut [u8]) -> io::Result<()> {
        let taken = scratch.get_mut(..count).unwrap_or_default();
        self.socket.read_exact(taken)
    }

    /// Sends `octets` after whatever is unsent.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, octets: &[u8]) -> Result<Progress, StreamError> {
        if let Some(tls) = self.tls.as_mut() {
            let taken = tls.writer().write(octets)?;
            let rest = octets.get(taken..).unwrap_or_default();
            self.unsent.extend_from_slice(rest);
            return self.flush();
        }
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(octets);
            return self.flush();
        }
        let sent = send_some(&mut self.socket, octets)?;
        self.unsent
            .extend_from_slice(octets.get(sent..).unwrap_or_default());
        Ok(if self.unsent.is_empty() {
            Progress::Done
        } else {
            Progress::NeedsRoom
        })
    }

    /// Sends what is unsent.
    ///
    /// # Errors
    /// The connection broke.
    pub fn flush(&mut self) -> Result<Progress, StreamError> {
        let Some(tls) = self.tls.as_mut() else {
            let sent = send_some(&mut self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
            if self.unsent.is_empty() {
                self.unsent = Vec::new();
                return Ok(Progress::Done);
            }
            return Ok(Progress::NeedsRoom);
        };
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        return Ok(Progress::NeedsRoom);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if self.unsent.is_empty() {
                return Ok(Progress::Done);
            }
            let taken = tls.writer().write(&self.unsent)?;
            self.unsent.drain(..taken);
        }
    }

    /// Says the end (close_notify under TLS), as far as the peer takes it now, and reads what it still
    /// had under way, so that the kernel does not answer with a reset that would overtake our last
    /// reply.
    pub fn finish(&mut self, scratch: &mut [u8]) {
        if let Some(tls) = self.tls.as_mut() {
            tls.send_close_notify();
        }
        // The connection is over either way.
        let _ = self.flush();
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        for _ in 0..FAREWELL_READS {
            match (&self.socket).read(scratch) {
                Ok(count) if count > 0 => {}
                _ => break,
            }
        }
    }

    /// Gives back what memory a waiting stream does not need.
    pub fn shrink(&mut self) {
        if let Some(tls) = self.tls.as_mut() {
            // rustls cuts its buffer down before it asks the reader, which then has nothing, and wipes
            // what was decrypted there.
            let _ = tls.read_tls(&mut NothingNow);
        }
    }

    /// Reads from the socket into rustls.
    fn fill(&mut self) -> Result<Received, StreamError> {
        let Some(tls) = self.tls.as_mut() else {
            return Ok(Received::End);
        };
        let mut source = Counted {
            socket: &self.socket,
            first: &mut self.first,
            short: false,
        };
        match tls.read_tls(&mut source) {
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                if source.short {
                    self.unread = false;
                }
                if let Err(error) = tls.process_new_packets() {
                    // Tell the peer why; whether it hears it does not matter.
                    let _ = tls.write_tls(&mut self.socket);
                    return Err(self.failed(error));
                }
                Ok(Received::Octets(count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unread = false;
                Ok(Received::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read_socket(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match self.socket.read(buffer) {
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                // A short read has emptied the socket; what comes later is signalled anew.
                if count < buffer.len() {
                    self.unread = false;
                }
                Ok(Received::Octets(count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unread = false;
                Ok(Received::Nothing)
            }
            // The socket does not block, so a signal has nothing to interrupt.
            Err(error) => Err(error),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn send_some(socket: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while let Some(rest) = octets.get(sent..).filter(|rest| !rest.is_empty()) {
        match socket.write(rest) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Reads from a socket and notes whether it had less than there was room for.
struct Counted<'a> {
    socket: &'a TcpStream,
    first: &'a mut FirstOctets,
    short: bool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        self.short = count < buffer.len();
        self.first.take(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A reader that never has anything.
struct NothingNow;

impl Read for NothingNow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Bounds what rustls keeps unsent for us, per queue.
const SEND_BUFFER_OCTETS: usize = 32 * 1024;
/// Reads in which a peer's last words are thrown away at the end.
const FAREWELL_READS: usize = 4;
