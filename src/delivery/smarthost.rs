//! The way to a smarthost: a connection set up as the operator said.
//!
//! Promises: a password goes out only over TLS with a server whose certificate was verified, unless
//! `plaintext_login` says otherwise; where TLS is required, no mail goes out without it, and where it is
//! opportunistic, plain text after a failed handshake is logged. Every address of the host is tried, then
//! the `fallback` hosts in their order, but none after a login that was refused. Refuses to know:
//! messages, when to try again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::host_error::{Failed, OpenError};
use super::login::{LoginBy, read_secret};
use super::smtp_client::{ClientError, Limits, SmtpClient};
use super::step::Step;
use super::transaction::{Connection, Protocol};
use super::witness::{Heard, Witness};
use crate::config::settings::{Smarthost, SmarthostTls};
use crate::events;
use crate::protocol::client::Offer;
use crate::sys::lookup;
use crate::transport::client::{Brake, Trust};
use crate::transport::roots;

/// Addresses of a server that are tried.
pub(super) const ADDRESSES_MAX: usize = 8;

/// The smarthost as one connection sees it.
pub(super) struct Way<'a> {
    /// The settings.
    pub(super) smarthost: &'a Smarthost,
    /// Our name, for EHLO.
    pub(super) hostname: &'a str,
    /// How long each step may take.
    pub(super) limits: Limits,
    /// Ends it early.
    pub(super) brake: &'a Arc<Brake>,
    /// Looks on, where somebody does.
    pub(super) witness: Option<Witness>,
}

impl Way<'_> {
    /// Sets up a connection: tries every host, and of each every address.
    ///
    /// # Errors
    /// Why not, of each host.
    pub(super) fn open(&self) -> Result<Connection, OpenError> {
        let mut error = OpenError::default();
        let mut hosts = self.smarthost.hosts().peekable();
        while let Some((host, port)) = hosts.next() {
            let (failed, next) = match self.open_host(host, port) {
                Ok(connection) => return Ok(connection),
                Err(failed) => failed,
            };
            let is_over = next == Next::Nobody || self.brake.is_pulled();
            if let Some((next, _)) = hosts.peek().filter(|_| !is_over) {
                events::smarthost::passed_over(host, &failed, next);
            }
            error.push(host, failed);
            if is_over {
                break;
            }
        }
        Err(error)
    }

    fn open_host(&self, host: &str, port: u16) -> Result<Connection, (Failed, Next)> {
        let addresses = lookup::addresses(host, port, ADDRESSES_MAX);
        let addresses = addresses.map_err(|error| (Failed::NoAddress(error), Next::Host))?;
        let mut last = Failed::NoAddress(io::ErrorKind::NotFound.into());
        for address in addresses {
            match self.open_at(host, address) {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    if let Some(witness) = &self.witness {
                        witness.hear(&Heard::NotOpened(address, &error));
                    }
                    let next = Next::after(&error);
                    last = Failed::At(address, error);
                    if next != Next::Address || self.brake.is_pulled() {
                        return Err((last, next));
                    }
                }
            }
        }
        Err((last, Next::Host))
    }

    fn open_at(&self, host: &str, address: SocketAddr) -> Result<Connection, ClientError> {
        let mut connection = match self.smarthost.tls {
            SmarthostTls::None => self.greeted(host, address)?,
            SmarthostTls::Implicit => {
                let mut client = self.connect(address)?;
                self.start_verified_tls(host, &mut client)?;
                client.greeting()?;
                self.hello(host, client)?
            }
            SmarthostTls::Required => {
                let mut connection = self.greeted(host, address)?;
                if !connection.offer.starttls {
                    return Err(unusable(Step::StartTls, "the server does not offer it"));
                }
                connection.client.ask_for_tls()?;
                self.start_verified_tls(host, &mut connection.client)?;
                self.hello(host, connection.client)?
            }
            SmarthostTls::Opportunistic => self.open_with_tls_if_it_works(host, address)?,
        };
        self.log_in(&mut connection)?;
        let tls = connection.client.tls_facts();
        events::relay_connected(host, address, tls);
        Ok(connection)
    }

    fn open_with_tls_if_it_works(
        &self,
        host: &str,
        address: SocketAddr,
    ) -> Result<Connection, ClientError> {
        let mut connection = self.greeted(host, address)?;
        if !connection.offer.starttls {
            return Ok(connection);
        }
        match connection.client.ask_for_tls() {
            Ok(_) => {}
            Err(error @ ClientError::Refused(..)) => {
                events::relay_without_tls(host, address, error);
                return Ok(connection);
            }
            Err(error) => return Err(error),
        }
        match connection.client.start_tls(host, Trust::Anybody) {
            Ok(()) => self.hello(host, connection.client),
            Err(error) => {
                events::relay_without_tls(host, address, error);
                self.greeted(host, address)
            }
        }
    }

    fn connect(&self, address: SocketAddr) -> Result<SmtpClient, ClientError> {
        let client = SmtpClient::connect_within(address, self.limits, self.brake)?;
        Ok(client.before(self.witness.clone(), address))
    }

    /// A plain connection up to the reply to EHLO.
    fn greeted(&self, host: &str, address: SocketAddr) -> Result<Connection, ClientError> {
        let mut client = self.connect(address)?;
        client.greeting()?;
        self.hello(host, client)
    }

    fn hello(&self, host: &str, mut client: SmtpClient) -> Result<Connection, ClientError> {
        let offer = match client.hello(self.hostname) {
            Ok(reply) => Offer::read(&reply),
            // A server without extensions (RFC 5321 section 3.2); what needs one fails where it is needed.
            Err(ClientError::Refused(_, 500..=599, _)) => {
                client.old_hello(self.hostname)?;
                Offer::default()
            }
            Err(error) => return Err(error),
        };
        let host = host.to_owned();
        let mut connection = Connection::new(client, host, offer, Protocol::Smtp);
        connection.converts = self.smarthost.convert_8bit;
        Ok(connection)
    }

    fn start_verified_tls(&self, host: &str, client: &mut SmtpClient) -> Result<(), ClientError> {
        let roots = roots::load(self.smarthost.ca_file.as_deref());
        let roots = roots.map_err(|reason| ClientError::Local(Step::Tls, reason))?;
        client.start_tls(host, Trust::Roots(roots))
    }

    fn log_in(&self, connection: &mut Connection) -> Result<(), ClientError> {
        let Some(login) = &self.smarthost.login else {
            return Ok(());
        };
        let client = &mut connection.client;
        let is_verified = self.smarthost.tls.is_verified() && client.tls_facts().is_some();
        if !is_verified && !self.smarthost.plaintext_login {
            let noun = login.secret.noun();
            let why = format!("a {noun} goes out only over verified TLS");
            return Err(unusable(Step::Auth, why));
        }
        let by = LoginBy::strongest(login, &connection.offer, client);
        let by = by.map_err(|why| unusable(Step::Auth, why))?;
        let secret = read_secret(&login.secret);
        let secret = secret.map_err(|reason| {
            let path = login.secret.file().display();
            ClientError::Local(Step::Auth, format!("{path}: {reason}"))
        })?;
        client.login(by, &login.username, &secret)?;
        Ok(())
    }
}

/// What is tried after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The host's next address, then the next host.
    Address,
    /// The next host: all addresses are the same server to a login.
    Host,
    /// Nobody: a login that is refused for good is the operator's to mend, and no other server is to
    /// hear it.
    Nobody,
}

impl Next {
    fn after(error: &ClientError) -> Self {
        match error {
            ClientError::Refused(Step::Auth, 400..=499, _) => Self::Host,
            ClientError::Refused(Step::Auth, ..)
            | ClientError::Unusable(Step::Auth, _)
            | ClientError::Local(Step::Auth, _) => Self::Nobody,
            ClientError::Refused(..)
            | ClientError::Unusable(..)
            | ClientError::Local(..)
            | ClientError::Io(..)
            | ClientError::NotSmtp(_) => Self::Address,
        }
    }
}

fn unusable(step: Step, why: impl Into<String>) -> ClientError {
    ClientError::Unusable(step, why.into())
}
