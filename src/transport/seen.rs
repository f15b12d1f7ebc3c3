//! A server's certificate as a client saw it: whose it is, how long it is good, who vouches for it.
//!
//! Promises: says the same of trust as the handshake would ([`Trust::Roots`](super::client::Trust)), without
//! ending the connection. Refuses to know: whether that matters.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::client::in_plain_words;
use super::identity::Identity;
use super::roots::Roots;
use super::tls::provider;
use crate::sys::machine;

/// What a server showed.
#[derive(Debug, Clone)]
pub struct SeenCertificate {
    chain: Vec<CertificateDer<'static>>,
}

impl SeenCertificate {
    /// A chain, the server's own certificate first.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self { chain }
    }

    /// Whose it is, and until when.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.chain)
    }

    /// Whether `roots` vouch for it as the server `name`, a host name or an IP address, at this time.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub fn verify(&self, name: &str, roots: &Roots, now: SystemTime) -> Result<(), String> {
        let (own, between) = self.chain.split_first().ok_or("it showed none")?;
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), provider());
        let verifier = builder.build().map_err(|error| error.to_string())?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = UnixTime::since_unix_epoch(since.unwrap_or_default());
        let verified = verifier.verify_server_cert(own, between, &name, &[], now);
        let failed = |error| machine::reason(&in_plain_words(io::Error::other(error)));
        verified.map(drop).map_err(failed)
    }
}
