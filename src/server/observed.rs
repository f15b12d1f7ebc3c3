//! A running service as those who watch it see it: the console and the pages for programs.
//!
//! Promises: looking takes a lock for a moment here and there and never waits for a peer, a disk that hangs
//! aside. Refuses to know: in which form it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use super::context::Context;
use super::gate::{Gate, Post};
use super::listeners::Want;
use crate::config::settings::PortKind;
use crate::net::reactor::Remote;

/// What there is to look at.
#[derive(Clone)]
pub(super) struct Observed {
    pub(super) context: Arc<Context>,
    pub(super) gate: Arc<Gate>,
    pub(super) remote: Remote,
}

/// A listener in words.
pub(super) struct Door<'a> {
    pub(super) port: &'a str,
    pub(super) kind: &'static str,
    pub(super) address: SocketAddr,
}

impl<'a> Door<'a> {
    pub(super) fn of(post: &'a Post) -> Self {
        Self {
            port: &post.open.port,
            kind: word(post.open.kind),
            address: post.open.address,
        }
    }

    /// One that should be there.
    pub(super) fn wanted(want: &'a Want) -> Self {
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
