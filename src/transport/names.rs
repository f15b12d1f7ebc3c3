//! Which certificate a client is shown: its site's own, or the one that has the name it asks for (SNI, RFC
//! 6066 section 3).
//!
//! Promises: the name decides where any certificate has it, the site's own first; else the site's own
//! is shown. Refuses to know: sites.

use std::fmt;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::binding;
use super::identity::Identity;

/// A certificate with its key, and what connections that were shown it are bound to.
#[derive(Clone)]
pub(super) struct Candidate {
    key: Arc<CertifiedKey>,
    /// `tls-server-end-point`.
    pub end_point: Option<Arc<[u8]>>,
    pub identity: Identity,
}

impl Candidate {
    pub fn new(key: CertifiedKey) -> Self {
        let end_point = key.cert.first().and_then(|own| binding::end_point(own));
        Self {
            identity: Identity::of(&key.cert),
            key: Arc::new(key),
            end_point,
        }
    }

    fn has_name(&self, name: &ServerName<'_>) -> bool {
        let own = self.key.cert.first();
        own.is_some_and(|own| holds(own, name))
    }
}

/// Whether a certificate is for this name, as clients judge it (RFC 6125).
pub(super) fn holds(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let parsed = ParsedCertificate::try_from(certificate).ok();
    parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

/// The certificates of one server, and which is shown where no name decides.
#[derive(Clone)]
pub(super) struct Choice {
    pub all: Arc<[Candidate]>,
    pub own: usize,
}

impl Choice {
    /// The certificate for a client that asks for this name.
    pub fn of(&self, name: Option<&str>) -> Option<&Candidate> {
        let own = self.all.get(self.own);
        let Some(name) = name.and_then(|name| ServerName::try_from(name).ok()) else {
            return own;
        };
        let mut named = own.iter().copied().chain(self.all.iter());
        named.find(|candidate| candidate.has_name(&name)).or(own)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Choice of {}", self.all.len())
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.of(hello.server_name())?;
        Some(Arc::clone(&chosen.key))
    }
}
