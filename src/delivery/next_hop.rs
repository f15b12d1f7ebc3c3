//! Where mail goes that does not go into Maildirs, and how it is called in the log.
//!
//! A *route* is a destination's name, made from what the message and its recipient are; a *next hop* is the
//! server behind it, with its settings. Promises: a recipient has one route, whatever the state of its
//! server. Refuses to know: what becomes of a message.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::handler::Handler;
use super::host_error::HostError;
use super::lmtp::{self, LmtpServer};
use super::smarthost;
use super::smtp_client::Limits;
use super::transaction::Connection;
use crate::config::handlers::{Command, Handlers, Webhook};
use crate::config::settings::{Settings, Smarthost};
use crate::config::smarthosts::smarthost_for;
use crate::events;
use crate::mail::{Action, Mailbox, MessageId, Recipient, ReversePath, Target};
use crate::transport::client::Brake;

/// A destination's name. Prints as the operator knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// The server of `[smarthost:NAME]`; without a name, that of `[smarthost]`.
    Smarthost(Option<String>),
    /// The server of `[delivery] local`.
    Lmtp,
    /// The program of `[command:NAME]`.
    Command(String),
    /// The web server of `[webhook:NAME]`.
    Webhook(String),
}

impl Route {
    /// A message waits because this leads nowhere.
    pub(super) fn tell_missing(&self, id: MessageId, reason: &str, wait: u64) {
        match self {
            Self::Smarthost(_) | Self::Lmtp => events::relay_failed(id, reason, wait),
            Self::Command(name) => events::handlers::command_failed(id, name, reason, wait),
            Self::Webhook(name) => events::handlers::webhook_failed(id, name, reason, wait),
        }
    }

    /// Why its messages wait where it leads nowhere.
    pub(super) fn is_missing(&self) -> String {
        match self {
            Self::Smarthost(_) | Self::Lmtp => format!("no {self} is set"),
            Self::Command(_) | Self::Webhook(_) => format!("there is no section [{self}]"),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smarthost(None) => f.write_str("smarthost"),
            Self::Smarthost(Some(name)) => write!(f, "smarthost:{name}"),
            Self::Lmtp => f.write_str("lmtp"),
            Self::Command(name) => write!(f, "command:{name}"),
            Self::Webhook(name) => write!(f, "webhook:{name}"),
        }
    }
}

/// Every next hop of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHops {
    /// Our name, for EHLO and LHLO.
    pub hostname: String,
    /// Take outside recipients, each of its senders.
    pub smarthosts: Vec<Smarthost>,
    /// Takes local ones; none = they go into Maildirs.
    pub lmtp: Option<LmtpServer>,
    /// Take what aliases give them.
    pub handlers: Handlers,
    /// What begins a detail.
    pub subaddress: Option<char>,
}

impl NextHops {
    /// Those of the settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            hostname: settings.hostname.to_string(),
            smarthosts: settings.smarthosts.clone(),
            lmtp: LmtpServer::of(settings),
            handlers: settings.handlers.clone(),
            subaddress: settings.recipients.subaddress,
        }
    }

    /// Where a recipient's copy goes; none = into a Maildir. What no smarthost is for waits for
    /// `[smarthost]`.
    pub(super) fn route(&self, from: &ReversePath, target: &Target) -> Option<Route> {
        match target {
            Target::User(_) => self.lmtp.as_ref().map(|_| Route::Lmtp),
            Target::Outside(_) => {
                let smarthost = smarthost_for(&self.smarthosts, from);
                Some(Route::Smarthost(smarthost.and_then(|one| one.name.clone())))
            }
            Target::Command(name) => Some(Route::Command(name.clone())),
            Target::Webhook(name) => Some(Route::Webhook(name.clone())),
        }
    }

    /// The server of a route, where there is one.
    pub(super) fn hop(&self, route: &Route) -> Option<NextHop> {
        match route {
            Route::Smarthost(name) => {
                let found = self.smarthosts.iter().find(|one| one.name == *name);
                found.cloned().map(NextHop::Smarthost)
            }
            Route::Lmtp => self.lmtp.clone().map(NextHop::Lmtp),
            Route::Command(name) => self.handlers.command(name).cloned().map(NextHop::Command),
            Route::Webhook(name) => self.handlers.webhook(name).cloned().map(NextHop::Webhook),
        }
    }

    /// Whether every recipient has the same route by both.
    pub(super) fn has_routes_of(&self, other: &Self) -> bool {
        let pairs = self.smarthosts.iter().zip(&other.smarthosts);
        self.lmtp.is_some() == other.lmtp.is_some()
            && self.smarthosts.len() == other.smarthosts.len()
            && pairs.into_iter().all(|(one, next)| {
                one.name == next.name && one.sender_domains == next.sender_domains
            })
    }
}

/// What takes a lane's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextHop {
    /// It takes outside recipients.
    Smarthost(Smarthost),
    /// It takes local ones.
    Lmtp(LmtpServer),
    /// It takes what aliases give it.
    Command(Command),
    /// It takes what aliases give it.
    Webhook(Webhook),
}

/// What a connection needs beside the server.
pub(super) struct Terms<'a> {
    /// Our name.
    pub(super) hostname: &'a str,
    /// How long each step may take.
    pub(super) limits: Limits,
    /// Ends it early.
    pub(super) brake: &'a Arc<Brake>,
}

impl NextHop {
    /// What takes messages without a connection that stands; none where this is a server of mail.
    pub(super) fn handler(&self) -> Option<Handler<'_>> {
        match self {
            Self::Smarthost(_) | Self::Lmtp(_) => None,
            Self::Command(command) => Some(Handler::Command(command)),
            Self::Webhook(webhook) => Some(Handler::Webhook(webhook)),
        }
    }

    /// Sets up a connection.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn open(&self, terms: &Terms<'_>) -> Result<Connection, HostError> {
        let Terms {
            hostname,
            limits,
            brake,
        } = *terms;
        let (name, opened) = match self {
            Self::Smarthost(smarthost) => {
                let way = smarthost::Way {
                    smarthost,
                    hostname,
                    limits,
                    brake,
                    witness: None,
                };
                (smarthost.host.clone(), way.open())
            }
            Self::Lmtp(server) => {
                let way = lmtp::Way {
                    server,
                    hostname,
                    limits,
                    brake,
                };
                (server.place.to_string(), way.open())
            }
            Self::Command(_) | Self::Webhook(_) => unreachable!("a handler needs no connection"),
        };
        opened.map_err(|error| HostError::NotOpened(name, error))
    }

    /// The address that the server is told; none where this recipient is not for it, or has none.
    pub(super) fn address<'r>(&self, recipient: &'r Recipient) -> Option<Cow<'r, Mailbox>> {
        match (self, &recipient.target) {
            (Self::Smarthost(_), Target::Outside(mailbox)) => Some(Cow::Borrowed(mailbox)),
            (Self::Lmtp(server), Target::User(user)) => {
                let address = server.address(user, &recipient.forward_path);
                address.map(Cow::Owned)
            }
            (Self::Smarthost(_) | Self::Lmtp(_) | Self::Command(_) | Self::Webhook(_), _) => None,
        }
    }

    /// The reverse-path that the server is told.
    pub(super) fn told<'m>(&'m self, from: &'m ReversePath) -> Cow<'m, ReversePath> {
        match self {
            Self::Smarthost(smarthost) => smarthost.told(from),
            Self::Lmtp(_) | Self::Command(_) | Self::Webhook(_) => Cow::Borrowed(from),
        }
    }

    /// A recipient's copy is there: at `host`, if it is a smarthost's.
    pub(super) fn tell_taken(&self, id: MessageId, to: &Recipient, host: &str, said: &str) {
        let name = logged(to);
        match (self, &to.target) {
            (Self::Smarthost(_), _) => events::relayed(id, name, host, said),
            (Self::Lmtp(server), Target::User(user)) => {
                events::lmtp::delivered(id, name, user, &server.place, said);
            }
            (Self::Lmtp(server), _) => {
                events::lmtp::delivered(id, &name, &name, &server.place, said);
            }
            (Self::Command(command), _) => {
                events::handlers::command_delivered(id, name, &command.name);
            }
            (Self::Webhook(webhook), _) => {
                events::handlers::webhook_delivered(id, name, &webhook.name);
            }
        }
    }

    /// The server could not be used for a message.
    pub(super) fn tell_failed(&self, id: MessageId, reason: &str, wait: u64) {
        match self {
            Self::Smarthost(_) => events::relay_failed(id, reason, wait),
            Self::Lmtp(_) => events::lmtp::failed(id, reason, wait),
            Self::Command(command) => {
                events::handlers::command_failed(id, &command.name, reason, wait);
            }
            Self::Webhook(webhook) => {
                events::handlers::webhook_failed(id, &webhook.name, reason, wait);
            }
        }
    }

    /// What became of a recipient whose copy is there, as its sender may be told.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Smarthost(_) => Action::Relayed,
            Self::Lmtp(_) | Self::Command(_) | Self::Webhook(_) => Action::Delivered,
        }
    }
}

/// How a recipient is called in the log: local ones as the client wrote them, outside ones as they are
/// relayed.
pub(super) fn logged(to: &Recipient) -> String {
    match &to.target {
        Target::User(_) | Target::Command(_) | Target::Webhook(_) => to.forward_path.to_string(),
        Target::Outside(mailbox) => mailbox.to_string(),
    }
}
