//! A running service as those who watch it see it: the console and the pages for programs.
//!
//! Promises: looking takes a lock for a moment here and there and never waits for a peer, a disk that hangs
//! aside. Refuses to know: in which form it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::settings::PortKind;
use crate::net::reactor::Remote;
use crate::server::acceptor::{Acceptor, ListenerEntry};
use crate::server::context::Context;
use crate::server::listeners::Want;

/// What there is to look at.
#[derive(Clone)]
pub(crate) struct Observed {
    pub(crate) context: Arc<Context>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) remote: Remote,
}

/// A listener in words.
pub(crate) struct ListenerView<'a> {
    pub(crate) port: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) address: SocketAddr,
}

impl<'a> ListenerView<'a> {
    pub(crate) fn of(entry: &'a ListenerEntry) -> Self {
        Self {
            port: &entry.open.port,
            kind: word(entry.open.kind),
            address: entry.open.address,
        }
    }

    /// One that should be there.
    pub(crate) fn wanted(want: &'a Want) -> Self {
        Self {
            port: &want.port,
            kind: word(want.kind),
            address: want.address,
        }
    }
}

fn word(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Tcp => "tcp",
        PortKind::Tls => "tls",
    }
}
