//! The server's TLS configuration.
//!
//! TLS 1.2 and 1.3, no client certificates, sessions resumed by tickets (stateless, keys rotate, one
//! ticket a handshake), no early data.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ProtocolVersion, ServerConfig, ServerConnection, SupportedProtocolVersion, version,
};

use super::binding;
use super::identity::Identity;
use super::names::{Candidate, Choice};
use crate::config::settings::TlsVersion;
use crate::mail::TlsFacts;
use crate::protocol::scram::ChannelBindings;

/// The TLS side of the server: its certificates, shared by all sessions that begin while they are current.
#[derive(Clone)]
pub struct ServerTls {
    /// One for each certificate: the one it shows where no name decides.
    configs: Arc<[Arc<ServerConfig>]>,
    choice: Choice,
    lowest: TlsVersion,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Builds the configuration from certificates, each a chain and its key. Sessions are shown the
    /// first, or the one that has the name they ask for.
    ///
    /// # Errors
    /// A key does not fit its certificate, or is of a kind that is not supported.
    pub fn new(
        certificates: Vec<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        lowest: TlsVersion,
    ) -> Result<Self, rustls::Error> {
        let mut candidates = Vec::with_capacity(certificates.len());
        for (chain, key) in certificates {
            candidates.push(candidate(chain, key)?);
        }
        Self::showing_any_of(candidates, lowest)
    }

    /// The same with another certificate at this place in the list.
    ///
    /// # Errors
    /// The key does not fit its certificate, or is of a kind that is not supported.
    pub fn with_other(
        &self,
        place: usize,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let mut candidates = self.choice.all.to_vec();
        if let Some(at) = candidates.get_mut(place) {
            *at = candidate(chain, key)?;
        }
        Self::showing_any_of(candidates, self.lowest)
    }

    fn showing_any_of(
        candidates: Vec<Candidate>,
        lowest: TlsVersion,
    ) -> Result<Self, rustls::Error> {
        let all: Arc<[Candidate]> = candidates.into();
        let configs: Result<Vec<_>, _> = (0..all.len())
            .map(|own| {
                config(
                    Choice {
                        all: Arc::clone(&all),
                        own,
                    },
                    lowest,
                )
            })
            .collect();
        Ok(Self {
            configs: configs?.into(),
            choice: Choice { all, own: 0 },
            lowest,
        })
    }

    /// The same for sessions whose own certificate is the one at this place in the list.
    pub fn showing(&self, place: usize) -> Self {
        let mut showing = self.clone();
        showing.choice.own = place.min(self.choice.all.len().saturating_sub(1));
        showing
    }

    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.configs.get(self.choice.own).cloned()
    }

    /// What a connection of this configuration can be bound to once its handshake is done. A resumed
    /// session counts with the certificate of its first handshake: that is still the one here, for each
    /// configuration has ticket keys of its own and resumes only under the same name.
    pub(super) fn bindings(&self, connection: &ServerConnection) -> ChannelBindings {
        let shown = self.choice.of(connection.server_name());
        ChannelBindings {
            exporter: binding::exporter(connection),
            end_point: shown.and_then(|shown| shown.end_point.clone()),
        }
    }

    /// The certificates, in the order they were given.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.choice.all.iter().map(|candidate| &candidate.identity)
    }

    /// Whether a client would see no difference between the two.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identities().eq(other.identities()) && self.lowest == other.lowest
    }
}

fn candidate(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Candidate, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider()).map(Candidate::new)
}

fn config(choice: Choice, lowest: TlsVersion) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(lowest))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(choice));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The one crypto provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(lowest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    static NEWEST: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    match lowest {
        TlsVersion::Tls12 => &BOTH,
        TlsVersion::Tls13 => &NEWEST,
    }
}

/// What was negotiated, in words for trace fields and logs.
pub(super) fn facts(version: Option<ProtocolVersion>, suite: Option<CipherSuite>) -> TlsFacts {
    TlsFacts {
        version: match version {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        },
        cipher: suite.and_then(|suite| suite.as_str()).unwrap_or("unknown"),
    }
}
