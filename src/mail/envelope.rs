//! The envelope of a message: who sent it, who gets it, and how it came.
//!
//! Promises: holds what was settled at MAIL, RCPT and login; a recipient's [`Target`] is the
//! decision's name (a user, a mailbox elsewhere, or a section of the configuration), never a path or a
//! command line. Refuses to know: content, disks.

use std::net::IpAddr;

use super::address::{ForwardPath, Mailbox, ReversePath};
use super::notifications::{MessageNotifications, RecipientNotifications};

/// The envelope of one message (RFC 5321 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path of MAIL.
    pub reverse_path: ReversePath,
    /// The accepted recipients, in the order of RCPT; each target once.
    pub recipients: Vec<Recipient>,
    /// Whether MAIL said `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// Whether MAIL said `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// What MAIL asked of notifications.
    pub notifications: MessageNotifications,
    /// The client's address.
    pub client: IpAddr,
    /// The user the session had logged in as.
    pub login: Option<String>,
}

/// One recipient and where its copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path as the client gave it.
    pub forward_path: ForwardPath,
    /// Where the copy goes.
    pub target: Target,
    /// What RCPT asked of notifications.
    pub notifications: RecipientNotifications,
}

/// Where a recipient's copy goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The mailbox of this user (a directory name below the mail root; checked by the directory).
    User(String),
    /// Another server takes it: by the smarthost.
    Outside(Mailbox),
    /// The program of the section `[command:NAME]`; NAME.
    Command(String),
    /// The web server of the section `[webhook:NAME]`; NAME.
    Webhook(String),
}

impl Target {
    /// The user, where it is one's mailbox.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user),
            Self::Outside(_) | Self::Command(_) | Self::Webhook(_) => None,
        }
    }
}
