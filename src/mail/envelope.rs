//! The envelope of a message: who sent it, who gets it, and how it came.
//!
//! Promises: holds what was settled at MAIL, RCPT and login; a recipient's [`Target`] is the
//! decision's name (a user, a mailbox elsewhere, or a section of the configuration), never a path or a
//! command line. While a message comes in its envelope is an [`OpenEnvelope`], whose size depends on what the
//! client said and not on how many an alias leads to. Refuses to know: content, disks.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

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

/// What one RCPT said, and where it leads: the members of a group are shared with the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The forward-path as the client gave it.
    pub forward_path: ForwardPath,
    /// What RCPT asked of notifications.
    pub notifications: RecipientNotifications,
    /// Where copies go.
    pub targets: Arc<[Target]>,
}

impl Accepted {
    /// About how much memory it takes, octets; its targets belong to the directory.
    pub fn octets(&self) -> usize {
        size_of::<Self>() + FIELD_OCTETS + self.said_octets()
    }

    /// About how much its recipients take once they are written out, octets.
    pub fn written_octets(&self) -> usize {
        let each = FIELD_OCTETS + self.said_octets();
        let targets = self.targets.iter().map(Target::octets);
        targets.map(|octets| octets + each).sum()
    }

    fn said_octets(&self) -> usize {
        let path = match &self.forward_path {
            ForwardPath::Postmaster => 0,
            ForwardPath::Mailbox(mailbox) => mailbox.octets(),
        };
        let original = self.notifications.original.as_ref();
        path + original.map_or(0, |original| original.octets())
    }
}

/// What else stands with a recipient: key words, and the fields of types.
const FIELD_OCTETS: usize = 64;

/// The envelope of a message whose content has still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEnvelope {
    head: Envelope,
    accepted: Vec<Arc<Accepted>>,
}

impl OpenEnvelope {
    /// The envelope that begins like `head`, to whose recipients others may come.
    pub fn new(head: Envelope) -> Self {
        Self {
            head,
            accepted: Vec::new(),
        }
    }

    /// What is known of the message besides those that were accepted.
    pub fn head(&self) -> &Envelope {
        &self.head
    }

    /// What each accepted RCPT said, in their order.
    pub fn accepted(&self) -> &[Arc<Accepted>] {
        &self.accepted
    }

    /// Both in one.
    pub fn into_parts(self) -> (Envelope, Vec<Arc<Accepted>>) {
        (self.head, self.accepted)
    }

    /// One more RCPT is accepted.
    pub fn accept(&mut self, accepted: Accepted) {
        self.accepted.push(Arc::new(accepted));
    }
}

impl Accepted {
    /// The recipients that these lead to: one copy per target, however often it is named; what was asked
    /// first holds.
    pub fn write_out(all: &[Arc<Self>]) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        let mut lists: HashSet<*const Target> = HashSet::new();
        let mut known: HashSet<&Target> = HashSet::new();
        for accepted in all {
            // A group that is named again has nothing new.
            if !lists.insert(accepted.targets.as_ptr()) {
                continue;
            }
            let fresh = accepted.targets.iter().filter(|one| known.insert(one));
            recipients.extend(fresh.map(|target| Recipient {
                forward_path: accepted.forward_path.clone(),
                target: target.clone(),
                notifications: accepted.notifications.clone(),
            }));
        }
        recipients
    }
}

impl From<Envelope> for OpenEnvelope {
    fn from(envelope: Envelope) -> Self {
        Self::new(envelope)
    }
}

impl Target {
    /// About how much its name takes, octets.
    fn octets(&self) -> usize {
        match self {
            Self::User(name) | Self::Command(name) | Self::Webhook(name) => name.len(),
            Self::Outside(mailbox) => mailbox.octets(),
        }
    }

    /// The user, where it is one's mailbox.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user),
            Self::Outside(_) | Self::Command(_) | Self::Webhook(_) => None,
        }
    }
}
