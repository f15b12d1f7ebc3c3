//! The client's side of a connection: blocking, with a time limit on each wait, or on each step.
//!
//! Promises: no step that was begun with [`ClientStream::begin_step`] outlasts its deadline, however the
//! peer drips its octets; a [`Brake`] pulled from another thread ends every wait early, but for an
//! attempt to connect. Whom TLS trusts is said for each connection ([`Trust`]). Refuses to know: SMTP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
pub use rustls::pki_types::CertificateDer;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    SignatureScheme, StreamOwned,
};

use super::binding;
use super::roots::Roots;
use super::seen::SeenCertificate;
use super::tls::{facts, provider};
use crate::mail::TlsFacts;
use crate::protocol::scram::EXPORTER_OCTETS;
use crate::sys::{clock, socket};

/// Waits are cut into slices of this length, to look whether the brake was pulled.
const SLICE: Duration = Duration::from_millis(200);

/// Ends the waits of many connections early, once.
#[derive(Debug, Default)]
pub struct Brake(OnceLock<Instant>);

impl Brake {
    /// From `now` on waits last no longer than the grace their step has.
    pub fn pull(&self, now: Instant) {
        self.0.get_or_init(|| now);
    }

    /// Whether it was pulled.
    pub fn is_pulled(&self) -> bool {
        self.0.get().is_some()
    }

    /// When it was pulled.
    pub fn pulled_at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

/// Which certificate a server must have.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Exactly this one, whatever it says: what a server needs to talk to itself.
    Pinned(CertificateDer<'static>),
    /// One for its name that these vouch for (RFC 5280, RFC 9525).
    Roots(Roots),
    /// Any: it keeps out those who only listen.
    Anybody,
}

impl From<CertificateDer<'static>> for Trust {
    fn from(certificate: CertificateDer<'static>) -> Self {
        Self::Pinned(certificate)
    }
}

/// A client's connection.
pub enum ClientStream {
    /// Plain text.
    Plain(Timed),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl ClientStream {
    /// Connects; `patience` bounds this and every later wait.
    ///
    /// # Errors
    /// Refused, unreachable, or too slow.
    pub fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, patience)?;
        socket.set_nodelay(true)?;
        Ok(Self::Plain(Timed::new(Socket::Tcp(socket), patience)))
    }

    /// Connects to a Unix socket; `patience` bounds this and every later wait.
    ///
    /// # Errors
    /// Nobody listens there, we may not, or it took too long.
    pub fn connect_unix(path: &Path, patience: Duration) -> io::Result<Self> {
        let socket = socket::connect_unix(path, patience)?;
        Ok(Self::Plain(Timed::new(Socket::Unix(socket), patience)))
    }

    /// From here on all waits together may last `patience`, until the next step begins; and `grace`
    /// at most once the brake was pulled.
    pub fn begin_step(&mut self, patience: Duration, grace: Duration) {
        let timed = self.timed();
        timed.until = Some(clock::monotonic() + patience);
        timed.grace = grace;
    }

    /// Another thread may end the waits.
    pub fn obey(&mut self, brake: &Arc<Brake>) {
        self.timed().brake = Arc::clone(brake);
    }

    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Tls(tls) => &mut tls.sock,
        }
    }

    /// Goes over to TLS with a server called `name`, a host name or an IP address, within the step.
    ///
    /// # Errors
    /// The handshake failed, or the certificate is not to be trusted; in plain words.
    pub fn start_tls(self, name: &str, trust: impl Into<Trust>) -> io::Result<Self> {
        let Self::Plain(mut socket) = self else {
            return Ok(self);
        };
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let config = config(trust.into()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(in_plain_words)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, socket))))
    }

    /// The certificate that the server showed; none without TLS.
    pub fn certificate(&self) -> Option<SeenCertificate> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => {
                let chain = tls.conn.peer_certificates()?;
                let chain = chain.iter().map(|one| one.clone().into_owned());
                Some(SeenCertificate::new(chain.collect()))
            }
        }
    }

    /// What the handshake agreed on.
    pub fn tls_facts(&self) -> Option<TlsFacts> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => {
                let suite = tls.conn.negotiated_cipher_suite();
                let suite = suite.map(|suite| suite.suite());
                Some(facts(tls.conn.protocol_version(), suite))
            }
        }
    }
}

impl ClientStream {
    /// What the session can be bound to: `tls-exporter`; none before TLS 1.3.
    pub fn exporter(&self) -> Option<[u8; EXPORTER_OCTETS]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => binding::exporter(&tls.conn),
        }
    }
}

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for ClientStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(octets),
            Self::Tls(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// What a connection is made of.
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8], within: Duration) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => {
                socket.set_read_timeout(Some(within))?;
                socket.read(buffer)
            }
            Self::Unix(socket) => {
                socket.set_read_timeout(Some(within))?;
                socket.read(buffer)
            }
        }
    }

    fn write(&mut self, octets: &[u8], within: Duration) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => {
                socket.set_write_timeout(Some(within))?;
                socket.write(octets)
            }
            Self::Unix(socket) => {
                socket.set_write_timeout(Some(within))?;
                socket.write(octets)
            }
        }
    }
}

/// A socket whose every wait ends in time.
pub struct Timed {
    socket: Socket,
    /// How long one wait may last where no step was begun.
    patience: Duration,
    /// When the step has to be over.
    until: Option<Instant>,
    grace: Duration,
    brake: Arc<Brake>,
}

impl Timed {
    fn new(socket: Socket, patience: Duration) -> Self {
        Self {
            socket,
            patience,
            until: None,
            grace: Duration::ZERO,
            brake: Arc::default(),
        }
    }

    /// When a wait that begins now has to end.
    fn deadline(&self) -> Instant {
        self.until
            .unwrap_or_else(|| clock::monotonic() + self.patience)
    }

    /// How long to wait now before the brake is looked at again.
    fn slice(&self, deadline: Instant) -> io::Result<Duration> {
        let braked = self.brake.0.get().map(|at| *at + self.grace);
        let until = braked.map_or(deadline, |braked| braked.min(deadline));
        let left = until.saturating_duration_since(clock::monotonic());
        match left.is_zero() {
            true => Err(io::Error::new(ErrorKind::TimedOut, "timed out")),
            false => Ok(left.min(SLICE)),
        }
    }
}

/// Whether a wait ended without anything having happened.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = self.deadline();
        loop {
            let slice = self.slice(deadline)?;
            match self.socket.read(buffer, slice) {
                Err(error) if is_nothing(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let deadline = self.deadline();
        loop {
            let slice = self.slice(deadline)?;
            match self.socket.write(octets, slice) {
                Err(error) if is_nothing(&error) => {}
                outcome => return outcome,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing is kept back on the way to the kernel.
        Ok(())
    }
}

fn config(trust: Trust) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Roots(roots) => {
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.0, Arc::clone(&provider));
            builder
                .build()
                .map_err(|error| Error::General(error.to_string()))?
        }
        Trust::Pinned(certificate) => Arc::new(Unverified {
            pinned: Some(certificate),
            provider: Arc::clone(&provider),
        }),
        Trust::Anybody => Arc::new(Unverified {
            pinned: None,
            provider: Arc::clone(&provider),
        }),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// What rustls says of a certificate, as an operator would.
pub(super) fn in_plain_words(error: io::Error) -> io::Error {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let words = match rustls {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "nobody in the CA bundle vouches for its certificate"
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another name",
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its certificate has expired",
        Some(Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => "its certificate is not valid yet, or the clock of this machine is wrong",
        Some(Error::InvalidMessage(_)) => "it does not speak TLS",
        _ if error.kind() == ErrorKind::UnexpectedEof => "it ended the connection",
        _ => return error,
    };
    io::Error::new(error.kind(), words)
}

/// Accepts one certificate, octet for octet, or any; checks that the server has its key.
#[derive(Debug)]
struct Unverified {
    pinned: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self
            .pinned
            .as_ref()
            .is_none_or(|pinned| pinned == end_entity)
        {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_the_wrong_time_is_told_in_plain_words() {
        let at = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
        let early = "its certificate is not valid yet, or the clock of this machine is wrong";
        let late = "its certificate has expired";
        for (error, want) in [
            (CertificateError::NotValidYet, early),
            (
                CertificateError::NotValidYetContext {
                    time: at(10),
                    not_before: at(11),
                },
                early,
            ),
            (CertificateError::Expired, late),
            (
                CertificateError::ExpiredContext {
                    time: at(10),
                    not_after: at(9),
                },
                late,
            ),
        ] {
            let error = io::Error::new(ErrorKind::InvalidData, Error::InvalidCertificate(error));
            assert_eq!(in_plain_words(error).to_string(), want);
        }
    }
}
