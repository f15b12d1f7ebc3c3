//! Why TLS with a client failed: typed, and in plain words.
//!
//! rustls tells what it minds; what the client offered it does not tell, so the first octets of its hello
//! are kept ([`FirstOctets`]). Refuses to know: what an operator can do about it.

use std::fmt;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

/// Why a TLS session failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFailure {
    /// What came was no TLS at all: the client speaks plain text on a TLS port.
    PlainText,
    /// The newest version the client offers is older than what is spoken here: `TLS 1.0`, say.
    OldVersion(&'static str),
    /// The client has no cipher, group or signature in common with us.
    NothingInCommon(String),
    /// The client refused us by an alert.
    RefusedByPeer(PeerAlert),
    /// Anything else.
    Other(String),
}

/// What a client ended TLS with (RFC 8446 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAlert {
    /// Nobody it knows vouches for the certificate.
    UnknownAuthority,
    /// It takes the certificate for expired.
    Expired,
    /// It minds the certificate: the name, mostly.
    Certificate(String),
    /// It wants another version or cipher.
    Unsupported(String),
    /// Anything else.
    Other(String),
}

impl TlsFailure {
    /// What rustls says of a client whose first octets were these.
    pub(super) fn of(error: Error, first: &FirstOctets) -> Self {
        let offered = first.newest_offered();
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => match offered {
                // The hello of SSL 2.0, which old devices send to offer newer versions as well.
                Some(version) if first.is_ssl2() => Self::OldVersion(version),
                _ => Self::PlainText,
            },
            Error::PeerIncompatible(what) => match (what, offered) {
                (_, Some(old @ ("SSL 2.0" | "SSL 3.0" | "TLS 1.0" | "TLS 1.1"))) => {
                    Self::OldVersion(old)
                }
                (
                    PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::Tls12NotOfferedOrEnabled
                    | PeerIncompatible::SupportedVersionsExtensionRequired,
                    offered,
                ) => Self::OldVersion(offered.unwrap_or("an old version")),
                (what, _) => Self::NothingInCommon(format!("{what:?}")),
            },
            Error::AlertReceived(alert) => Self::RefusedByPeer(PeerAlert::of(alert)),
            other => Self::Other(other.to_string()),
        }
    }
}

impl PeerAlert {
    fn of(alert: AlertDescription) -> Self {
        let name = format!("{alert:?}");
        match alert {
            AlertDescription::UnknownCA => Self::UnknownAuthority,
            AlertDescription::CertificateExpired => Self::Expired,
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown => Self::Certificate(name),
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity => Self::Unsupported(name),
            _ => Self::Other(name),
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainText => f.write_str(
                "the client speaks plain text on a TLS port: have it use TLS, or the TCP/IP port",
            ),
            Self::OldVersion(version) => write!(
                f,
                "the client offers no TLS version that is still spoken, {version} at most"
            ),
            Self::NothingInCommon(what) => write!(
                f,
                "the client offers no TLS cipher that is still spoken ({what})"
            ),
            Self::RefusedByPeer(alert) => write!(f, "the client ended TLS with {alert}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for PeerAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuthority => {
                f.write_str("UnknownCA: it does not trust who issued the certificate")
            }
            Self::Expired => {
                f.write_str("CertificateExpired: it takes the certificate for expired")
            }
            Self::Certificate(name) => write!(f, "{name}: it may not trust the certificate"),
            Self::Unsupported(name) => write!(f, "{name}: it wants another version or cipher"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// The first octets a client sent for TLS: enough to tell its newest version.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FirstOctets {
    octets: [u8; Self::KEPT],
    kept: usize,
}

impl FirstOctets {
    /// A record's header, a handshake message's, and the version in the hello (RFC 5246 section 7.4.1.2).
    const KEPT: usize = 11;

    /// Takes what came, as long as there is room.
    pub(super) fn take(&mut self, octets: &[u8]) {
        let room = self.octets.get_mut(self.kept..).unwrap_or_default();
        let count = room.len().min(octets.len());
        for (place, octet) in room.iter_mut().zip(octets) {
            *place = *octet;
        }
        self.kept += count;
    }

    /// Whether anything came.
    pub(super) fn is_begun(&self) -> bool {
        self.kept > 0
    }

    /// Whether it is the hello of SSL 2.0 (RFC 5246 appendix E.2).
    fn is_ssl2(&self) -> bool {
        self.kept >= 5 && matches!(self.octets, [length, _, 1, ..] if length & 0x80 != 0)
    }

    /// The newest version that is offered, up to TLS 1.2: newer ones stand elsewhere.
    fn newest_offered(&self) -> Option<&'static str> {
        let version = match self.octets {
            [_, _, _, major, minor, ..] if self.is_ssl2() => (major, minor),
            [0x16, 3, _, _, _, 1, _, _, _, major, minor] if self.kept == Self::KEPT => {
                (major, minor)
            }
            _ => return None,
        };
        match version {
            (0 | 2, _) => Some("SSL 2.0"),
            (3, 0) => Some("SSL 3.0"),
            (3, 1) => Some("TLS 1.0"),
            (3, 2) => Some("TLS 1.1"),
            (3, _) => Some("TLS 1.2"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_told_from_the_first_octets() {
        let hello = |minor| vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, minor, 77, 77];
        let rows: &[(Vec<u8>, Option<&str>)] = &[
            (hello(0), Some("SSL 3.0")),
            (hello(1), Some("TLS 1.0")),
            (hello(2), Some("TLS 1.1")),
            (hello(3), Some("TLS 1.2")),
            (hello(1)[..10].to_vec(), None),
            (b"EHLO scanner\r\n".to_vec(), None),
            (vec![0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16], Some("TLS 1.0")),
            (vec![0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16], Some("SSL 2.0")),
            (vec![], None),
        ];
        for (octets, want) in rows {
            for split in 0..=octets.len() {
                let (head, tail) = octets.split_at(split);
                let mut first = FirstOctets::default();
                first.take(head);
                first.take(tail);
                assert_eq!(first.newest_offered(), *want, "{octets:?} at {split}");
            }
        }
    }

    #[test]
    fn what_rustls_minds_becomes_a_failure() {
        let mut old = FirstOctets::default();
        old.take(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 1]);
        let none = FirstOctets::default();
        let no_cipher = Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        let no_version = Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered);
        let alert = |alert| Error::AlertReceived(alert);
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let refused = TlsFailure::RefusedByPeer;
        let rows = [
            (no_cipher.clone(), &old, TlsFailure::OldVersion("TLS 1.0")),
            (
                no_cipher,
                &none,
                TlsFailure::NothingInCommon("NoCipherSuitesInCommon".into()),
            ),
            (no_version, &none, TlsFailure::OldVersion("an old version")),
            (plain, &none, TlsFailure::PlainText),
            (
                alert(AlertDescription::UnknownCA),
                &none,
                refused(PeerAlert::UnknownAuthority),
            ),
            (
                alert(AlertDescription::CertificateExpired),
                &none,
                refused(PeerAlert::Expired),
            ),
            (
                alert(AlertDescription::BadCertificate),
                &none,
                refused(PeerAlert::Certificate("BadCertificate".into())),
            ),
            (
                alert(AlertDescription::ProtocolVersion),
                &none,
                refused(PeerAlert::Unsupported("ProtocolVersion".into())),
            ),
            (
                alert(AlertDescription::UserCanceled),
                &none,
                refused(PeerAlert::Other("UserCanceled".into())),
            ),
        ];
        for (error, first, want) in rows {
            assert_eq!(TlsFailure::of(error, first), want);
        }
    }
}
