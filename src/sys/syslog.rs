//! A writer to the local syslog socket: one write is one datagram.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

/// Where syslog daemons listen.
const SOCKET: &str = "/dev/log";

/// Whether a syslog daemon listens now.
pub fn listens() -> bool {
    let socket = UnixDatagram::unbound();
    socket.is_ok_and(|socket| socket.connect(SOCKET).is_ok())
}

/// Writes datagrams to the local syslog socket; connects anew when the daemon was restarted. A line
/// that cannot be sent is lost: a dead log daemon must not stop mail.
#[derive(Default)]
pub struct Syslog {
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(SOCKET)?;
            self.socket = Some(socket);
        }
        let sent = self
            .socket
            .as_ref()
            .map_or(Ok(0), |socket| socket.send(line));
        if sent.is_err() {
            self.socket = None;
        }
        sent.map(|_| ())
    }
}

impl Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
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
