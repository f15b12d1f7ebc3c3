//! Local mail over LMTP (RFC 2033): the server, the addresses it is told, and a connection to it.
//!
//! A user is told as `USER@DOMAIN`: the name that the directory found, however the client wrote it or
//! whatever alias led there, at the first local domain. A detail is kept: mail that came for
//! `NAME+DETAIL`, the whole of which is not the user's name, goes to `USER+DETAIL@DOMAIN`, for the server
//! to file by. Where that is longer than a local-part may be, the detail is left out.
//!
//! The transaction is the smarthost's ([`super::smarthost`]), but for LHLO, the commands that go out in
//! one go (a server of LMTP has PIPELINING), and a reply for each recipient after the last dot. DATA waits
//! for the replies to RCPT, so that content goes out only where somebody gets it.
//!
//! Promises: every address of a host is tried; nothing is sent but plain text. **Second copies** are as
//! [`super::lane`] tells: a recipient whose reply was heard is done, however the next one's ends. The
//! protocol has nothing by which the server could tell a second copy. Mail that was in a Maildir without
//! a done record at a kill, before `[delivery] local` was changed to LMTP, comes over LMTP as well.
//! Refuses to know: the spool, when to try again.

use std::io;
use std::sync::Arc;

use super::host_error::{Failed, OpenError};
use super::smarthost::ADDRESSES_MAX;
use super::smtp_client::{ClientError, Limits, SmtpClient};
use super::transaction::{Connection, Protocol};
use crate::config::local::{LmtpPlace, Local};
use crate::config::settings::Settings;
use crate::events;
use crate::mail::{Domain, ForwardPath, Mailbox};
use crate::protocol::client::Offer;
use crate::sys::lookup;
use crate::transport::client::Brake;

/// An LMTP server, and how users are called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmtpServer {
    /// Where it listens.
    pub place: LmtpPlace,
    /// The domain of its users.
    pub domain: Domain,
    /// What begins a detail.
    pub subaddress: Option<char>,
}

/// The LMTP server as one connection sees it.
pub(super) struct Way<'a> {
    /// The server.
    pub(super) server: &'a LmtpServer,
    /// Our name, for LHLO.
    pub(super) hostname: &'a str,
    /// How long each step may take.
    pub(super) limits: Limits,
    /// Ends it early.
    pub(super) brake: &'a Arc<Brake>,
}

impl LmtpServer {
    /// The server of the settings; none where local mail goes into Maildirs.
    pub fn of(settings: &Settings) -> Option<Self> {
        let place = match &settings.local {
            Local::Maildir => return None,
            Local::Lmtp(place) => place.clone(),
        };
        // Without local domains the only local recipient is postmaster, who needs some domain.
        let domain = settings.local_domains.first().unwrap_or(&settings.hostname);
        Some(Self {
            place,
            domain: domain.clone(),
            subaddress: settings.recipients.subaddress,
        })
    }

    /// A user's address; none where its name cannot be a local-part.
    pub(super) fn address(&self, user: &str, forward_path: &ForwardPath) -> Option<Mailbox> {
        let detailed = self.detail(user, forward_path);
        let detailed = detailed.and_then(|name| Mailbox::new(&name, self.domain.clone()).ok());
        detailed.or_else(|| Mailbox::new(user, self.domain.clone()).ok())
    }

    /// The user with the detail that the forward-path has.
    fn detail(&self, user: &str, forward_path: &ForwardPath) -> Option<String> {
        let ForwardPath::Mailbox(mailbox) = forward_path else {
            return None;
        };
        let separator = self.subaddress?;
        let local_part = mailbox.local_part();
        if local_part.to_lowercase() == user {
            return None;
        }
        let (name, detail) = local_part.split_once(separator)?;
        let is_one = !name.is_empty() && !detail.is_empty();
        is_one.then(|| format!("{user}{separator}{detail}"))
    }
}

impl Way<'_> {
    /// Sets up a connection; tries every address.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn open(&self) -> Result<Connection, OpenError> {
        let opened = match &self.server.place {
            LmtpPlace::Unix(path) => SmtpClient::connect_unix(path, self.limits, self.brake)
                .and_then(|client| self.greeted(client))
                .map_err(Failed::Local),
            LmtpPlace::Tcp { host, port } => self.open_over_tcp(host, *port),
        };
        let place = &self.server.place;
        let connection = opened.map_err(|failed| OpenError::only(place.to_string(), failed))?;
        events::lmtp::connected(place);
        Ok(connection)
    }

    fn open_over_tcp(&self, host: &str, port: u16) -> Result<Connection, Failed> {
        let addresses = lookup::addresses(host, port, ADDRESSES_MAX);
        let mut last = Failed::NoAddress(io::ErrorKind::NotFound.into());
        for address in addresses.map_err(Failed::NoAddress)? {
            let client = SmtpClient::connect_within(address, self.limits, self.brake);
            match client.and_then(|client| self.greeted(client)) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Failed::At(address, error),
            }
            if self.brake.is_pulled() {
                break;
            }
        }
        Err(last)
    }

    fn greeted(&self, mut client: SmtpClient) -> Result<Connection, ClientError> {
        client.greeting()?;
        let offer = Offer::read(&client.lmtp_hello(self.hostname)?);
        let host = self.server.place.to_string();
        Ok(Connection::new(client, host, offer, Protocol::Lmtp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn users_are_called_by_their_name_at_the_first_domain_and_keep_a_detail() {
        let long = format!("a+{}", "x".repeat(60));
        let rows = [
            ("alice@here.example", "alice", "alice@here.example"),
            ("ALICE@Second.Example", "alice", "alice@here.example"),
            (
                "alice+Lists@here.example",
                "alice",
                "alice+Lists@here.example",
            ),
            ("alice+a+b@here.example", "alice", "alice+a+b@here.example"),
            // An alias or a catch-all led there.
            ("sales+de@here.example", "alice", "alice+de@here.example"),
            // The whole name is the user's.
            ("Al+ice@here.example", "al+ice", "al+ice@here.example"),
            ("alice+@here.example", "alice", "alice@here.example"),
            ("+x@here.example", "alice", "alice@here.example"),
            (
                &format!("{long}@here.example"),
                "alice",
                "alice@here.example",
            ),
            ("\"a(b\"@here.example", "a(b", "\"a(b\"@here.example"),
        ];
        let mut server = LmtpServer {
            place: LmtpPlace::Unix(PathBuf::from("/lmtp")),
            domain: Domain::parse("here.example").unwrap(),
            subaddress: Some('+'),
        };
        let path = |to: &str| ForwardPath::parse_prefix(&format!("<{to}>")).unwrap().0;
        for (to, user, want) in rows {
            let address = server.address(user, &path(to)).unwrap();
            assert_eq!(address.to_string(), want, "{to}");
        }
        let postmaster = server.address("postmaster", &path("postmaster")).unwrap();
        assert_eq!(postmaster.to_string(), "postmaster@here.example");
        assert_eq!(server.address(&"x".repeat(65), &path("a@b.example")), None);
        server.subaddress = None;
        let plain = server
            .address("alice", &path("alice+x@here.example"))
            .unwrap();
        assert_eq!(plain.to_string(), "alice@here.example");
    }
}
