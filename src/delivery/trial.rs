//! One message to the smarthost before a witness, by the way of a lane but past the spool.
//!
//! Promises: the same TLS, verification and login as the lane's own connections, because it is the same
//! code. Refuses to know: what is printed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::content::Source;
use super::host_error::OpenError;
use super::outcome::Verdict;
use super::smarthost::Way;
use super::smtp_client::{ClientError, Limits};
use super::transaction::{Addressee, Letter, Transaction};
use super::witness::Witness;
use crate::config::settings::Smarthost;
use crate::mail::{
    ForwardPath, Mailbox, MessageId, MessageNotifications, Reason, Recipient,
    RecipientNotifications, ReversePath, Target,
};
use crate::spool::Content;

/// A short message to one recipient.
pub struct Trial<'a> {
    /// Our name, for EHLO.
    pub hostname: &'a str,
    /// How long each step may take.
    pub limits: Limits,
    /// The reverse-path.
    pub from: &'a ReversePath,
    /// The recipient.
    pub to: &'a Mailbox,
    /// The content, with CRLF line ends.
    pub content: &'a [u8],
}

/// Why it was not sent.
#[derive(Debug)]
pub enum TrialError {
    /// There is no connection; prints without the name of the smarthost.
    NotOpened(OpenError),
    /// The connection broke before the message.
    NotBegun(ClientError),
    /// The smarthost did not take it.
    NotTaken(Reason),
    /// It said nothing of the recipient.
    NothingSaid,
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(error) => error.fmt(f),
            Self::NotBegun(error) => error.fmt(f),
            Self::NotTaken(reason) => reason.fmt(f),
            Self::NothingSaid => f.write_str("nothing was said of it"),
        }
    }
}

impl Trial<'_> {
    /// Sends it; the smarthost has it then.
    ///
    /// # Errors
    /// It has not, and why. The witness has heard more.
    pub fn send(&self, smarthost: &Smarthost, witness: Witness) -> Result<(), TrialError> {
        let way = Way {
            smarthost,
            hostname: self.hostname,
            limits: self.limits,
            brake: &Arc::default(),
            witness: Some(witness),
        };
        let mut connection = way.open().map_err(TrialError::NotOpened)?;
        let recipient = Recipient {
            forward_path: ForwardPath::Mailbox(self.to.clone()),
            target: Target::Outside(self.to.clone()),
            notifications: RecipientNotifications::default(),
        };
        let to = [Addressee {
            place: 0,
            recipient: &recipient,
            mailbox: Cow::Borrowed(self.to),
            notifications: &recipient.notifications,
        }];
        let whole = Content::Memory(0..self.content.len());
        let letter = Letter {
            id: MessageId::new(0, 0),
            from: self.from,
            to: &to,
            notifications: &MessageNotifications::default(),
            content: Source::new(&whole, self.content),
            eight_bit: !self.content.is_ascii(),
            smtputf8: false,
        };
        let sent = match connection.send(&letter) {
            Transaction::NotBegun(error) => Err(TrialError::NotBegun(error)),
            Transaction::Ended(verdicts, _) => match verdicts.into_iter().next() {
                Some(Verdict::Taken(_)) => Ok(()),
                Some(Verdict::Refused(why) | Verdict::PutOff(why)) => {
                    Err(TrialError::NotTaken(why))
                }
                None => Err(TrialError::NothingSaid),
            },
        };
        connection.quit();
        sent
    }
}
