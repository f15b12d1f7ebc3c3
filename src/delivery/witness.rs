//! Somebody who looks on while a client speaks, for `gatepost test-mail`.
//!
//! Promises: hears each step once, in order, and can change nothing. Refuses to know: what is said to the
//! server, for passwords are in it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::smtp_client::ClientError;
use super::step::Step;
use crate::mail::TlsFacts;
use crate::protocol::client::ServerReply;
use crate::transport::seen::SeenCertificate;

/// What happens on a connection.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The connection stands.
    Connected(SocketAddr),
    /// Both sides speak TLS now; the server showed this.
    Secured(TlsFacts, SeenCertificate),
    /// What the server said to a step, good or bad.
    Said(Step, &'a ServerReply),
    /// No connection that is good for mail, at this address.
    NotOpened(SocketAddr, &'a ClientError),
}

/// Somebody who looks on.
#[derive(Clone)]
pub struct Witness(Arc<dyn Fn(&Heard<'_>) + Send + Sync>);

impl Witness {
    /// One who does this with all that happens.
    pub fn new(see: impl Fn(&Heard<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    /// Tells it.
    pub fn hear(&self, heard: &Heard<'_>) {
        (self.0)(heard);
    }
}
