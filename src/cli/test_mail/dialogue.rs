//! A session with the running service, as a mail program would have it.
//!
//! Promises: TLS is used where it is offered, and before any login. Refuses to know: what is printed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Wish;
use crate::config::settings::{Port, PortKind, Settings};
use crate::delivery::login::LoginBy;
use crate::delivery::smtp_client::{ClientError, SmtpClient};
use crate::delivery::step::Step;
use crate::delivery::witness::{Heard, Witness};
use crate::devices::TEST_NAME;
use crate::protocol::client::{Offer, ServerReply, mail_data};
use crate::transport::client::Trust;

/// A session on one of our own ports.
pub(super) struct Dialogue<'a> {
    /// The settings of the service.
    pub(super) settings: &'a Settings,
    /// The port.
    pub(super) port: &'a Port,
    /// What is to be sent.
    pub(super) wish: &'a Wish,
    /// How long a step may take.
    pub(super) patience: Duration,
}

impl Dialogue<'_> {
    /// Sends the message; gives the reply to it.
    ///
    /// # Errors
    /// A step failed. The witness has heard it if the server said so.
    pub(super) fn run(&self, text: &str, witness: &Witness) -> Result<ServerReply, ClientError> {
        let mut client = self.connect(witness)?;
        let offer = self.begin(&mut client)?;
        if let Some((user, password)) = &self.wish.login {
            let by = match (offer.auth_plain, offer.auth_login) {
                (false, true) => LoginBy::Login,
                // Where nothing is offered the server says best why.
                (true, _) | (false, false) => LoginBy::Plain,
            };
            client.login(by, user, password)?;
        }
        client.mail(&self.wish.from.to_string(), self.parameters(&offer))?;
        client.recipient(&self.wish.to_text(), "")?;
        client.data()?;
        client.block(&mail_data(text))?;
        let reply = client.end_of_data()?;
        // The message is taken; how the session ends is of no account.
        let _ = client.quit();
        Ok(reply)
    }

    /// Up to the last EHLO.
    fn begin(&self, client: &mut SmtpClient) -> Result<Offer, ClientError> {
        let name = self.settings.hostname.to_string();
        if self.port.kind == PortKind::Tls {
            client.start_tls(&name, Trust::Anybody)?;
        }
        client.greeting()?;
        let offer = Offer::read(&client.hello(TEST_NAME)?);
        if self.port.kind == PortKind::Tls {
            return Ok(offer);
        }
        match (offer.starttls, self.wish.tls) {
            (false, false) => Ok(offer),
            (false, true) => {
                let why = io::Error::other("the server does not offer it");
                Err(ClientError::Io(Step::StartTls, why))
            }
            (true, _) => {
                client.ask_for_tls()?;
                client.start_tls(&name, Trust::Anybody)?;
                Ok(Offer::read(&client.hello(TEST_NAME)?))
            }
        }
    }

    fn connect(&self, witness: &Witness) -> Result<SmtpClient, ClientError> {
        let none = io::Error::other("the port has no address");
        let mut last = ClientError::Io(Step::Connect, none);
        for address in reachable(self.port) {
            match SmtpClient::connect(address, self.patience) {
                Ok(client) => return Ok(client.before(Some(witness.clone()), address)),
                Err(error) => {
                    witness.hear(&Heard::NotOpened(address, &error));
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn parameters(&self, offer: &Offer) -> &'static str {
        let is_ascii = self.wish.from.is_ascii() && self.wish.to.is_ascii();
        match !is_ascii && offer.smtputf8 {
            true => " SMTPUTF8",
            false => "",
        }
    }
}

/// The addresses of a port as this machine reaches them: loopback where it listens on every one.
fn reachable(port: &Port) -> impl Iterator<Item = SocketAddr> + '_ {
    port.socket_addresses().map(|address| {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        SocketAddr::new(ip, address.port())
    })
}
