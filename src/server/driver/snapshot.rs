//! A session as the operator sees it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::{Connection, State, sid_of};
use crate::mail::TlsFacts;

/// What is known of a session whoever has it.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// Its number in this run.
    pub serial: u64,
    /// The client.
    pub client: SocketAddr,
    /// The port's name.
    pub port: Arc<str>,
    /// When it began.
    pub opened: Instant,
}

impl SessionInfo {
    /// Its id in the log.
    pub fn sid(&self) -> String {
        sid_of(self.serial)
    }
}

/// What a session tells of itself while it waits.
#[derive(Debug, Clone)]
pub struct SessionSnapshot {
    /// What it is in, in one word.
    pub state: &'static str,
    /// The proxy it came through.
    pub proxy: Option<IpAddr>,
    /// Its TLS.
    pub tls: Option<TlsFacts>,
    /// The user it has logged in as.
    pub login: Option<String>,
    /// The name the client gave at EHLO or HELO.
    pub helo: Option<String>,
    /// Messages accepted.
    pub messages: u64,
}

impl Connection {
    pub(super) fn info_of(&self) -> SessionInfo {
        SessionInfo {
            serial: self.serial,
            client: self.client,
            port: Arc::clone(&self.port_name),
            opened: self.opened,
        }
    }

    pub(super) fn snapshot_of(&self) -> SessionSnapshot {
        let facts = self.session.facts();
        SessionSnapshot {
            proxy: self.proxy(),
            state: match self.state {
                State::Unannounced => "proxy-header",
                State::Handshaking => "tls-handshake",
                State::Held => "held",
                State::Delayed(_) => "delayed",
                State::Closing(_) => "closing",
                State::Talking => self.session.phase().word(),
            },
            tls: self.stream.tls_facts(),
            login: facts.login.map(str::to_owned),
            helo: facts.helo.map(str::to_owned),
            messages: self.messages,
        }
    }
}
