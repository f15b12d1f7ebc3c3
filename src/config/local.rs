//! `[delivery] local`: how mail for local users is delivered.
//!
//! Promises: what is accepted can be connected to as it stands: an absolute path that fits a socket's
//! address, or a host with a port, an IPv6 address in brackets. Refuses to know: whether anybody listens.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::values::host;
use crate::sys::socket::UNIX_PATH_MAX_OCTETS;

/// The prefix of the LMTP values, in any case.
const LMTP: &str = "lmtp:";
/// SMTP's port, where LMTP must not be spoken (RFC 2033 section 5).
const SMTP_PORT: u16 = 25;

/// `[delivery] local`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// `maildir`: into Maildirs.
    Maildir,
    /// `lmtp:...`: over LMTP (RFC 2033), to this server.
    Lmtp(LmtpPlace),
}

/// Where an LMTP server listens. Prints as the operator wrote it, without `lmtp:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpPlace {
    /// At a Unix socket.
    Unix(PathBuf),
    /// At a TCP port.
    Tcp {
        /// A host name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for LmtpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Local {
    /// Reads a value as an operator writes it.
    ///
    /// # Errors
    /// Why it is none, in plain words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("maildir") {
            return Ok(Self::Maildir);
        }
        let Some(place) = without_prefix(text, LMTP) else {
            return Err(format!(
                "{text:?} is none of maildir, lmtp:unix:PATH, lmtp:HOST:PORT"
            ));
        };
        let place = match without_prefix(place, "unix:") {
            Some(path) => unix(path),
            None => tcp(place),
        };
        place.map(Self::Lmtp)
    }
}

fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn unix(path: &str) -> Result<LmtpPlace, String> {
    if !path.starts_with('/') {
        return Err(format!(
            "{path:?} is not an absolute path: lmtp:unix: is followed by one, as /run/dovecot/lmtp"
        ));
    }
    if path.len() > UNIX_PATH_MAX_OCTETS {
        return Err(format!(
            "the path is longer than the {UNIX_PATH_MAX_OCTETS} octets that a socket\'s may have"
        ));
    }
    Ok(LmtpPlace::Unix(PathBuf::from(path)))
}

fn tcp(place: &str) -> Result<LmtpPlace, String> {
    if place.starts_with('/') {
        return Err(format!("a socket is written lmtp:unix:{place}"));
    }
    if place.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "the port is missing, as in lmtp:[{place}]:24; an IPv6 address stands in brackets"
        ));
    }
    let cut = match place.strip_prefix('[') {
        Some(inner) => inner.split_once(']').map(|(host, rest)| (host, rest, true)),
        None => Some(match place.find(':') {
            Some(at) => {
                let (host, rest) = place.split_at(at);
                (host, rest, false)
            }
            None => (place, "", false),
        }),
    };
    let (name, rest, bracketed) =
        cut.ok_or_else(|| format!("{place:?} begins with [ and lacks the ]"))?;
    let Some(port) = rest.strip_prefix(':') else {
        return Err(format!("the port is missing, as in lmtp:{place}:24"));
    };
    if port.contains(':') {
        return Err(format!(
            "{place:?} is not a host and a port; an IPv6 address stands in brackets, as in lmtp:[::1]:24"
        ));
    }
    let is_six = name
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv6());
    if bracketed && !is_six {
        return Err(format!(
            "{name:?} is not an IPv6 address; only those stand in brackets"
        ));
    }
    let host = host(name)?;
    let port = port_number(port)?;
    Ok(LmtpPlace::Tcp { host, port })
}

fn port_number(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit()) && !text.starts_with('0');
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    match port {
        Some(SMTP_PORT) => {
            Err("port 25 is for SMTP; LMTP listens elsewhere, often on 24".to_owned())
        }
        Some(port) => Ok(port),
        None => Err(format!("{text:?} is not a port from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_values_are_read_and_print_as_they_were_written() {
        for (text, printed) in [
            ("lmtp:unix:/run/dovecot/lmtp", "unix:/run/dovecot/lmtp"),
            ("LMTP:Unix:/a b", "unix:/a b"),
            ("lmtp:localhost:24", "localhost:24"),
            ("lmtp:192.0.2.1:65535", "192.0.2.1:65535"),
            ("lmtp:[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("lmtp:unix.example:24", "unix.example:24"),
        ] {
            match Local::parse(text) {
                Ok(Local::Lmtp(place)) => assert_eq!(place.to_string(), printed),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(Local::parse("Maildir"), Ok(Local::Maildir));
    }

    #[test]
    fn each_mistake_has_its_reason() {
        let long = format!("lmtp:unix:/{}", "x".repeat(UNIX_PATH_MAX_OCTETS));
        for (text, reason) in [
            ("mbox", "is none of maildir"),
            ("lmtp", "is none of maildir"),
            ("lmtps:localhost:24", "is none of maildir"),
            ("lmtp:unix:run/lmtp", "is not an absolute path"),
            ("lmtp:unix:", "is not an absolute path"),
            ("lmtp:unix:24", "is not an absolute path"),
            (long.as_str(), "longer than the 107 octets"),
            ("lmtp:/run/lmtp", "is written lmtp:unix:/run/lmtp"),
            (
                "lmtp:localhost",
                "the port is missing, as in lmtp:localhost:24",
            ),
            ("lmtp:[::1]", "the port is missing, as in lmtp:[::1]:24"),
            ("lmtp:::1", "the port is missing, as in lmtp:[::1]:24"),
            ("lmtp:::1:24", "stands in brackets"),
            ("lmtp:2001:db8::1:24", "stands in brackets"),
            ("lmtp:[::1", "lacks the ]"),
            ("lmtp:[::1]24", "the port is missing"),
            ("lmtp:[localhost]:24", "only those stand in brackets"),
            ("lmtp:[127.0.0.1]:24", "only those stand in brackets"),
            ("lmtp:localhost:0", "is not a port from 1 to 65535"),
            ("lmtp:localhost:65536", "is not a port from 1 to 65535"),
            ("lmtp:localhost:", "is not a port from 1 to 65535"),
            ("lmtp:localhost:+24", "is not a port from 1 to 65535"),
            ("lmtp:localhost:024", "is not a port from 1 to 65535"),
            ("lmtp:localhost:25", "port 25 is for SMTP"),
            ("lmtp::24", "is not a host name or an IP address"),
            ("lmtp:a..b:24", "is not a host name or an IP address"),
            ("lmtp:", "the port is missing"),
        ] {
            let told = Local::parse(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }
}
