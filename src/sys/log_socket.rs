//! Writers to the local log sockets: one write is one datagram.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

/// Where syslog daemons listen.
pub const SYSLOG: &str = "/dev/log";
/// Where systemd's journal listens, in its own protocol.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// Whether somebody listens there now.
pub fn listens(socket: &str) -> bool {
    let unbound = UnixDatagram::unbound();
    unbound.is_ok_and(|unbound| unbound.connect(socket).is_ok())
}

/// Whether standard error goes to the journal. `JOURNAL_STREAM` is inherited by whatever is started with
/// another standard error, so it names the stream's device and inode (systemd.exec(5)).
pub fn stderr_is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let own = io::stderr().as_fd().try_clone_to_owned();
    let facts = own.and_then(|own| File::from(own).metadata());
    facts.is_ok_and(|facts| named == format!("{}:{}", facts.dev(), facts.ino()))
}

/// Writes datagrams to a local log socket; connects anew when the daemon was restarted. A line
/// that cannot be sent is lost: a dead log daemon must not stop mail.
#[derive(Debug)]
pub struct LogSocket {
    path: &'static str,
    socket: Option<UnixDatagram>,
}

impl LogSocket {
    /// To one of [`SYSLOG`] and [`JOURNAL`].
    pub fn new(path: &'static str) -> Self {
        Self { path, socket: None }
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(self.path)?;
            self.socket = Some(socket);
        }
        let sent = self
            .socket
            .as_ref()
            .map_or(Ok(0), |socket| socket.send(datagram));
        if sent.is_err() {
            self.socket = None;
        }
        sent.map(|_| ())
    }
}

impl Write for LogSocket {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The end of the datagram is the end of the line, for both.
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if self.send(text).is_err() {
            // Once more on a new socket, for a daemon that was restarted.
            let _ = self.send(text);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
