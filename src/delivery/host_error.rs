//! Why a destination could not be used, as a value: what is decided by it is decided here.
//!
//! It prints for the log, the alarm and the operator; [`HostError::reason`] is what is written down for a recipient,
//! with what may leave this machine. Refuses to know: when to try again.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::smtp_client::ClientError;
use crate::mail::{Kept, Reason};
use crate::sys::machine;
use crate::troubles::Kind;

/// Why no connection to a server was set up: what was tried last at each of its hosts.
#[derive(Debug, Default)]
pub struct OpenError(Vec<(String, Failed)>);

/// Why there is no connection to a host.
#[derive(Debug)]
pub(super) enum Failed {
    /// Its name leads nowhere.
    NoAddress(io::Error),
    /// At this address.
    At(SocketAddr, ClientError),
    /// At a socket of this machine.
    Local(ClientError),
}

/// Why a destination could not be used.
#[derive(Debug)]
pub(super) enum HostError {
    /// It is not in the settings; in words.
    Missing(String),
    /// No connection to the server of this name was set up.
    NotOpened(String, OpenError),
    /// The connection broke before the server had heard of the message.
    Broken(ClientError),
    /// A command or webhook cannot be used; in words.
    Handler(String),
}

impl OpenError {
    /// Nothing else was tried.
    pub(super) fn only(host: String, failed: Failed) -> Self {
        Self(vec![(host, failed)])
    }

    /// The next host failed as well.
    pub(super) fn push(&mut self, host: &str, failed: Failed) {
        self.0.push((host.to_owned(), failed));
    }

    fn errors(&self) -> impl Iterator<Item = &ClientError> {
        self.0.iter().filter_map(|(_, failed)| match failed {
            Failed::At(_, error) | Failed::Local(error) => Some(error),
            Failed::NoAddress(_) => None,
        })
    }

    fn is_local(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|(_, failed)| matches!(failed, Failed::Local(_)))
    }
}

impl HostError {
    /// What kind of trouble it is. One host that refuses the login for good is enough.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::NotOpened(_, error) => {
                let refused = error.errors().any(ClientError::is_login_refused);
                match (refused, error.errors().any(ClientError::is_of_login)) {
                    (true, _) => Kind::LoginRefused,
                    (false, true) => Kind::LoginFailed,
                    (false, false) => Kind::Unreachable,
                }
            }
            Self::Missing(_) | Self::Broken(_) | Self::Handler(_) => Kind::Unreachable,
        }
    }

    /// What is written down for a recipient.
    pub(super) fn reason(&self) -> Reason {
        let kept = match self {
            Self::NotOpened(_, error) if error.is_local() => Some(Kept::Machine),
            Self::NotOpened(_, error) => error.errors().filter_map(ClientError::kept).max(),
            Self::Broken(error) => error.kept(),
            Self::Missing(_) | Self::Handler(_) => None,
        };
        Reason::own("4.4.1", self).keeping(kept)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(error) => f.write_str(&machine::reason(error)),
            Self::At(address, error) => write!(f, "{address} {error}"),
            Self::Local(error) => error.fmt(f),
        }
    }
}

/// Without the name of the first host.
impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (host, failed)) in self.0.iter().enumerate() {
            match place {
                0 => failed.fmt(f)?,
                _ => write!(f, "; {host}: {failed}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(words) | Self::Handler(words) => f.write_str(words),
            Self::NotOpened(name, error) => write!(f, "{name}: {error}"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::step::Step;

    fn refused(step: Step, code: u16, text: &str) -> ClientError {
        ClientError::Refused(step, code, text.to_owned())
    }

    fn unusable(step: Step, why: &str) -> ClientError {
        ClientError::Unusable(step, why.to_owned())
    }

    fn not_opened(all: impl IntoIterator<Item = ClientError>) -> HostError {
        let mut error = OpenError::default();
        for (host, one) in ["mx.example", "two.example"].into_iter().zip(all) {
            error.push(host, Failed::At(([192, 0, 2, 1], 587).into(), one));
        }
        HostError::NotOpened("mx.example".to_owned(), error)
    }

    #[test]
    fn the_step_that_failed_tells_what_kind_of_trouble_it_is_and_no_servers_words() {
        let connect = || ClientError::Io(Step::Connect, io::Error::other("refused"));
        for (all, want) in [
            (
                vec![refused(Step::Auth, 535, "5.7.8 no")],
                Kind::LoginRefused,
            ),
            (vec![refused(Step::Auth, 454, "later")], Kind::LoginFailed),
            (vec![unusable(Step::Auth, "/p: gone")], Kind::LoginFailed),
            (vec![connect()], Kind::Unreachable),
            (
                vec![refused(Step::Ehlo, 554, "x AUTH: the server said 535")],
                Kind::Unreachable,
            ),
            (
                vec![connect(), refused(Step::Auth, 535, "")],
                Kind::LoginRefused,
            ),
            (
                vec![refused(Step::Auth, 454, "later"), connect()],
                Kind::LoginFailed,
            ),
        ] {
            let error = not_opened(all);
            assert_eq!(error.kind(), want, "{error}");
        }
        assert_eq!(
            HostError::Broken(refused(Step::Mail, 421, "AUTH: ")).kind(),
            Kind::Unreachable
        );
    }

    #[test]
    fn it_prints_every_host_and_a_sender_hears_what_servers_said() {
        let said = refused(Step::Ehlo, 554, "no AUTH here, see https://a.example/b");
        let gone = || unusable(Step::Auth, "secret.txt: No such file");
        for (all, words, told) in [
            (
                vec![said],
                "mx.example: 192.0.2.1:587 EHLO: the server said 554 no AUTH here, see https://a.example/b",
                None,
            ),
            (
                vec![refused(Step::Auth, 451, "no"), gone()],
                "mx.example: 192.0.2.1:587 AUTH: the server said 451 no; \
                 two.example: 192.0.2.1:587 AUTH: secret.txt: No such file",
                Some("the server for outgoing mail could not be used"),
            ),
            (
                vec![ClientError::Local(
                    Step::Tls,
                    "ca.pem: No such file".to_owned(),
                )],
                "mx.example: 192.0.2.1:587 TLS: ca.pem: No such file",
                Some("a fault on this machine, which its operator can see"),
            ),
        ] {
            let error = not_opened(all);
            assert_eq!(error.to_string(), words);
            assert_eq!(error.reason().words(), words);
            let sent = error.reason().for_sender();
            assert_eq!(
                (sent.words(), sent.status()),
                (told.unwrap_or(words), "4.4.1")
            );
        }
    }

    #[test]
    fn a_socket_of_this_machine_is_nobodys_concern_elsewhere() {
        let failed = Failed::Local(unusable(Step::Connect, "Connection refused"));
        let place = "unix:/run/lmtp";
        let error = OpenError::only(place.to_owned(), failed);
        let error = HostError::NotOpened(place.to_owned(), error);
        assert_eq!(
            error.to_string(),
            "unix:/run/lmtp: connect: Connection refused"
        );
        let told = error.reason().for_sender();
        assert!(!told.words().contains("/run"), "{}", told.words());
    }
}
