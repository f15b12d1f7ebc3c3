//! One message to the smarthost before a witness, by the way of a lane but past the spool.
//!
//! Promises: the same TLS, verification and login as the lane's own connections, because it is the same
//! code. Refuses to know: what is printed.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::Source;
use super::outcome::Verdict;
use super::smarthost::Way;
use super::smtp_client::Limits;
use super::transaction::{Addressee, Letter, Transaction};
use super::witness::Witness;
use crate::config::settings::Smarthost;
use crate::mail::{
    ForwardPath, Mailbox, MessageId, MessageNotifications, Recipient, RecipientNotifications,
    ReversePath, Target,
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

impl Trial<'_> {
    /// Sends it; the smarthost has it then.
    ///
    /// # Errors
    /// It has not, and why. The witness has heard more.
    pub fn send(&self, smarthost: &Smarthost, witness: Witness) -> Result<(), String> {
        let way = Way {
            smarthost,
            hostname: self.hostname,
            limits: self.limits,
            brake: &Arc::default(),
            witness: Some(witness),
        };
        let mut connection = way.open()?;
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
            Transaction::NotBegun(why) => Err(why),
            Transaction::Ended(verdicts, _) => match verdicts.into_iter().next() {
                Some(Verdict::Taken(_)) => Ok(()),
                Some(Verdict::Refused(why) | Verdict::PutOff(why)) => Err(why.to_string()),
                None => Err("nothing was said of it".to_owned()),
            },
        };
        connection.quit();
        sent
    }
}
