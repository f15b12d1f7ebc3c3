//! Connections from a proxy: its header comes before everything, the session after it.
//!
//! Until the header is complete nothing is said, no TLS begins, and the connection is parked as any other
//! that waits for its peer. The header's octets are looked at in the socket and taken to its end exactly, so what
//! is behind it, a TLS hello as well, is there for the session. From then on the client is whom the header
//! names, for limits, lists, logs and trace fields, and the local address is where the client connected to. Limits:
//! [`HEADER_PATIENCE`]; the header's own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Connection, State, WorkerBuffers, session_of};
use crate::events::{self, EndReason};
use crate::net::{Interest, Outcome};
use crate::protocol::proxy::{ProxyHeader, ProxyRead, ProxyReader};
use crate::session::Step;
use crate::sys::clock;
use crate::transport::stream::Received;

/// How long a header may take to come. A proxy sends it with its first segment, and the protocol asks for
/// no less than 3 s, in which a lost segment is sent again.
pub(super) const HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// A connection's way through a proxy.
pub(super) struct Proxied {
    /// The proxy.
    address: IpAddr,
    /// What has come of its header.
    reader: ProxyReader,
}

impl Proxied {
    pub(super) fn by(address: IpAddr) -> Self {
        Self {
            address,
            reader: ProxyReader::default(),
        }
    }
}

impl Connection {
    /// The proxy this connection came through, where that is not who the session is with.
    pub(super) fn proxy(&self) -> Option<IpAddr> {
        let proxy = self.proxied.as_ref()?.address;
        (proxy != self.client.ip()).then_some(proxy)
    }

    /// Whether the session is with the proxy itself: a check of its that somebody is here.
    pub(super) fn is_with_proxy(&self) -> bool {
        self.proxied
            .as_ref()
            .is_some_and(|proxied| proxied.address == self.client.ip())
    }

    /// Goes on with the header; when it is complete the session begins.
    pub(super) fn read_header(&mut self, buffers: &mut WorkerBuffers) -> Result<Step, Outcome> {
        loop {
            if !self.stream.may_have_octets() {
                return Err(self.park(Interest::Readable));
            }
            let count = match self.stream.peek(&mut buffers.buffer) {
                Ok(Received::Octets(count)) => count,
                Ok(Received::Nothing) => return Err(self.park(Interest::Readable)),
                Ok(Received::End) | Err(_) => return Err(self.header_ended(buffers)),
            };
            let Some(proxied) = self.proxied.as_mut() else {
                unreachable!("only a connection from a proxy waits for a header");
            };
            let octets = buffers.buffer.get(..count).unwrap_or_default();
            let (used, read) = proxied.reader.read(octets);
            if self.stream.discard(used, &mut buffers.buffer).is_err() {
                return Err(self.header_ended(buffers));
            }
            match read {
                ProxyRead::NeedsMore => {}
                ProxyRead::Header(header) => return self.header_read(header, buffers),
                ProxyRead::Refused(fault) => {
                    return Err(self.header_failed(fault, EndReason::Refused, buffers));
                }
            }
        }
    }

    /// The header is there: the session is with whom it names, and begins.
    fn header_read(
        &mut self,
        header: ProxyHeader,
        buffers: &mut WorkerBuffers,
    ) -> Result<Step, Outcome> {
        match header {
            ProxyHeader::Client {
                source,
                destination,
            } => self.is_for(source, destination),
            ProxyHeader::Itself => self.session.client_is_unknown(),
        }
        if !self.is_with_proxy() {
            let client = self.client_key();
            let limits = &self.setup.settings.connections;
            if let Err(full) = self.admitted.claim(client, limits) {
                let reply = self
                    .port()
                    .and_then(|port| full.tell(&self.context, port, self.client));
                if let Some(reply) = reply {
                    // An empty send buffer takes it whole, or the peer does not hear it.
                    let _ = self.stream.send(&reply.to_octets());
                }
                self.stream.finish(&mut buffers.buffer);
                return Err(Outcome::Done);
            }
        }
        self.context.stats.sessions.count();
        self.state = State::Talking;
        self.waiting_since = clock::monotonic();
        self.begin(buffers)
    }

    fn is_for(&mut self, source: SocketAddr, destination: SocketAddr) {
        self.client = source;
        self.local = destination.ip();
        self.session = session_of(&self.context, &self.setup, self.port, (source, destination));
        self.info_is_old = true;
    }

    /// The time for the header is over.
    pub(super) fn header_timed_out(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        self.header_failed("no header came in time", EndReason::Timeout, buffers)
    }

    /// The connection has ended. One on which nothing came is a check that somebody listens.
    fn header_ended(&mut self, buffers: &mut WorkerBuffers) -> Outcome {
        let proxied = self.proxied.as_ref();
        match proxied.is_some_and(|proxied| proxied.reader.has_begun()) {
            true => self.header_failed("it ended within the header", EndReason::Dropped, buffers),
            false => self.end(EndReason::Dropped, buffers),
        }
    }

    fn header_failed(
        &mut self,
        why: impl std::fmt::Display,
        reason: EndReason,
        buffers: &mut WorkerBuffers,
    ) -> Outcome {
        self.context.stats.connections_refused.count();
        events::proxy::header_invalid(&self.sid(), self.client.ip(), &self.port_name, why);
        self.end(reason, buffers)
    }
}
